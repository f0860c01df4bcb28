// Runs the graph of a study: every node whose result is not stored yet, in order. What is finished
// is stored at once, so a run can be killed at any moment and started again.

import { appendFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { clearTemporaryFiles } from '../atomic-file.js';
import { withCallbacks, type CallbackResult } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { isDiskFull, makeFolder, writeError, writingTo } from '../file-errors.js';
import { nearest } from '../nearest-word.js';
import { readFacts, type Facts } from './facts.js';
import { buildGraph, type StageNode, type StudyGraph } from './graph.js';
import { checkBegunAlike, manifestOf, writeManifest } from './manifest.js';
import { ModelPool, type PoolOptions } from './model-pool.js';
import type { Shard } from '../shard.js';
import { checkRunOptions } from './option-checks.js';
import { paceOfRun, type RunPace } from './run-pace.js';
import { ownsNode } from './shard.js';
import { Announcement } from './running.js';
import { ResultStore, unlessDamaged, type DamagedResult, type WorkPlace } from './store.js';
import type { Study } from './study.js';

/** How far a run of a study is, in expected work. */
export interface RunProgress {
  /** Expected seconds of finished and of all pending work; only their ratio means something. */
  readonly done: number;
  readonly total: number;
  /** The part of `done` that earlier runs did, or other shards meanwhile. */
  readonly stored: number;
  /** Seconds that the rest takes; undefined while nothing is known of them. */
  readonly secondsLeft: number | undefined;
  /** `attribution sft-step10.steps.thinking (14 of 131)`. */
  readonly detail: string;
}

/**
 * Where a study runs, and what of it; only `out` must be given. Threads, memory and shards change
 * no result.
 */
export interface RunStudyOptions extends PoolOptions {
  /** Folder of the run; made where it is not there. */
  readonly out: string;
  /** Kinds of stages to run, with what they need; default: all. */
  readonly only?: readonly string[];
  readonly shard?: Shard;
  /**
   * For a task of a scheduler: an error where a stage lacks what another shard should have stored
   * (default: it is left out), and where the run was begun with another study file or processor.
   */
  readonly strict?: boolean;
  /** With `strict`: how long a result may take to be seen on this machine; default 60,000. */
  readonly patienceMs?: number;
  /**
   * Measures rates first (some seconds), where that is a small part of the run and they are not known
   * from before, so that `onProgress` tells of time as a plan does. Default false.
   */
  readonly measureRates?: boolean;
  readonly onProgress?: (progress: RunProgress) => CallbackResult;
  /** Called for every node that was computed, not for those that were there. */
  readonly onComputed?: (node: StageNode) => CallbackResult;
  /**
   * Called for remarks on what the study reads, such as pairs that repeat others, and on stored results
   * that are damaged and therefore computed again.
   */
  readonly onRemark?: (remark: string) => CallbackResult;
}

/**
 * What `runStudy` did, in nodes: one stage for one checkpoint, task, prompt form or set of heads.
 */
export interface RunSummary {
  readonly out: string;
  /** Nodes of the study's graph. */
  readonly stages: number;
  readonly computed: { readonly kind: string; readonly id: string; readonly key: string }[];
  /** Results that were there already. */
  readonly reused: number;
  /** Own nodes that need results of other shards. */
  readonly waiting: number;
  /** Every node has its result. */
  readonly complete: boolean;
  readonly seconds: number;
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for a kind of stage that does not exist. */
export function checkKinds(only: readonly string[], graph: StudyGraph): void {
  const names = graph.kinds.map(({ kind }) => kind);
  const unknown = only.find((kind) => !names.includes(kind));
  if (unknown === undefined) return;
  const near = nearest(unknown, names);
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `there is no stage "${unknown}"; the stages are ${names.join(', ')}.${hint}`,
  );
}

/** Nodes to run: those of the asked-for kinds and, in an unsharded run, all that they need. */
function wantedNodes(graph: StudyGraph, study: Study, options: RunStudyOptions): StageNode[] {
  const { only, shard } = options;
  const wanted = new Set<StageNode>();
  const add = (node: StageNode): void => {
    if (wanted.has(node)) return;
    wanted.add(node);
    Object.values(node.inputs)
      .filter((input) => ownsNode(input, study, shard))
      .forEach(add);
  };
  graph.nodes
    .filter((node) => !only || only.includes(node.kind))
    .filter((node) => ownsNode(node, study, shard))
    .forEach(add);
  return graph.nodes.filter((node) => wanted.has(node));
}

class StudyRunner {
  readonly #study: Study;
  readonly #facts: Facts;
  readonly #options: RunStudyOptions;
  readonly #store: ResultStore;
  readonly #pool: ModelPool;
  /** For stages that compute nothing with a model, which may run where the device is absent. */
  readonly #tokenizers: ModelPool;

  constructor(study: Study, facts: Facts, options: RunStudyOptions) {
    this.#study = study;
    this.#facts = facts;
    this.#options = options;
    this.#store = new ResultStore(options.out);
    this.#pool = new ModelPool(options);
    this.#tokenizers = new ModelPool({ ...options, device: 'cpu' });
  }

  dispose(): void {
    this.#pool.dispose();
    this.#tokenizers.dispose();
  }

  /** Whether there is a result to go on from: whole, to the bit. */
  async isStored(node: StageNode, onDamage?: (damage: DamagedResult) => void): Promise<boolean> {
    return (await unlessDamaged(this.#store.verify(node), onDamage)) !== undefined;
  }

  /** Whether there is a result, without reading it. */
  async isThere(node: StageNode): Promise<boolean> {
    return this.#store.has(node);
  }

  /** An earlier process began with it. */
  async isBegun(node: StageNode): Promise<boolean> {
    return this.#store.isBegun(node);
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
    await this.#store.tidy(node);
  }

  /** The work place, or undefined where another shard finished the same result meanwhile. */
  async #begin(node: StageNode): Promise<WorkPlace | undefined> {
    for (;;) {
      try {
        const place = await this.#store.begin(node);
        if (!(await this.isStored(node))) return place;
        await this.#store.discard(node, place);
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

  /** Computes and stores one node; false where it was there. */
  async compute(node: StageNode, onShare: (share: number) => void): Promise<boolean> {
    const place = await this.#begin(node);
    if (!place) return false;
    const start = performance.now();
    const pool = node.weights.length > 0 ? this.#pool : this.#tokenizers;
    try {
      await node.implementation.run(node, {
        study: this.#study,
        facts: this.#facts,
        folder: place.folder,
        stateFolder: place.stateFolder,
        needed: (role, file) => join(this.#store.folderOf(node.inputs[role]), file),
        model: (name) =>
          pool.get(this.#study.checkpoints.find((checkpoint) => checkpoint.name === name)!),
        signal: this.#options.signal,
        onProgress: onShare,
      });
      await this.#store.finish(node, place);
    } catch (error) {
      await place.lock.release();
      throw ofRun(error, this.#options.out);
    }
    await this.#noteTime(node, (performance.now() - start) / 1000);
    return true;
  }

  /** Times are kept beside the results, never in them. */
  async #noteTime({ kind, id, key }: StageNode, seconds: number): Promise<void> {
    const { threads = 0 } = this.#options;
    const entry = { kind, id, key, seconds: Number(seconds.toFixed(3)), threads };
    const path = join(this.#options.out, 'timings.jsonl');
    await writingTo(path, () => appendFile(path, `${JSON.stringify(entry)}\n`), { resumes: true });
  }
}

/** A full disk is one of the run, not of a file in the work of a stage. */
function ofRun(error: unknown, out: string): unknown {
  const full = error instanceof HeadsparkError && isDiskFull(error);
  return full ? writeError(out, error, { resumes: true }) : error;
}

function checkCancelled(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the study was cancelled.', {
    cause: signal.reason,
  });
}

interface RunOf extends RunStudyOptions {
  readonly study: Study;
  readonly facts: Facts;
  readonly announcement: Announcement;
}

async function runNodes(
  nodes: readonly StageNode[],
  runner: StudyRunner,
  options: RunOf,
): Promise<Pick<RunSummary, 'computed' | 'reused' | 'waiting'>> {
  const pending: StageNode[] = [];
  for (const node of nodes) {
    checkCancelled(options.signal);
    const say = ({ problem }: DamagedResult): CallbackResult =>
      options.onRemark?.(`${problem}: ${node.kind} ${node.id} is computed again.`);
    if (await runner.isStored(node, say)) await runner.tidy(node);
    else pending.push(node);
  }
  await runner.checkDevice(pending);
  const { pace, planned } = await paceOfPending(pending, options);
  const computed: RunSummary['computed'] = [];
  let waiting = 0;
  for (const [index, node] of pending.entries()) {
    checkCancelled(options.signal);
    const detail = `${node.kind} ${node.id} (${index + 1} of ${pending.length})`;
    const say = (): CallbackResult =>
      options.onProgress?.({
        done: pace.done,
        total: pace.total,
        stored: pace.stored,
        secondsLeft: pace.secondsLeft(),
        detail,
      });
    const report = (share: number): void => {
      options.announcement.update(node.kind, node.id, share);
      pace.update(share);
      say();
    };
    const ready = await runner.canRun(node);
    pace.begin(planned(node), await runner.isBegun(node));
    if (ready) {
      options.announcement.update(node.kind, node.id, 0);
      say();
    }
    const ran = ready && (await runner.compute(node, report));
    pace.end(ran);
    if (ran) {
      computed.push({ kind: node.kind, id: node.id, key: node.key });
      options.onComputed?.(node);
    }
    if (!ready) waiting++;
    say();
  }
  return { computed, reused: nodes.length - pending.length, waiting };
}

function paceOfPending(pending: readonly StageNode[], options: RunOf): Promise<RunPace> {
  const { study, facts, out, onProgress } = options;
  // A task of a scheduler has nobody who watches it, and others beside it that would measure too.
  const measure = options.measureRates === true && options.strict !== true;
  return paceOfRun(pending, {
    study,
    facts,
    out,
    pool: options,
    measure,
    onMeasure: (done, total) => {
      const detail = `measuring rates (${done + 1} of ${total})`;
      onProgress?.({ done: 0, total: 1, stored: 0, secondsLeft: undefined, detail });
    },
  });
}

/**
 * Runs a study, or goes on with it. Everything is checked before the first stage runs.
 * @throws ERR_HEADSPARK_CONFIG for what does not fit (a line `FILE:LINE: KEY: …` each),
 *   _INVALID_ARGUMENT, _SETTINGS_MISMATCH (the folder holds another study), _CANCELLED, and what
 *   the stages throw.
 */
export async function runStudy(study: Study, options: RunStudyOptions): Promise<RunSummary> {
  checkRunOptions(study, options);
  return withCallbacks(options, (own) => runChecked(study, own));
}

async function runChecked(study: Study, options: RunStudyOptions): Promise<RunSummary> {
  const start = performance.now();
  const out = resolve(options.out);
  const settings = { ...options, out };
  const fingerprintFile = join(out, 'fingerprints.json');
  const facts = await readFacts(study, { ...settings, fingerprintFile });
  const graph = buildGraph(study, facts);
  if (options.only) checkKinds(options.only, graph);
  const manifest = manifestOf(study, facts, graph);
  if (options.strict) await checkBegunAlike(out, manifest, study.source.text);
  await makeFolder(join(out, 'results'));
  await writeManifest(out, manifest, study.source.text);
  const runner = new StudyRunner(study, facts, settings);
  const announcement = new Announcement(out);
  try {
    const nodes = wantedNodes(graph, study, options);
    const ran = await runNodes(nodes, runner, { ...settings, study, facts, announcement });
    let stored = 0;
    for (const node of graph.nodes) if (await runner.isThere(node)) stored++;
    const complete = stored === graph.nodes.length;
    const seconds = (performance.now() - start) / 1000;
    return { out, stages: graph.nodes.length, ...ran, complete, seconds };
  } finally {
    runner.dispose();
    await announcement.end();
    await clearTemporaryFiles(out);
  }
}
