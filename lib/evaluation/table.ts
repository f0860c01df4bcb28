// From samples to the table: every set against the unablated model and against its matched controls,
// problems paired throughout, p-values corrected over the rows, and what the run could show at all.
import { answerSources, type AnswerSource } from '../answers/extract.js';
import { groupAnswers } from '../answers/group.js';
import { canonicalJson } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { failureSteps, findFlips, type Flip } from '../failures/summary.js';
import { formatPercent } from '../format-number.js';
import { correctedOver, withRank } from '../ablation/corrected-rows.js';
import { rankNotes } from '../ablation/rank-notes.js';
import { rankPValue } from '../ablation/row.js';
import { shown } from '../option-checks.js';
import { majorityVote, passAtK, successAtK } from '../stats/pass-at-k.js';
import { mean } from '../stats/quantile.js';
import { differenceOf } from '../stats/rounding.js';
import { shareChangeSteps, shareSteps } from '../stats/shares.js';
import { Turns, type Steps } from '../turns.js';
import { collectNearTies, isNearTie, type NamedGrid } from './near-ties.js';
import { keyText } from './plan.js';
import { changeSteps, testedBy } from './paired-change.js';
import { powerLine } from './power.js';
import type { Samples } from './run.js';
import type {
  AtK,
  ControlsComparison,
  EvaluationSettings,
  EvaluationTable,
  RowResult,
  SampleRecord,
  StatisticsOptions,
  TestedChange,
  VariantResult,
} from './types.js';

const keptFlips = 50;
/** Resamples of the failure rates: twelve intervals a row, of which nobody reads the third digit. */
const failureResamples = 2_000;

interface Statistics {
  readonly confidence: number;
  readonly resamples: number;
  readonly seed: number;
  /** Of pass@k and success@k, ascending. */
  readonly ks: readonly number[];
}

/** [problems][samples] of one variant. */
type Grid = readonly (readonly SampleRecord[])[];

function gridOf(
  samples: Samples,
  own: readonly number[],
  place: { variant: number; count: number },
): Grid {
  return own.map((problem) =>
    Array.from({ length: place.count }, (_, sample) => {
      const record = samples.get(keyText({ problem, variant: place.variant, sample }));
      if (record) return record;
      const key = keyText({ problem, variant: place.variant, sample });
      throw new HeadsparkError('ERR_HEADSPARK_INTERNAL', `sample ${key} is missing.`);
    }),
  );
}

const rightOf = (grid: Grid): number[] =>
  grid.map((own) => own.filter(({ correct }) => correct).length);

const sharesOf = (grid: Grid): number[] =>
  rightOf(grid).map((right, index) => right / grid[index].length);

/** 1 where the majority answer of a problem's samples is right. */
function* majoritiesOf(grid: Grid): Steps<number[]> {
  const majorities: number[] = [];
  for (const own of grid) {
    if (own.length === 1) {
      majorities.push(Number(own[0].correct));
      continue;
    }
    const groups = groupAnswers(own.map(({ answer }) => answer ?? undefined));
    const winner = majorityVote(groups);
    majorities.push(winner === undefined ? 0 : Number(own[groups.indexOf(winner)].correct));
    yield;
  }
  return majorities;
}

/** 1, 2, 4, … and the number of samples. */
export function defaultKs(samples: number): number[] {
  const ks: number[] = [];
  for (let k = 1; k < samples; k *= 2) ks.push(k);
  return [...ks, samples];
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for a k that this many samples do not give. */
export function checkKs(ks: readonly number[], samples: number): void {
  if (!Array.isArray(ks)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `ks is ${shown(ks)}; it must be a list of whole numbers.`,
    );
  }
  const bad = (ks as readonly number[]).find((k) => !Number.isInteger(k) || k < 1 || k > samples);
  if (bad === undefined && ks.length > 0) return;
  const what = bad === undefined ? 'no k at all' : `k = ${bad}`;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `pass@k needs whole numbers k from 1 to the ${samples} samples of a problem; got ${what}.`,
  );
}

