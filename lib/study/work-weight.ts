// How much one stage weighs against another before anything was measured, and whether a run is long
// enough to measure.

import { sampleHeads, samplePairs } from './estimate.js';
import { generationWork, sampleRows, sampleTokens } from './estimate-generation.js';
import type { Facts } from './facts.js';
import type { StageNode } from './graph.js';
import type { Study } from './study.js';
import { mostRuns } from './timing.js';

/** Nominal rates of a small CPU; what a pass or token costs at least is what a call costs. */
const flopPerSecond = 1e12;
const leastSecondsPerPass = 2e-3;
/** Decoding waits for memory. */
const decodingFlopPerSecond = 2e11;
/** Of the most tokens, of which few samples need all. */
const leastSecondsPerToken = 5e-5;
const secondsPerMultiplyAdd = 1.4e-9;
const secondsPerDraw = 4e-8;
const secondsPerStage = 0.05;

/** Tokens of a clean prompt, over all pairs. */
function promptTokens(facts: Facts): number {
  let [tokens, pairs] = [0, 0];
  for (const known of facts.pairs.values()) {
    tokens += known.tokens;
    pairs += known.pairs.length;
  }
  return pairs > 0 ? tokens / pairs : 0;
}

interface NominalRates {
  readonly pass: number;
  readonly token: number;
}

function nominalRates(checkpoint: string, facts: Facts): NominalRates {
  const flopPerToken = 2 * (facts.checkpoints.get(checkpoint)?.parameterCount ?? 0);
  return {
    pass: Math.max(leastSecondsPerPass, (flopPerToken * promptTokens(facts)) / flopPerSecond),
    token: Math.max(leastSecondsPerToken, flopPerToken / decodingFlopPerSecond),
  };
}

const passesOf = ({ forwards, backwards }: StageNode['work']): number => forwards + 2 * backwards;

/** Nominal seconds of a stage: only ratios mean something. */
export function estimateWeight({ work, weights }: StageNode, facts: Facts): number {
  const { rate, units, draws = 0, newTokens = 0 } = work;
  const { pass, token } = nominalRates(weights[0], facts);
  const resampling = rate === 'resampling' ? units * secondsPerMultiplyAdd : 0;
  const statistics = resampling + draws * secondsPerDraw;
  return secondsPerStage + passesOf(work) * pass + newTokens * token + statistics;
}

/** How many times as long as measuring the rates its stages must take for a run to measure them. */
const worthwhile = 20;

/** Whether measuring the rates takes but a small part of what these stages take. */
export function isWorthMeasuring(
  nodes: readonly StageNode[],
  of: { study: Study; facts: Facts },
): boolean {
  const { study, facts } = of;
  const { pass, token } = nominalRates(study.bases[0].name, facts);
  const attributions = nodes.filter(({ work }) => work.rate === 'attribution');
  const perPair = Math.max(0, ...attributions.map(({ work }) => passesOf(work) / work.units));
  const runs = mostRuns * samplePairs * (perPair + 3 + sampleHeads);
  const answers = generationWork(nodes.map(({ work }) => work)).length * sampleRows * mostRuns;
  const measuring = facts.pairs.size * runs * pass + answers * (3 * pass + sampleTokens * token);
  const work = nodes.reduce((sum, node) => sum + estimateWeight(node, facts), 0);
  return work >= worthwhile * measuring;
}
