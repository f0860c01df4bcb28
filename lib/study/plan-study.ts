// What a study will do and what is done: every stage with its work, its estimated time, memory and
// disk, and how much of it is stored already.

import { join } from 'node:path';
import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { readTextIfExists } from '../json-file.js';
import { Bases, type Outlook } from './basis.js';
import { estimateOf, measureRates, type Estimate, type MeasuredRates } from './estimate.js';
import type { Facts } from './facts.js';
import type { StageNode, StudyGraph } from './graph.js';
import { keepRates, ratesPath, readKeptRates } from './kept-rates.js';
import type { PoolOptions } from './model-pool.js';
import { checkPlanOptions } from './option-checks.js';
import { graphOfRun } from './run-graph.js';
import type { ResultStore } from './store.js';
import type { Study } from './study.js';
import { estimateWeight } from './work-weight.js';

/**
 * `done`: stored. `begun`: a part is kept. `ready`: its inputs are stored. `waiting`: they are not.
 */
export type NodeState = 'done' | 'begun' | 'ready' | 'waiting';

/** Whether a node that is not done takes over a stored result of other settings, computing nothing. */
export interface Kept {
  /** `maybe`: where what `keptWith` names stays as it was, which is known once it is computed. */
  readonly kept: 'yes' | 'maybe' | 'no';
  /** `the emergent heads of diff post.sums.direct` */
  readonly keptWith?: readonly string[];
}

/** One node of a plan: what it computes and, by measured rates, how long that takes. */
export interface PlannedNode extends Estimate, Kept {
  readonly kind: string;
  readonly id: string;
  readonly key: string;
  readonly state: NodeState;
  readonly forwards: number;
  readonly backwards: number;
  /** New tokens that are generated, at most. */
  readonly tokens: number;
}

