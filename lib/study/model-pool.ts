// The models of a study, loaded one after the other: the last base stays mapped, since adapters
// sit on it, and the last checkpoint, since its stages follow each other.

import { resolveCheckpoint, type HubOptions } from '../checkpoint-source.js';
import { loadModel, type Model } from '../model.js';
import type { Checkpoint } from './study.js';

/** What the models of a study are loaded with, as in LoadModelOptions. */
export interface PoolOptions {
  readonly threads?: number;
  readonly memoryBytes?: number;
  readonly device?: string;
  readonly hub?: HubOptions;
  readonly signal?: AbortSignal | undefined;
}

interface Held {
  readonly key: string;
  readonly model: Model;
}

/** Keeps the model that stages ask for loaded, and its base where they ask for adapters. */
export class ModelPool {
  readonly #options: PoolOptions;
  #base: Held | undefined;
  #adapted: Held | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** The model of a checkpoint; valid until the next call. Errors: see `loadModel`. */
  async get(checkpoint: Pick<Checkpoint, 'model' | 'adapter'>): Promise<Model> {
    const { model, adapter } = checkpoint;
    const base = await this.#baseOf(model);
    if (adapter === undefined) return base;
    const key = `${model}+${adapter}`;
    if (this.#adapted?.key === key) return this.#adapted.model;
    this.#adapted?.model.dispose();
    this.#adapted = undefined;
    const { hub, signal } = this.#options;
    const { adapterFolder } = await resolveCheckpoint({
      model,
      adapter,
      hub: { ...(signal ? { signal } : {}), ...hub },
    });
    const adapted = await base.withAdapter(adapterFolder!, signal ? { signal } : {});
    this.#adapted = { key, model: adapted };
    return adapted;
  }

  async #baseOf(model: string): Promise<Model> {
    if (this.#base?.key === model) return this.#base.model;
    this.dispose();
    const { threads, memoryBytes, device, hub, signal } = this.#options;
    const loaded = await loadModel(model, {
      ...(threads === undefined ? {} : { threads }),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
      ...(device === undefined ? {} : { device }),
      ...(hub ? { hub } : {}),
      ...(signal ? { signal } : {}),
    });
    this.#base = { key: model, model: loaded };
    return loaded;
  }

  dispose(): void {
    this.#adapted?.model.dispose();
    this.#base?.model.dispose();
    this.#adapted = undefined;
    this.#base = undefined;
  }
}
