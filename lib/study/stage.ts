// What a stage kind is. A kind is one file in stages/: which instances a study asks for, what each
// depends on, what it costs and how it is computed. Everything else (hashes, storage, resuming,
// sharding, plans) follows from that.

import type { Model } from '../model.js';
import type { Facts } from './facts.js';
import type { Checkpoint, Study } from './study.js';

/** A stage's result that another one reads; without `files` or `part` all files of it. */
export interface Need {
  readonly kind: string;
  readonly id: string;
  /** The files that are read; `run` gets no others. */
  readonly files?: readonly string[];
  /** Where less than a file is read: what `run` gets in place of the files. */
  readonly part?: NeededPart;
}

/** A part of a result. Where an earlier stage comes to the same part, what reads it stays as it is. */
export interface NeededPart {
  /** For people: `the emergent heads`. */
  readonly name: string;
  /** Plain JSON, the same text for the same part; `file` gives the path of a file of the result. */
  read(file: (name: string) => string): Promise<unknown>;
}

/**
 * What decides the part of an instance's work that takes the time, where that is less than what decides
 * its result: results that share it are offered to `run` as `earlier`.
 */
export interface CostlyPart {
  readonly settings: Record<string, unknown>;
  /** Roles of needs. */
  readonly needs: readonly string[];
  /** Such results are of this kind and have this id, or this one, a dot and more. */
  readonly id: string;
}

/** What an instance costs, in numbers that do not depend on the machine. */
export interface StageWork {
  /** Passes over one prompt; a pass that starts from a stored prefix counts as a whole one. */
  readonly forwards: number;
  readonly backwards: number;
  /** Which measured rate turns the work into time; `none`: too little to measure. */
  readonly rate:
    'openings' | 'attribution' | 'circuits' | 'sweep' | 'resampling' | 'generation' | 'none';
  /**
   * Units of that rate: openings, pairs, pair-circuits, pair-variants, multiply-adds of resampling,
   * samples.
   */
  readonly units: number;
  /** What statistics draw at random, in draws of a bootstrap (draws.ts); takes time beside `rate`. */
  readonly draws?: number;
  /** New tokens that are generated, at most. */
  readonly newTokens?: number;
  /** Of generation: whose answers tell how long they are. */
  readonly generation?: {
    readonly benchmark: string;
    readonly form: string;
    readonly checkpoint: string;
  };
  /** Beside the model's own memory and workspace. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** One node of a study's graph. */
export interface StageInstance {
  readonly kind: string;
  /** Unique within its kind; part of a folder's name. */
  readonly id: string;
  /** Everything besides needs and weights that decides the result; plain JSON. */
  readonly settings: Record<string, unknown>;
  /** By role. */
  readonly needs: Readonly<Record<string, Need>>;
  /** Checkpoints whose weights it computes with. */
  readonly weights: readonly string[];
  readonly costly?: CostlyPart;
  /**
   * Where it goes when a run is sharded: instances of one checkpoint stay together, what has no
   * checkpoint of its own (undefined) is computed by every shard that has all it needs.
   */
  readonly checkpoint?: string;
  /** Parts of one computation, from 0, go to different shards. */
  readonly part?: number;
  readonly work: StageWork;
}

export interface StageContext {
  readonly study: Study;
  readonly facts: Facts;
  /** Results go here; what is written becomes the stored result when `run` returns. */
  readonly folder: string;
  /** Survives a kill until the result is stored: journals of long stages. */
  readonly stateFolder: string;
  /** Path of a file of a result that this instance needs. */
  needed(role: string, file: string): string;
  /** The part of a result that this instance needs. */
  part(role: string): unknown;
  /** Paths of that file in results with other settings that share the costly part. */
  earlier(file: string): Promise<string[]>;
  /** The model of a checkpoint; valid until the next call. */
  model(checkpoint: string): Promise<Model>;
  readonly signal: AbortSignal | undefined;
  /** Share of the work done, 0 to 1. */
  readonly onProgress: (share: number) => void;
}

export interface StageKind {
  /** As in results/KIND and --only KIND. */
  readonly kind: string;
  /** What it does, for plans and reports. */
  readonly title: string;
  /** Raised when the same inputs come to give another result. */
  readonly revision: number;
  instances(study: Study, facts: Facts): StageInstance[];
  /** Errors are the library's; a killed or cancelled run starts the instance again. */
  run(instance: StageInstance, context: StageContext): Promise<void>;
}

/** No work to speak of. */
export const littleWork: StageWork = {
  forwards: 0,
  backwards: 0,
  rate: 'none',
  units: 0,
  memoryBytes: 0,
  diskBytes: 4096,
};

/** Where an instance belongs: checkpoint, task and prompt form. */
export interface Place {
  readonly checkpoint: Checkpoint;
  readonly task: string;
  readonly form: string;
}

export const placeId = ({ checkpoint, task, form }: Place): string =>
  [checkpoint.name, task, form].map((part) => part.replaceAll(' ', '-')).join('.');

/** Every checkpoint under every task and prompt form, checkpoint by checkpoint. */
export function places(study: Study): Place[] {
  return study.checkpoints.flatMap((checkpoint) =>
    study.tasks.flatMap(({ name, forms }) =>
      forms.map(({ form }) => ({ checkpoint, task: name, form: form.name })),
    ),
  );
}
