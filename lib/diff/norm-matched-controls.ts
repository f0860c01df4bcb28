// Random control sets matched in what heads write: every head of the set is stood for by a head of any
// layer whose mean write has nearly the same length. Controls of the same layers leave open whether a
// set hurts because its heads write much; these answer it.
import { checkNumbers } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import {
  allHeads,
  compareHeads,
  formatHead,
  formatHeads,
  uniqueHeads,
  type HeadRef,
} from '../head-gate.js';
import { Random } from '../stats/random.js';
import {
  checkControls,
  type MatchedControls,
  type MatchedControlsOptions,
} from './matched-controls.js';

export interface NormMatchedOptions extends MatchedControlsOptions {
  /** [layers, heads] mean length of every head's write (`headActivations`). */
  readonly norms: ArrayLike<number>;
}

/**
 * Heads nearest in the logarithm of the norm, of which one is drawn: as few as give enough different
 * sets, and never more than half of the others.
 */
function poolSize(others: number, size: number, count: number): number {
  const enough = Math.ceil((1.5 * count) ** (1 / size));
  return Math.max(2, Math.min(Math.max(4, enough), Math.floor(others / 2)));
}

/** Draws per wanted set before giving up on finding another one. */
const patience = 50;

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const short = (value: number): string => String(Number(value.toPrecision(3)));

function notesOf(
  set: readonly HeadRef[],
  sets: readonly HeadRef[][],
  of: { wanted: number; normOf: (head: HeadRef) => number },
): string[] {
  const { wanted, normOf } = of;
  const notes =
    sets.length < wanted
      ? [`only ${sets.length} different control sets were found, ${wanted} were asked for`]
      : [];
  if (sets.length === 0) return notes;
  const means = sets.map((heads) => mean(heads.map(normOf)));
  notes.push(
    `mean write norm ${short(mean(set.map(normOf)))}, of its controls ` +
      `${short(Math.min(...means))} to ${short(Math.max(...means))}`,
  );
  return notes;
}

/**
 * Control sets matched to `ablated` in the mean write norm of its heads, whatever their layers: each
 * head is replaced by one of the few heads outside the set that are nearest to it in the logarithm of
 * the norm and not taken yet (four, or more where that gives too few sets). Distinct, sorted; fewer
 * than `count` where fewer are found. Throws ERR_HEADSPARK_INVALID_ARGUMENT.
 */
export function normMatchedControls(
  ablated: readonly HeadRef[],
  options: NormMatchedOptions,
): MatchedControls {
  checkControls('normMatchedControls', ablated, options);
  const { shape, count, seed = 0, norms } = options;
  checkNumbers('normMatchedControls: norms', norms);
  const set = uniqueHeads(ablated);
  const normOf = ({ layer, head }: HeadRef): number => norms[layer * shape.heads + head];
  const heads = allHeads(shape);
  if (norms.length !== heads.length || !heads.every((head) => normOf(head) >= 0)) {
    throw invalid(`the write norms must be ${heads.length} numbers of at least 0, one a head.`);
  }
  const own = new Set(set.map(formatHead));
  const others = heads.filter((head) => !own.has(formatHead(head)));
  const logOf = (head: HeadRef): number => Math.log(Math.max(normOf(head), 1e-30));
  const ranked = set.map((head) =>
    others
      .map((other) => ({ other, distance: Math.abs(logOf(other) - logOf(head)) }))
      .sort((a, b) => a.distance - b.distance || compareHeads(a.other, b.other))
      .map(({ other }) => other),
  );
  const nearest = poolSize(others.length, set.length, count);
  const random = new Random(seed, 11);
  const sets = new Map<string, HeadRef[]>();
  for (let draw = 0; draw < patience * count && sets.size < count; draw++) {
    if (others.length < set.length) break;
    const taken = new Set<string>();
    // In random order, so that no head is always the last to choose.
    for (const place of random.shuffle(set.map((_, index) => index))) {
      const free = ranked[place].filter((head) => !taken.has(formatHead(head)));
      const pool = free.slice(0, nearest);
      taken.add(formatHead(pool[random.below(pool.length)]));
    }
    const chosen = others.filter((head) => taken.has(formatHead(head))).sort(compareHeads);
    sets.set(formatHeads(chosen), chosen);
  }
  const found = [...sets.values()];
  return {
    sets: found,
    overlappingLayers: [],
    notes: count === 0 ? [] : notesOf(set, found, { wanted: count, normOf }),
  };
}