function* atKs(
  grid: Grid,
  statistics: Statistics,
  of: (own: readonly SampleRecord[], k: number) => number,
): Steps<AtK[]> {
  const values: AtK[] = [];
  for (const k of statistics.ks) {
    const shares = grid.map((own) => of(own, k));
    values.push({ k, value: yield* shareSteps(shares, statistics) });
    yield;
  }
  return values;
}

const passOf = (own: readonly SampleRecord[], k: number): number =>
  passAtK(own.length, own.filter(({ correct }) => correct).length, k);

const successOf = (own: readonly SampleRecord[], k: number): number =>
  successAtK(
    own.map(({ correct }) => correct),
    k,
  );

function sourceCounts(grid: Grid): Record<AnswerSource | 'none', number> {
  const counts = Object.fromEntries([...answerSources, 'none'].map((source) => [source, 0]));
  for (const { source } of grid.flat()) counts[source ?? 'none']++;
  return counts as Record<AnswerSource | 'none', number>;
}

type Variant = EvaluationSettings['variants'][number];

/** The samples of one variant, and by problem whether their majority is right. */
interface Answered {
  readonly grid: Grid;
  readonly majorities: readonly number[];
}

function* variantResult(
  variant: Variant,
  grid: Grid,
  statistics: Statistics,
): Steps<VariantResult> {
  return {
    ...variant,
    accuracy: yield* shareSteps(sharesOf(grid), statistics),
    right: rightOf(grid),
    meanTokens: mean(grid.flat().map(({ tokens }) => tokens.length)),
    nearTies: grid.flat().filter(isNearTie).length,
  };
}

/** p-values are corrected later, over the table. */
function* changeOf(before: Answered, after: Answered, statistics: Statistics): Steps<TestedChange> {
  const sides = [before, after].map(({ grid, majorities }) => ({
    shares: sharesOf(grid),
    majorities,
  }));
  const [from, to] = sides;
  const { accuracy, permutation, outcomes } = yield* changeSteps(from, to, statistics);
  yield;
  const most = before.grid[0].length;
  const passes = ({ grid }: Answered): number[] => grid.map((own) => passOf(own, most));
  const { lost, gained, mcnemar } = outcomes!;
  return {
    accuracy,
    ...(most === 1
      ? {}
      : {
          passAtMost: yield* shareChangeSteps(passes(before), passes(after), testedBy(statistics)),
        }),
    lost,
    gained,
    mcnemar: { pValue: mcnemar, adjusted: mcnemar, qValue: mcnemar },
    permutation: { pValue: permutation, adjusted: permutation, qValue: permutation },
  };
}

/** Flips of both directions, as equally many as there are, in the order of the problems. */
function keptOf(flips: readonly Flip[]): Flip[] {
  const lost = flips.filter(({ direction }) => direction === 'right-to-wrong');
  const gained = flips.filter(({ direction }) => direction === 'wrong-to-right');
  const half = keptFlips / 2;
  const kept = new Set([
    ...lost.slice(0, Math.max(half, keptFlips - gained.length)),
    ...gained.slice(0, Math.max(half, keptFlips - lost.length)),
  ]);
  return flips.filter((flip) => kept.has(flip));
}

