// Runs single stages of a study and stores what they come to: takes over what other settings came to
// from the same, waits for what other shards make, keeps work that was begun.

import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { HeadsparkError } from '../errors.js';
import { isDiskFull, writeError, writingTo } from '../file-errors.js';
import type { Model } from '../model.js';
import type { Shard } from '../shard.js';
import { Bases, type KnownBasis } from './basis.js';
import type { Facts } from './facts.js';
import type { StageNode } from './graph.js';
import { ModelPool, type PoolOptions } from './model-pool.js';
import type { StageContext } from './stage.js';
import { ResultStore, workName, type DamagedResult, type WorkPlace } from './store.js';
import type { Checkpoint, Study } from './study.js';

export interface StageRunnerOptions extends PoolOptions {
  readonly out: string;
  readonly shard?: Shard;
  readonly strict?: boolean;
  readonly patienceMs?: number;
}

/** What became of a node: computed, or taken over from a result of other settings, or there. */
export type Outcome = 'computed' | 'taken' | 'there';

export class StageRunner {
  readonly #study: Study;
  readonly #facts: Facts;
  readonly #options: StageRunnerOptions;
  readonly #store: ResultStore;
  readonly #bases: Bases;
  readonly #pool: ModelPool;
  /** Whose weights are those that the results are to be of. */
  readonly #checked = new WeakSet<Model>();
  /** For stages that compute nothing with a model, which may run where the device is absent. */
  readonly #tokenizers: ModelPool;

  constructor(study: Study, facts: Facts, options: StageRunnerOptions) {
    this.#study = study;
    this.#facts = facts;
    this.#options = options;
    this.#store = new ResultStore(options.out);
    this.#bases = new Bases(this.#store);
    this.#pool = new ModelPool(options);
    this.#tokenizers = new ModelPool({ ...options, device: 'cpu' });
  }

  dispose(): void {
    this.#pool.dispose();
    this.#tokenizers.dispose();
  }

  /** Whether there is a result to go on from: whole, to the bit. */
  async isStored(node: StageNode, onDamage?: (damage: DamagedResult) => void): Promise<boolean> {
    return this.#store.isWhole(node, onDamage);
  }

  /** Whether there is a result, without reading it. */
  async isThere(node: StageNode): Promise<boolean> {
    return this.#store.has(node);
  }

  /** A part of its work is done already. */
  async isPartlyDone(node: StageNode): Promise<boolean> {
    return this.#bases.isPartlyDone(node);
  }