/** The nodes of one kind of stage together. */
export interface PlannedKind {
  readonly kind: string;
  readonly title: string;
  readonly stages: number;
  readonly done: number;
  readonly forwards: number;
  readonly backwards: number;
  readonly tokens: number;
  /** Of what is not done yet. */
  readonly seconds: number;
  /** Of the largest stage. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/**
 * What `planStudy` gives: passes over the model, new tokens, seconds, bytes of memory and of disk.
 */
export interface StudyPlan {
  readonly study: string;
  readonly kinds: PlannedKind[];
  readonly nodes: PlannedNode[];
  readonly total: Omit<PlannedKind, 'kind' | 'title'>;
  /** File of an earlier plan or run that the rates come from; null where they were measured now. */
  readonly keptRates: string | null;
}

/** Where rates are kept, and what they are measured with. */
export interface PlanOptions extends PoolOptions {
  /** Folder of the run, there or to be: rates are read from it, else measured and kept in it. */
  readonly out?: string;
  readonly onProgress?: (progress: JobProgress) => CallbackResult;
  /** Called for remarks on what the study reads, such as pairs that repeat others. */
  readonly onRemark?: (remark: string) => CallbackResult;
}

interface Standing {
  readonly state: NodeState;
  readonly outlook?: Outlook | undefined;
}

async function standingsOf(
  nodes: readonly StageNode[],
  store: ResultStore,
): Promise<Map<StageNode, Standing>> {
  const standings = new Map<StageNode, Standing>();
  if (store.run === '') return new Map(nodes.map((node) => [node, { state: 'waiting' }]));
  const bases = new Bases(store);
  for (const node of nodes) {
    if (await store.has(node)) {
      standings.set(node, { state: 'done' });
      continue;
    }
    const inputs = Object.values(node.inputs).map((input) => standings.get(input)?.state);
    const ready = inputs.every((input) => input === 'done') ? 'ready' : 'waiting';
    const state = (await bases.isBegun(node)) ? 'begun' : ready;
    standings.set(node, { state, outlook: await bases.outlookOf(node) });
  }
  return standings;
}

const keptOf = (outlook: Outlook | undefined): Kept =>
  !outlook
    ? { kept: 'no' }
    : outlook.dependsOn.length === 0
      ? { kept: 'yes' }
      : { kept: 'maybe', keptWith: outlook.dependsOn };

function sumOf(nodes: readonly PlannedNode[]): StudyPlan['total'] {
  const sum = (value: (node: PlannedNode) => number): number =>
    nodes.reduce((total, node) => total + value(node), 0);
  return {
    stages: nodes.length,
    done: nodes.filter(({ state }) => state === 'done').length,
    forwards: sum(({ forwards }) => forwards),
    backwards: sum(({ backwards }) => backwards),
    tokens: sum(({ tokens }) => tokens),
    seconds: sum(({ state, seconds }) => (state === 'done' ? 0 : seconds)),
    memoryBytes: Math.max(0, ...nodes.map(({ memoryBytes }) => memoryBytes)),
    diskBytes: sum(({ diskBytes }) => diskBytes),
  };
}

/** Kept rates, or measured ones. */
async function ratesOf(
  nodes: readonly StageNode[],
  of: { study: Study; facts: Facts; options: PlanOptions },
): Promise<{ rates: MeasuredRates; keptRates: string | null }> {
  const { study, facts, options } = of;
  const { out } = options;
  const place = { study, facts, pool: options };
  const kept = out === undefined ? undefined : await readKeptRates(out, { ...place, nodes });
  if (out !== undefined && kept) return { rates: kept, keptRates: ratesPath(out) };
  const works = nodes.map(({ work }) => work);
  const rates = await measureRates(study, facts, { ...options, works });
  // Where the folder cannot be written, the next plan measures again.
  if (out !== undefined) await keepRates(out, rates, place).catch(() => undefined);
  return { rates, keptRates: null };
}

/**
 * Plans a study: measures rates with a few pairs (seconds to a minute), where none are kept, then
 * estimates every stage.
 * @throws as `runStudy` does for what does not fit.
 */
export async function planStudy(study: Study, options: PlanOptions = {}): Promise<StudyPlan> {
  checkPlanOptions('planStudy', study, options);
  return withCallbacks(options, (own) => planChecked(study, own));
}

async function planChecked(study: Study, options: PlanOptions): Promise<StudyPlan> {
  const { facts, graph, store } = await graphOfRun(study, options);
  const standings = await standingsOf(graph.nodes, store);
  const left = graph.nodes.filter((node) => standings.get(node)!.state !== 'done');
  const { rates, keptRates } = await ratesOf(left, { study, facts, options });
  const nodes = graph.nodes.map((node): PlannedNode => ({
    kind: node.kind,
    id: node.id,
    key: node.key,
    state: standings.get(node)!.state,
    ...keptOf(standings.get(node)!.outlook),
    forwards: node.work.forwards,
    backwards: node.work.backwards,
    tokens: node.work.newTokens ?? 0,
    ...estimateOf(node, study, rates),
  }));
  const kinds = graph.kinds.flatMap(({ kind, title }) => {
    const own = nodes.filter((node) => node.kind === kind);
    return own.length === 0 ? [] : [{ kind, title, ...sumOf(own) }];
  });
  return { study: study.name, kinds, nodes, total: sumOf(nodes), keptRates };
}

/** Nodes of one kind of stage, by state; seconds left are null where nothing is known of them. */
export interface KindStatus {
  readonly kind: string;
  readonly title: string;
  readonly stages: number;
  readonly done: number;
  readonly begun: number;
  readonly ready: number;
  readonly waiting: number;
  /** Of those that are not done: what takes over a result of other settings, or may. */
  readonly kept: number;
  readonly maybeKept: number;
  /** Seconds that finished stages took, and an estimate for the others from them, else from rates. */
  readonly secondsDone: number;
  readonly secondsLeft: number | null;
}

/** What `studyStatus` gives, read from the folder of the run. */
export interface StudyStatus {
  readonly study: string;
  readonly out: string;
  readonly kinds: KindStatus[];
  readonly nodes: (Kept & {
    readonly kind: string;
    readonly id: string;
    readonly state: NodeState;
  })[];
  /** Results of other settings or earlier versions in the same folder. */
  readonly outdated: number;
  readonly complete: boolean;
}

/** Seconds by `KIND/ID@KEY`, from the run's notes; a torn last line is left out. */
async function readTimings(run: string): Promise<Map<string, number>> {
  const text = (await readTextIfExists(join(run, 'timings.jsonl'))) ?? '';
  const times = new Map<string, number>();
  for (const line of text.split('\n')) {
    try {
      const { kind, id, key, seconds } = JSON.parse(line) as Record<string, string | number>;
      times.set(`${kind}/${id}@${key}`, Number(seconds));
    } catch {
      continue;
    }
  }
  return times;
}

/** What stages weigh: seconds where the run measured its rates. */
async function weightsOf(
  study: Study,
  run: {
    facts: Facts;
    graph: StudyGraph;
    standings: ReadonlyMap<StageNode, Standing>;
    options: PoolOptions & { out: string };
  },
): Promise<{ measured: boolean; of: (nodes: readonly StageNode[]) => number }> {
  const { facts, graph, standings, options } = run;
  const nodes = graph.nodes.filter((node) => standings.get(node)!.state !== 'done');
  const rates = await readKeptRates(options.out, { study, facts, pool: options, nodes });
  const one = (node: StageNode): number =>
    rates ? estimateOf(node, study, rates).seconds : estimateWeight(node, facts);
  return {
    measured: rates !== undefined,
    of: (some) => some.reduce((sum, node) => sum + one(node), 0),
  };
}

/** What a run has done and what is left. Measures nothing; loads what has no known fingerprint. */
export async function studyStatus(
  study: Study,
  options: PoolOptions & { out: string },
): Promise<StudyStatus> {
  checkPlanOptions('studyStatus', study, options);
  const { facts, graph, store } = await graphOfRun(study, { ...options, machine: 'run' });
  const standings = await standingsOf(graph.nodes, store);
  const times = await readTimings(store.run);
  const weight = await weightsOf(study, { facts, graph, standings, options });
  const nameOf = ({ kind, id, key }: StageNode): string => `${kind}/${id}@${key}`;
  const kinds = graph.kinds.flatMap(({ kind, title }): KindStatus[] => {
    const own = graph.nodes.filter((node) => node.kind === kind);
    if (own.length === 0) return [];
    const having = (state: NodeState) => own.filter((node) => standings.get(node)!.state === state);
    const keeping = (kept: Kept['kept']) =>
      own.filter((node) => keptOf(standings.get(node)!.outlook).kept === kept).length;
    const timed = having('done').filter((node) => times.has(nameOf(node)));
    const secondsDone = timed.reduce((sum, node) => sum + times.get(nameOf(node))!, 0);
    const left = weight.of(own) - weight.of(having('done'));
    const untimed = weight.measured ? left : null;
    return [
      {
        kind,
        title,
        stages: own.length,
        done: having('done').length,
        begun: having('begun').length,
        ready: having('ready').length,
        waiting: having('waiting').length,
        kept: keeping('yes'),
        maybeKept: keeping('maybe'),
        secondsDone,
        secondsLeft:
          left === 0 ? 0 : timed.length === 0 ? untimed : (left * secondsDone) / weight.of(timed),
      },
    ];
  });
  const current = new Set(graph.nodes.map(nameOf));
  const stored = await store.list();
  return {
    study: study.name,
    out: store.run,
    kinds,
    nodes: graph.nodes.map((node) => {
      const { state, outlook } = standings.get(node)!;
      return { kind: node.kind, id: node.id, state, ...keptOf(outlook) };
    }),
    outdated: stored.filter(({ kind, id, key }) => !current.has(`${kind}/${id}@${key}`)).length,
    complete: kinds.every(({ stages, done }) => stages === done),
  };
}
