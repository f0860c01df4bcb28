// What a study rests on, looked up before anything runs: the weights of every checkpoint (shape and
// fingerprint), the pairs of every task, the logs. Whatever does not fit is reported with its line.

import type { CallbackResult } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { parseHeadSets } from '../head-gate.js';
import { describeShape, edgeCount, sameGraph, type GraphShape } from '../circuit/shape.js';
import type { GpuDevice } from '../native-types.js';
import { native } from '../native.js';
import { pairsHash, readPairs, type TokenizedPair } from '../pairs.js';
import { repeatedPairsRemark } from '../pairs/repeated.js';
import { generatePairs } from '../tasks/index.js';
import type { Model } from '../model.js';
import { limitRemark, readBenchmarkFacts, type BenchmarkFacts } from './benchmark-facts.js';
import { FingerprintCache } from './fingerprint-cache.js';
import { headsPlaces } from './heads-places.js';
import { ModelPool, type PoolOptions } from './model-pool.js';
import { openingsFacts, type OpeningsFacts } from './openings-facts.js';
import type { Problem, ValuePath } from './source.js';
import type {
  AblationSpec,
  Checkpoint,
  HeadsSpec,
  PairsInput,
  PromptForm,
  Study,
  Task,
} from './study.js';
import { textHash } from './text-hash.js';
import { readTrainingLog, type TrainingLog } from './training-log.js';
import { variantCount } from './variant-counts.js';

export interface CheckpointFacts {
  readonly fingerprint: string;
  readonly shape: GraphShape;
  readonly hidden: number;
  readonly vocab: number;
  readonly parameterCount: number;
  readonly mappedBytes: number;
  readonly headDim: number;
  readonly maxPositions: number;
  /** Of tokenizer, chat template and end tokens. */
  readonly textHash: string;
}

/** The pairs of one task under one prompt form, tokenized for one base. */
export interface PairsFacts {
  readonly pairs: readonly TokenizedPair[];
  readonly hash: string;
  /** Tokens of all clean prompts. */
  readonly tokens: number;
  /** Where models write the openings of pairs: `pairs` are stand-ins, and `hash` is of the prompts. */
  readonly openings?: OpeningsFacts;
}

export interface Facts {
  readonly checkpoints: ReadonlyMap<string, CheckpointFacts>;
  /** By `pairsKey`. */
  readonly pairs: ReadonlyMap<string, PairsFacts>;
  /** By series label. */
  readonly logs: ReadonlyMap<string, TrainingLog[]>;
  /** By name. */
  readonly benchmarks: ReadonlyMap<string, BenchmarkFacts>;
  readonly device: string;
  readonly isa: string;
  readonly cpu: string;
  /** The GPU that `device` names, as this machine sees it; null on the CPU, and where it sees none. */
  readonly gpu: string | null;
}

/** The name of a base's pairs of a task under a form. */
export const pairsKey = (base: string, task: string, form: string): string =>
  `${base}.${task}.${form}`;

export interface FactsOptions extends PoolOptions {
  /** Keeps fingerprints between runs, so that unchanged weights are not read again. */
  readonly fingerprintFile?: string;
  /** Called once for every remark, when all of the study fits: `FILE: …`, one sentence. */
  readonly onRemark?: (remark: string) => CallbackResult;
}

/** A failure of the library as a problem of the study file. */
function problemOf(error: unknown, path: ValuePath): Problem {
  if (!(error instanceof HeadsparkError)) throw error;
  if (error.code === 'ERR_HEADSPARK_CANCELLED' || error.code === 'ERR_HEADSPARK_INTERNAL') {
    throw error;
  }
  return { path, message: error.message.replace(/\.$/, '') };
}

const optionAdvice = 'give the base model (the option base)';
const adapterAdvice =
  'give an adapter as adapter instead of model; it goes with the base of its series';
const baseAdvice = 'give the folder or hub id of a whole model';

class FactsReader {
  readonly problems: Problem[] = [];
  /** One file for several bases is remarked on once. */
  readonly remarks = new Set<string>();
  readonly checkpoints = new Map<string, CheckpointFacts>();
  readonly pairs = new Map<string, PairsFacts>();
  readonly logs = new Map<string, TrainingLog[]>();
  benchmarks: ReadonlyMap<string, BenchmarkFacts> = new Map();
  readonly #study: Study;
  readonly #pool: ModelPool;
  readonly #cache: FingerprintCache;
  readonly #signal: AbortSignal | undefined;

  constructor(
    study: Study,
    of: { pool: ModelPool; cache: FingerprintCache; signal: AbortSignal | undefined },
  ) {
    this.#study = study;
    this.#pool = of.pool;
    this.#cache = of.cache;
    this.#signal = of.signal;
  }