function* rowResult(
  variant: Variant,
  grids: { own: Grid; unablated: Answered; problems: readonly string[] },
  statistics: Statistics,
): Steps<RowResult> {
  const { own, unablated, problems } = grids;
  const isUnablated = variant.kind === 'unablated';
  const side = (grid: Grid) =>
    grid.map((list) => list.map((analysis) => ({ text: analysis.text, analysis })));
  const flips = isUnablated ? [] : findFlips(problems, side(unablated.grid), side(own));
  const count = (direction: string): number =>
    flips.filter((flip) => flip.direction === direction).length;
  yield;
  const result = yield* variantResult(variant, own, statistics);
  yield;
  const passAt = yield* atKs(own, statistics, passOf);
  const successAt = yield* atKs(own, statistics, successOf);
  const majorities = isUnablated ? unablated.majorities : yield* majoritiesOf(own);
  const majority = yield* shareSteps(majorities, statistics);
  yield;
  return {
    ...result,
    passAt,
    successAt,
    majority,
    majorityRight: majorities,
    sources: sourceCounts(own),
    failures: yield* failureSteps(own, isUnablated ? undefined : unablated.grid, {
      ...statistics,
      resamples: Math.min(failureResamples, statistics.resamples),
    }),
    ...(isUnablated
      ? {}
      : {
          change: yield* changeOf(unablated, { grid: own, majorities }, statistics),
          flips: keptOf(flips),
          flipCounts: {
            rightToWrong: count('right-to-wrong'),
            wrongToRight: count('wrong-to-right'),
          },
        }),
  };
}

function* compareControls(
  row: RowResult,
  unablated: VariantResult,
  controls: readonly VariantResult[],
  place: { samples: number; statistics: Statistics },
): Steps<ControlsComparison> {
  const changes = controls.map(({ accuracy }) =>
    differenceOf(unablated.accuracy.estimate, accuracy.estimate),
  );
  const rank = rankPValue(
    -(row.change?.accuracy.estimate ?? 0),
    changes.map((change) => -change),
  );
  const means = row.right.map(
    (_, problem) => mean(controls.map(({ right }) => right[problem])) / place.samples,
  );
  return {
    sets: controls.length,
    change: { mean: mean(changes), min: Math.min(...changes), max: Math.max(...changes) },
    rankPValue: rank,
    rankAdjusted: rank,
    rankQValue: rank,
    difference: yield* shareChangeSteps(
      means,
      row.right.map((right) => right / place.samples),
      testedBy(place.statistics),
    ),
  };
}

/** Corrects each kind of test over the rows that have it and change something. */
function corrected(rows: readonly RowResult[]): RowResult[] {
  const mcnemar = correctedOver(rows, (row) => row.change?.mcnemar.pValue);
  const permutation = correctedOver(rows, (row) => row.change?.permutation.pValue);
  const rank = correctedOver(rows, (row) => row.controls?.rankPValue);
  return rows.map((row) => ({
    ...row,
    ...(row.change && {
      change: {
        ...row.change,
        mcnemar: { ...row.change.mcnemar, ...mcnemar(row) },
        permutation: { ...row.change.permutation, ...permutation(row) },
      },
    }),
    ...(row.controls && { controls: withRank(row.controls, rank(row)) }),
  }));
}

/** Whether a sample was cut off inside a loop: the block that begins last reaches the end. */
const isLooping = ({ truncated, loop, tokens }: SampleRecord): boolean =>
  truncated && loop !== null && loop.start + (loop.repeats + 1) * loop.period > tokens.length;

const loopingShare = (grid: Grid): number =>
  mean(grid.flat().map((sample) => (isLooping(sample) ? 1 : 0)));

/** Samples that go round in a loop would not end however long they may be. */
function truncationNote(truncated: number, looping: number): string {
  const cut = `${formatPercent(truncated, 0)} of the unablated model's samples are cut off`;
  if (looping === 0) return `${cut}; raise the limit of new tokens`;
  const loops = `${formatPercent(looping, 0)} in a loop, which no limit ends`;
  const rest = truncated - looping;
  return rest > 0.05
    ? `${cut}, ${loops}; raise the limit of new tokens for the rest`
    : `${cut}, ${loops}`;
}