  /** The first input without a result. */
  async #lackOf(node: StageNode): Promise<StageNode | undefined> {
    for (const input of Object.values(node.inputs)) {
      if (!(await this.isStored(input))) return input;
    }
    return undefined;
  }

  async canRun(node: StageNode): Promise<boolean> {
    let lacking = await this.#lackOf(node);
    if (lacking === undefined || !this.#options.strict) return lacking === undefined;
    // A network file system shows what another machine stored some seconds later.
    const { patienceMs = 60_000, signal, out } = this.#options;
    const end = performance.now() + patienceMs;
    while (lacking && performance.now() < end) {
      await setTimeout(Math.min(1000, patienceMs), undefined, { signal });
      lacking = await this.#lackOf(node);
    }
    if (!lacking) return true;
    await this.#store.verify(lacking); // says so where it is there and damaged
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_NOT_FOUND',
      `${node.kind} ${node.id} needs the result of ${lacking.kind} ${lacking.id}, which is not in ` +
        `${out}; run the stage ${lacking.kind} first.`,
    );
  }

  /** Whether the device is there, before anything runs. */
  async checkDevice(nodes: readonly StageNode[]): Promise<void> {
    if ((this.#options.device ?? 'cpu') === 'cpu') return;
    const name = nodes.flatMap(({ weights }) => weights).at(0);
    const checkpoint = this.#study.checkpoints.find((one) => one.name === name);
    if (checkpoint) await this.#pool.get(checkpoint);
  }

  /** Clears away what a killed run left of a stored result. */
  async tidy(node: StageNode): Promise<void> {
    const stored = await this.#store.find(node);
    if (stored) await this.#store.tidy(stored);
  }

  /** The work place, or undefined where another shard finished the same result meanwhile. */
  async #begin(node: StageNode, { basis }: KnownBasis): Promise<WorkPlace | undefined> {
    for (;;) {
      try {
        const place = await this.#store.begin(workName(node, basis));
        if (!(await this.isStored(node))) return place;
        await this.#store.discard(place);
        return undefined;
      } catch (error) {
        const inUse =
          error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_INVALID_ARGUMENT';
        if (!inUse || !this.#options.shard) throw error;
      }
      // Shards of one folder meet at the stages without a checkpoint: the first one computes them.
      await setTimeout(200, undefined, { signal: this.#options.signal });
      if (await this.isStored(node)) return undefined;
    }
  }

  /** Computes and stores one node whose inputs are there, or takes over what is the same. */
  async compute(node: StageNode, onShare: (share: number) => void): Promise<Outcome> {
    const known = (await this.#bases.of(node))!;
    const place = await this.#begin(node, known);
    if (!place) return 'there';
    const { kind, id, key } = node;
    const start = performance.now();
    try {
      const same = await this.#bases.sameResult(node, known);
      if (same) await this.#store.takeOver(same, place);
      else await node.implementation.run(node, this.#contextOf(node, { known, place, onShare }));
      const files = same ? { known: same.files } : {};
      await this.#store.finish({ kind, id, key }, place, { basis: known.basis, ...files });
      if (same) return 'taken';
    } catch (error) {
      await place.lock.release();
      throw ofRun(error, this.#options.out);
    }
    await this.#noteTime(node, (performance.now() - start) / 1000);
    return 'computed';
  }

  #contextOf(
    node: StageNode,
    of: { known: KnownBasis; place: WorkPlace; onShare: (share: number) => void },
  ): StageContext {
    const { known, place, onShare } = of;
    const computes = node.weights.length > 0;
    return {
      study: this.#study,
      facts: this.#facts,
      folder: place.folder,
      stateFolder: place.stateFolder,
      needed: (role, file) => {
        checkReads(node, role, file);
        return join(this.#store.folderOf(node.inputs[role]), file);
      },
      part: (role) => {
        checkReads(node, role);
        return known.parts.get(role);
      },
      earlier: async (file) => {
        const alike = await this.#bases.alikeResults(node, known);
        return alike
          .filter(({ files }) => files.some(({ name }) => name === file))
          .map((stored) => join(this.#store.folderOf(stored), file));
      },
      model: (name) => this.#model(name, computes),
      signal: this.#options.signal,
      onProgress: onShare,
    };
  }

  async #model(name: string, computes: boolean): Promise<Model> {
    const checkpoint = this.#study.checkpoints.find((one) => one.name === name)!;
    if (!computes) return this.#tokenizers.get(checkpoint);
    const model = await this.#pool.get(checkpoint);
    if (!this.#checked.has(model)) {
      checkWeights(model, checkpoint, this.#facts);
      this.#checked.add(model);
    }
    return model;
  }

  /** Times are kept beside the results, never in them. */
  async #noteTime({ kind, id, key }: StageNode, seconds: number): Promise<void> {
    const { threads = 0 } = this.#options;
    const entry = { kind, id, key, seconds: Number(seconds.toFixed(3)), threads };
    const path = join(this.#options.out, 'timings.jsonl');
    await writingTo(path, () => appendFile(path, `${JSON.stringify(entry)}\n`), { resumes: true });
  }
}

/** A run may load a checkpoint hours after it read what its results are stored under. */
function checkWeights(model: Model, { name, model: source, adapter }: Checkpoint, facts: Facts) {
  if (model.fingerprint() === facts.checkpoints.get(name)!.fingerprint) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_CHANGED',
    `the weights of ${name} (${adapter ?? source}) are other ones than when this run began; run the ` +
      'command again, which computes what is of the new ones.',
  );
}

/** What a stage reads must be what its basis holds; without `file` the part. */
function checkReads({ kind, id, needs }: StageNode, role: string, file?: string): void {
  const { files, part } = needs[role];
  const declared =
    file === undefined ? part !== undefined : !part && (files?.includes(file) ?? true);
  if (declared) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INTERNAL',
    `${kind} ${id} reads ${file ?? 'a part'} of its need ${role}, which does not say so.`,
  );
}

/** A full disk is one of the run, not of a file in the work of a stage. */
function ofRun(error: unknown, out: string): unknown {
  const full = error instanceof HeadsparkError && isDiskFull(error);
  return full ? writeError(out, error, { resumes: true }) : error;
}