  async readCheckpoint(checkpoint: Checkpoint): Promise<void> {
    const key = checkpoint.adapter === undefined ? 'model' : 'adapter';
    const path = [...checkpoint.path, key];
    try {
      const facts = await this.#cache.facts(checkpoint, async () => {
        const model = await this.#pool.get(checkpoint);
        const { hidden, vocab, parameterCount, mappedBytes, headDim, maxPositions } = model.info;
        return {
          fingerprint: model.fingerprint(),
          shape: model.shape(this.#study.attribution.kvEdges),
          hidden,
          vocab,
          parameterCount,
          mappedBytes,
          headDim,
          maxPositions,
          textHash: await textHash(model.info),
        };
      });
      this.checkpoints.set(checkpoint.name, facts);
      this.#checkShape(checkpoint, facts, path);
    } catch (error) {
      const { message } = problemOf(error, path);
      // An adapter that stands as a model: a study has other words for its base than a call.
      const own = checkpoint.series === undefined ? baseAdvice : adapterAdvice;
      this.problems.push({ path, message: message.replace(optionAdvice, own) });
    }
  }

  #checkShape(checkpoint: Checkpoint, facts: CheckpointFacts, path: ValuePath): void {
    const base = this.checkpoints.get(checkpoint.base);
    if (!base || checkpoint.base === checkpoint.name) return;
    const shape = (of: CheckpointFacts): string =>
      `${describeShape(of.shape)}, width ${of.hidden}, vocabulary ${of.vocab}`;
    const equal =
      sameGraph(base.shape, facts.shape) &&
      base.hidden === facts.hidden &&
      base.vocab === facts.vocab;
    if (equal) return;
    const message =
      `${checkpoint.name} has another shape than its base ${checkpoint.base}: expected ` +
      `${shape(base)}; got ${shape(facts)}`;
    this.problems.push({ path, message });
  }

  async readPairs(base: Checkpoint, task: Task): Promise<void> {
    if (!this.checkpoints.has(base.name)) return;
    const model = await this.#pool.get(base);
    const seen = new Map<string, string>();
    for (const { form, input } of task.forms) {
      try {
        const facts = await this.#factsOf(model, base.name, { task, form, input });
        const { hash } = facts;
        this.pairs.set(pairsKey(base.name, task.name, form.name), facts);
        const other = seen.get(hash);
        if (other !== undefined) {
          const message =
            `the prompt forms ${other} and ${form.name} give the same pairs; give each its own ` +
            'file, or pairs with "messages", which the chat template renders';
          this.problems.push({ path: input.path, message });
        }
        seen.set(hash, form.name);
      } catch (error) {
        const problem = problemOf(error, input.path);
        // One file for several prompt forms is wrong once.
        if (!this.problems.some(({ message }) => message === problem.message)) {
          this.problems.push(problem);
        }
      }
    }
  }

  async #factsOf(
    model: Model,
    base: string,
    of: { task: Task; form: PromptForm; input: PairsInput },
  ): Promise<PairsFacts> {
    const { task, form, input } = of;
    if (input.kind === 'openings') {
      const study = this.#study;
      const { limit } = task;
      return openingsFacts(model, {
        base,
        form,
        input,
        study,
        ...(limit === undefined ? {} : { limit }),
      });
    }
    const pairs = await this.#pairsOf(model, { task, form, input });
    const tokens = pairs.reduce((sum, { clean }) => sum + clean.length, 0);
    return { pairs, hash: pairsHash(pairs), tokens };
  }

  async #pairsOf(
    model: Model,
    of: { task: Task; form: PromptForm; input: Exclude<PairsInput, { kind: 'openings' }> },
  ): Promise<TokenizedPair[]> {
    const { task, form, input } = of;
    const { tokenizer, chatTemplate, info } = model;
    if (input.kind === 'file') {
      const pairs = await readPairs(input.file, {
        ...(tokenizer ? { tokenizer } : {}),
        ...(chatTemplate ? { chatTemplate } : {}),
        ...(task.limit === undefined ? {} : { limit: task.limit }),
        ...(form.thinking === undefined ? {} : { enableThinking: form.thinking }),
        vocabSize: info.vocab,
        maxPositions: info.maxPositions,
        metric: this.#study.attribution.metric,
        // A dated template must not give other pairs tomorrow.
        now: new Date(2024, 0, 1),
      });
      const found = { count: pairs.length, noun: 'pair', limit: task.limit };
      const few = limitRemark(input.file, found);
      if (few !== undefined) this.remarks.add(few);
      const repeated = repeatedPairsRemark(pairs);
      if (repeated !== undefined) this.remarks.add(`${input.file}: ${repeated}`);
      return pairs;
    }
    if (!tokenizer) {
      const message = `${info.folder} has no tokenizer.json, which generated pairs need`;
      throw new HeadsparkError('ERR_HEADSPARK_TOKENIZER', message);
    }
    return generatePairs(input.task, tokenizer, {
      ...input.options,
      vocabSize: info.vocab,
      signal: this.#signal,
    });
  }

  async readLogs(): Promise<void> {
    for (const { label, logs } of this.#study.series) {
      const own: TrainingLog[] = [];
      for (const log of logs) {
        try {
          own.push(await readTrainingLog(log));
        } catch (error) {
          this.problems.push(problemOf(error, [...log.path, 'file']));
        }
      }
      this.logs.set(label, own);
    }
  }

  async readBenchmarks(): Promise<void> {
    this.benchmarks = await readBenchmarkFacts({
      study: this.#study,
      checkpoints: this.checkpoints,
      model: (checkpoint) => this.#pool.get(checkpoint),
      failed: (error, path) => this.problems.push(problemOf(error, path)),
      problems: this.problems,
      remarks: this.remarks,
    });
  }

  /** Pairs to draw must be there; how many openings make is known when models have written them. */
  #checkMaps(spec: HeadsSpec): void {
    if (spec.maps === 0) return;
    for (const { checkpoint, task, form } of headsPlaces(spec, this.#study)) {
      const facts = this.pairs.get(pairsKey(checkpoint.base, task, form));
      if (!facts || facts.openings || spec.mapPair < facts.pairs.length) continue;
      const message = `expected at most ${facts.pairs.length}, the pairs of ${task} (${form}), got ${spec.mapPair + 1}`;
      this.problems.push({ path: [...spec.path, 'map-pair'], message });
      return;
    }
  }

  /** What the settings ask of shapes and pairs: a selection that fits, heads and pairs that are there. */
  checkSettings(): void {
    const { selection, ablations, bases, heads } = this.#study;
    for (const spec of heads) this.#checkMaps(spec);
    for (const { name } of bases) {
      const shape = this.checkpoints.get(name)?.shape;
      if (!shape) continue;
      const edges = edgeCount(shape);
      if (selection.rule !== 'threshold' && selection.n > edges) {
        const message = `expected at most ${edges}, the edges of ${name}'s graph, got ${selection.n}`;
        this.problems.push({ path: ['selection', 'n'], message });
      }
      for (const spec of ablations) this.#checkAblation(spec, { name, shape });
    }
  }

  /** Heads that are there, and variants for every part. */
  #checkAblation(spec: AblationSpec, base: { name: string; shape: GraphShape }): void {
    const { name, what, parts, path } = spec;
    try {
      if (what.kind === 'heads') parseHeadSets(what.heads, base.shape);
    } catch (error) {
      this.problems.push(problemOf(error, [...path, 'heads']));
      return;
    }
    const most = variantCount(spec, base.shape);
    if (parts <= most) return;
    const message = `expected at most ${most}, the variants of "${name}" on ${base.name}, got ${parts}`;
    this.problems.push({ path: [...path, 'parts'], message });
  }
}

