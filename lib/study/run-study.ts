// Runs the graph of a study: every node whose result is not stored yet, in order. What is finished
// is stored at once, so a run can be killed at any moment and started again.

import { join, resolve } from 'node:path';
import { clearTemporaryFiles } from '../atomic-file.js';
import { withCallbacks, type CallbackResult } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { makeFolder } from '../file-errors.js';
import { nearest } from '../nearest-word.js';
import { readFacts, type Facts } from './facts.js';
import { buildGraph, type StageNode, type StudyGraph } from './graph.js';
import { checkBegunAlike, manifestOf, writeManifest } from './manifest.js';
import type { PoolOptions } from './model-pool.js';
import type { Shard } from '../shard.js';
import { checkRunOptions } from './option-checks.js';
import { paceOfRun, type RunPace } from './run-pace.js';
import { ownsNode } from './shard.js';
import { Announcement } from './running.js';
import { StageRunner } from './stage-runner.js';
import type { DamagedResult } from './store.js';
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
  /** Results of other settings that are theirs too: what they read of earlier stages is the same. */
  readonly takenOver: { readonly kind: string; readonly id: string; readonly key: string }[];
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
  runner: StageRunner,
  options: RunOf,
): Promise<Pick<RunSummary, 'computed' | 'takenOver' | 'reused' | 'waiting'>> {
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
  const takenOver: RunSummary['takenOver'] = [];
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
    pace.begin(planned(node), await runner.isPartlyDone(node));
    if (ready) {
      options.announcement.update(node.kind, node.id, 0);
      say();
    }
    const outcome = ready ? await runner.compute(node, report) : undefined;
    pace.end(outcome === 'computed');
    const { kind, id, key } = node;
    if (outcome === 'taken') takenOver.push({ kind, id, key });
    if (outcome === 'computed') {
      computed.push({ kind, id, key });
      options.onComputed?.(node);
    }
    if (!ready) waiting++;
    say();
  }
  return { computed, takenOver, reused: nodes.length - pending.length, waiting };
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
  const runner = new StageRunner(study, facts, settings);
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
