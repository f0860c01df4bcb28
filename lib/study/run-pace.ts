// What the stages of a run are expected to take: by rates that the run measures where that is a small
// part of it, or that it measured before, else by nominal ones.

import type { JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { estimateOf, measureRates, type MeasuredRates } from './estimate.js';
import type { Facts } from './facts.js';
import type { StageNode } from './graph.js';
import { keepRates, readKeptRates } from './kept-rates.js';
import type { PoolOptions } from './model-pool.js';
import { Pace, type PlannedStage } from './pace.js';
import type { Study } from './study.js';
import { estimateWeight, isWorthMeasuring } from './work-weight.js';

export interface RunPace {
  readonly pace: Pace;
  readonly planned: (node: StageNode) => PlannedStage;
}

interface RunPaceOptions {
  readonly study: Study;
  readonly facts: Facts;
  /** Folder of the run. */
  readonly out: string;
  readonly pool: PoolOptions;
  /** Whether to measure rates that are not known, where that is worth it. */
  readonly measure: boolean;
  readonly onMeasure: (done: number, total: number) => void;
}

async function ratesFor(
  nodes: readonly StageNode[],
  of: RunPaceOptions,
): Promise<MeasuredRates | undefined> {
  const { study, facts, out, pool, measure, onMeasure } = of;
  const kept = await readKeptRates(out, { study, facts, pool, nodes });
  if (kept || !measure || !isWorthMeasuring(nodes, { study, facts })) return kept;
  try {
    const works = nodes.map(({ work }) => work);
    const onProgress = ({ done, total }: JobProgress): void => onMeasure(done, total);
    const measured = await measureRates(study, facts, { ...pool, works, onProgress });
    await keepRates(out, measured, { study, facts, pool });
    return measured;
  } catch (error) {
    const cancelled = pool.signal?.aborted === true;
    // What is really wrong, the stage that needs it says; a word on the time left stops no run.
    if (cancelled || !(error instanceof HeadsparkError)) throw error;
    return undefined;
  }
}

/** The pace of the stages that are to run. */
export async function paceOfRun(nodes: readonly StageNode[], of: RunPaceOptions): Promise<RunPace> {
  const { study, facts } = of;
  const rates = await ratesFor(nodes, of);
  const seconds = new Map(
    nodes.map((node) => [
      node,
      rates ? estimateOf(node, study, rates).seconds : estimateWeight(node, facts),
    ]),
  );
  const planned = (node: StageNode): PlannedStage => ({
    kind: node.kind,
    seconds: seconds.get(node)!,
  });
  return { pace: new Pace(nodes.map(planned), { measured: rates !== undefined }), planned };
}