/** Name and compute capability of the GPU that a device names; null where there is none. */
export function gpuName(
  device: string,
  devices: readonly Pick<GpuDevice, 'index' | 'name' | 'computeCapability'>[],
): string | null {
  const gpu = devices.find(({ index }) => device === `cuda:${index}`);
  return gpu ? `${gpu.name}, compute ${gpu.computeCapability}` : null;
}

/**
 * Looks up and checks everything that a study rests on. Loads every checkpoint once (mapped, not
 * copied) unless its fingerprint is known.
 * @throws ERR_HEADSPARK_CONFIG with a line `FILE:LINE: KEY: …` for every problem; what the library
 *   throws for internal errors and when cancelled.
 */
export async function readFacts(study: Study, options: FactsOptions = {}): Promise<Facts> {
  // Looking up needs no other device: a study is checked where it is submitted, too.
  const pool = new ModelPool({ ...options, device: 'cpu' });
  const cache = await FingerprintCache.open(options.fingerprintFile, study.attribution.kvEdges);
  const reader = new FactsReader(study, { pool, cache, signal: options.signal });
  try {
    for (const checkpoint of study.checkpoints) await reader.readCheckpoint(checkpoint);
    for (const base of study.bases) {
      for (const task of study.tasks) await reader.readPairs(base, task);
    }
    await reader.readBenchmarks();
    await reader.readLogs();
    reader.checkSettings();
  } finally {
    pool.dispose();
  }
  if (reader.problems.length > 0) throw study.source.error(reader.problems);
  await cache.save();
  for (const remark of reader.remarks) options.onRemark?.(remark);
  const { isa, cpuName, gpu } = native().deviceInfo();
  const { device = 'cpu' } = options;
  const { checkpoints, pairs, logs, benchmarks } = reader;
  return {
    checkpoints,
    pairs,
    logs,
    benchmarks,
    device,
    isa,
    cpu: cpuName,
    gpu: gpuName(device, gpu.devices),
  };
}