function notesOf(
  settings: EvaluationSettings,
  rows: readonly RowResult[],
  { problems, looping }: { problems: number; looping: number },
): string[] {
  const notes: string[] = [];
  if (problems < settings.problems.length) {
    notes.push(
      `these are ${problems} of ${settings.problems.length} problems; merge the shards for the rest`,
    );
  }
  if (settings.samples > 1 && settings.sampling.temperature === 0) {
    notes.push('greedy decoding gives the same sample each time: use a temperature, or one sample');
  }
  if (problems === 1) {
    notes.push(
      'one problem has no bootstrap intervals, as of tokens: they need at least 2 problems',
    );
  }
  const { modes } = rows[0].failures;
  if (modes.truncated.rate.estimate > 0.05) {
    notes.push(truncationNote(modes.truncated.rate.estimate, looping));
  }
  const { accuracy } = rows[0];
  if (rows.length > 1 && accuracy.estimate < 0.05) {
    notes.push(
      'the unablated model solves hardly anything here, so that no ablation can show a loss',
    );
  }
  // Sets that have fewer random ones than others lack them for the matching.
  const most = Math.max(0, ...rows.map(({ controls }) => controls?.sets ?? 0));
  return [...notes, ...rankNotes(rows, most)];
}

export interface BuildEvaluationOptions extends StatisticsOptions {
  readonly settings: EvaluationSettings;
  /** Indexes of the problems that the samples cover. */
  readonly own: readonly number[];
  readonly samples: Samples;
  readonly signal?: AbortSignal | undefined;
}

/** The table of finished samples. Gives the event loop its turns between statistics. */
export async function buildEvaluation(options: BuildEvaluationOptions): Promise<EvaluationTable> {
  const { own, samples, signal, confidence = 0.95, resamples = 10_000 } = options;
  const wanted = options.ks ?? defaultKs(options.settings.samples);
  checkKs(wanted, options.settings.samples);
  // Keys in one order, whether the settings come from a run or from a journal.
  const settings = JSON.parse(canonicalJson(options.settings)) as EvaluationSettings;
  const ks = [...new Set(wanted)].sort((a, b) => a - b);
  const statistics = { confidence, resamples, seed: settings.seed, ks };
  const problems = own.map((index) => settings.problems[index]);
  const gridAt = (variant: number): Grid =>
    gridOf(samples, own, { variant, count: settings.samples });
  const turns = new Turns('the evaluation', signal);
  const whole = gridAt(0);
  const unablated = { grid: whole, majorities: await turns.through(majoritiesOf(whole)) };
  const rows: RowResult[] = [];
  const controls: VariantResult[] = [];
  const grids: NamedGrid[] = [];
  for (const [index, variant] of settings.variants.entries()) {
    await turns.give();
    const grid = index === 0 ? whole : gridAt(index);
    grids.push({ variant: variant.name, problems, grid });
    if (variant.kind === 'control') {
      const fewer = { ...statistics, resamples: Math.min(resamples, 1_000) };
      controls.push(await turns.through(variantResult(variant, grid, fewer)));
    } else {
      const row = rowResult(variant, { own: grid, unablated, problems }, statistics);
      rows.push(await turns.through(row));
    }
  }
  const compared: RowResult[] = [];
  const place = { samples: settings.samples, statistics };
  for (const row of rows) {
    await turns.give();
    const matched = controls.filter(({ of }) => of === row.name);
    if (matched.length === 0) compared.push(row);
    else {
      const comparison = compareControls(row, rows[0], matched, place);
      compared.push({ ...row, controls: await turns.through(comparison) });
    }
  }
  return {
    format: 'headspark-evaluation',
    version: 1,
    settings,
    confidence,
    resamples,
    problems,
    rows: corrected(compared),
    controls,
    nearTies: collectNearTies(settings, grids),
    power: powerLine(rows[0], settings.samples, rows.filter(({ factor }) => factor !== 1).length),
    notes: [
      ...notesOf(settings, compared, { problems: own.length, looping: loopingShare(whole) }),
      ...settings.planNotes,
    ],
  };
}
