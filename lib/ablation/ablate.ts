// An ablation with the model reduced to what it needs: a shape, a fingerprint and a sweep runner.
// lib/ablation.ts puts a real model behind it; tests put in a fake.

import { ablationKinds } from '../ablation-kinds.js';
import { HeadsparkError } from '../errors.js';
import { checkFactors, gatePositions, type HeadShape } from '../head-gate.js';
import { oneOf } from '../option-checks.js';
import { checkConfidence } from '../stats/quantile.js';
import { version } from '../version.js';
import { planAblation, type PlannedAblation } from './plan.js';
import { runVariants, unablated, type GatedHeads, type SweepRunner } from './run.js';
import { buildTable } from './table.js';
import {
  controlMatches,
  type AblateOptions,
  type AblationSettings,
  type AblationTable,
  type StatisticsOfAblation,
} from './types.js';

/** The model and pairs of an ablation. */
export interface AblationSubject {
  readonly model: string;
  readonly modelFingerprint: string;
  readonly device: string;
  readonly isa: string;
  readonly precision: string;
  readonly shape: HeadShape;
  readonly pairs: number;
  readonly pairsHash: string;
  /** What a reader of the results has to know of the pairs; default: nothing. */
  readonly notes?: readonly string[] | undefined;
  /** [layers, heads] mean lengths of what heads write on the clean prompts. */
  readonly writeNorms: () => Promise<Float32Array>;
  /** Called at most once, and not at all when a journal holds everything. */
  readonly createRunner: () => Promise<SweepRunner>;
}

/** Of every interval. */
export const defaultResamples = 10_000;
/** Random signs that the permutation tests of one table may draw (a few seconds). */
const SIGN_BUDGET = 1.5e9;
/** What they may draw where rows are so many that fewer permutations could show nothing. */
const MOST_SIGNS = 1e10;
const FEWEST_PERMUTATIONS = 9_999;
const MOST_PERMUTATIONS = 99_999;
/** With so many per row, the smallest p-value is below 0.025 after Holm's correction. */
const PERMUTATIONS_PER_ROW = 40;

/** Of the test of every row. */
export function permutationsFor(rows: number, pairs: number): number {
  const within = (signs: number): number => Math.floor(signs / (rows * pairs));
  const telling = Math.min(PERMUTATIONS_PER_ROW * rows, within(MOST_SIGNS));
  const affordable = Math.min(MOST_PERMUTATIONS, within(SIGN_BUDGET));
  return Math.max(FEWEST_PERMUTATIONS, telling, affordable);
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

function checkOptions(options: AblateOptions, pairs: number): void {
  const { factors = [0], ablation = 'zero', positions = 'all', controls = 20, seed = 0 } = options;
  if (pairs < 1) {
    throw new HeadsparkError('ERR_HEADSPARK_PAIR_FORMAT', 'an ablation needs at least one pair.');
  }
  checkFactors(factors);
  if (!ablationKinds.includes(ablation)) {
    throw invalid(
      `the ablation "${String(ablation)}" is unknown: use ${ablationKinds.join(', ')}.`,
    );
  }
  if (!gatePositions.includes(positions)) {
    throw invalid(`positions "${String(positions)}" are unknown: use ${gatePositions.join(', ')}.`);
  }
  if (!Number.isInteger(controls) || controls < 0) {
    throw invalid(`controls must be a whole number of at least 0, not ${controls}.`);
  }
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw invalid(`the seed must be a whole number of at least 0, not ${seed}.`);
  }
  oneOf('match', options.match, { allowed: controlMatches, fallback: 'layer' });
  checkConfidence(options.confidence ?? 0.95);
}

/** All settings but those of the statistics, which a table can be made with later. */
export type RunSettings = Omit<AblationSettings, 'confidence' | 'resamples' | 'permutations'>;

function runSettings(subject: AblationSubject, options: AblateOptions): RunSettings {
  const metric = options.metric ?? 'logit-diff';
  return {
    headspark: version,
    model: subject.model,
    modelFingerprint: subject.modelFingerprint,
    device: subject.device,
    isa: subject.isa,
    precision: subject.precision,
    pairs: subject.pairs,
    pairsHash: subject.pairsHash,
    metric,
    worse: metric === 'kl' || metric === 'nll' ? 'higher' : 'lower',
    ablation: options.ablation ?? 'zero',
    factors: options.factors ?? [0],
    positions: options.positions ?? 'all',
    plan: options.plan.kind,
    match: options.match ?? 'layer',
    controls: options.plan.kind === 'single' ? 0 : (options.controls ?? 20),
    seed: options.seed ?? 0,
  };
}

/** The settings of a table of so many rows. */
export function withStatistics(
  run: RunSettings,
  rows: number,
  { confidence = 0.95, resamples = defaultResamples }: StatisticsOfAblation,
): AblationSettings {
  return { ...run, confidence, resamples, permutations: permutationsFor(rows, run.pairs) };
}

/** What decides the values of a variant, beside its heads and their factor. */
export type VariantSettings = Pick<
  AblationSettings,
  | 'headspark'
  | 'modelFingerprint'
  | 'device'
  | 'isa'
  | 'precision'
  | 'pairs'
  | 'pairsHash'
  | 'metric'
  | 'ablation'
  | 'positions'
>;

/** What must be equal for a variant's stored values to be this run's. Plan and factors may differ. */
export function journalSettings(settings: VariantSettings): Record<string, unknown> {
  const { headspark, modelFingerprint, device, isa, precision, pairs, pairsHash } = settings;
  const { metric, ablation, positions } = settings;
  return {
    verb: 'ablate',
    headspark,
    modelFingerprint,
    device,
    isa,
    precision,
    pairs,
    pairsHash,
    metric,
    ablation,
    positions,
  };
}

/** Every variant of a plan, the unablated model first; some may be the same. */
export const plannedVariants = ({ rows }: PlannedAblation): GatedHeads[] => [
  unablated,
  ...rows.flatMap(({ heads, factor, controls }) => [
    { heads, factor },
    ...controls.map((control) => ({ heads: control.heads, factor })),
  ]),
];

/** Checks the options and makes the plan: what an ablation is before anything runs. */
export async function prepareAblation(
  subject: AblationSubject,
  options: AblateOptions,
): Promise<{ run: RunSettings; planned: PlannedAblation }> {
  checkOptions(options, subject.pairs);
  const planned = planAblation(options.plan, {
    shape: subject.shape,
    factors: options.factors ?? [0],
    controls: options.controls ?? 20,
    seed: options.seed ?? 0,
    ...(options.match === 'write-norm' ? { writeNorms: await subject.writeNorms() } : {}),
  });
  const notes = [...planned.notes, ...(subject.notes ?? [])];
  return { run: runSettings(subject, options), planned: { ...planned, notes } };
}

/** Plans, runs (or resumes) and evaluates an ablation; see `ablate` for options and errors. */
export async function ablateSubject(
  subject: AblationSubject,
  options: AblateOptions,
): Promise<AblationTable> {
  const { run, planned } = await prepareAblation(subject, options);
  const settings = withStatistics(run, planned.rows.length, options);
  const { journal, signal, onPlan, onProgress, onRemark } = options;
  const results = await runVariants(plannedVariants(planned), {
    createRunner: subject.createRunner,
    pairs: subject.pairs,
    journal:
      journal === undefined
        ? undefined
        : { path: journal, settings: journalSettings(settings), onRemark },
    signal,
    onPlan,
    onProgress,
  });
  return buildTable({ settings, planned, results, signal });
}
