// From what is to be ablated to the list of variants: the rows of the table and, for every set,
// its matched random controls. Controls depend on the set and the seed alone, so that a longer
// plan, or more controls, can reuse what a journal already holds.

import { matchedControls } from '../diff/matched-controls.js';
import { normMatchedControls } from '../diff/norm-matched-controls.js';
import { HeadsparkError } from '../errors.js';
import { plural } from '../format-number.js';
import {
  allHeads,
  checkFactors,
  checkHeads,
  formatHead,
  formatHeads,
  uniqueHeads,
  withFactor,
  type HeadRef,
  type HeadShape,
} from '../head-gate.js';
import type { AblationPlan, HeadSet } from './types.js';

/** A row of the table to be. */
export interface PlannedSet {
  /** With the factor (`a3.h1 × 0.5`) where the plan has several. */
  readonly name: string;
  readonly kind: AblationPlan['kind'];
  readonly heads: readonly HeadRef[];
  /** Of the set and of its controls. */
  readonly factor: number;
  readonly controls: readonly HeadSet[];
}

export interface PlannedAblation {
  readonly rows: PlannedSet[];
  /** What a reader of the results has to know. */
  readonly notes: string[];
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

function namedSets(sets: Extract<AblationPlan, { kind: 'sets' }>['sets']): HeadSet[] {
  if (sets.length === 0) throw invalid('the ablation plan names no set of heads.');
  return sets.map((set) => {
    if ('heads' in set) return set;
    return { name: formatHeads(set) || 'empty set', heads: set };
  });
}

function cumulativeSets(plan: Extract<AblationPlan, { kind: 'top-k' }>): HeadSet[] {
  const { heads, k, group = 'heads' } = plan;
  if (!Number.isInteger(k) || k < 1) {
    throw invalid(`top-k must be a whole number of at least 1, not ${k}.`);
  }
  if (heads.length === 0) {
    throw invalid(
      `there are no ${group} heads to ablate; choose another group or another selection of edges.`,
    );
  }
  return Array.from({ length: Math.min(k, heads.length) }, (_, index) => ({
    name: `${group} top-${index + 1}`,
    heads: heads.slice(0, index + 1),
  }));
}

function setsOf(plan: AblationPlan, shape: HeadShape): HeadSet[] {
  switch (plan.kind) {
    case 'single':
      return allHeads(shape).map((ref) => ({ name: formatHead(ref), heads: [ref] }));
    case 'sets':
      return namedSets(plan.sets);
    case 'top-k':
      return cumulativeSets(plan);
  }
}

function checkSets(sets: readonly HeadSet[], shape: HeadShape): void {
  const names = new Set<string>();
  for (const { name, heads } of sets) {
    if (names.has(name)) throw invalid(`two ablated sets are named "${name}".`);
    names.add(name);
    if (heads.length === 0) throw invalid(`the set "${name}" has no heads.`);
    checkHeads(heads, shape);
  }
}

function shortOfHeads(plan: AblationPlan): string[] {
  if (plan.kind !== 'top-k' || plan.k <= plan.heads.length) return [];
  const found = plural(plan.heads.length, `${plan.group ?? 'given'} head`);
  return [`only ${found}; top-${plan.k} was asked for`];
}

/** Names in a note. */
const mostNamed = 10;

/** Sets with the heads of another, which are run once; a note names some of them. */
function repeatedSets(sets: readonly HeadSet[]): string[] {
  const first = new Map<string, string>();
  const repeated: string[] = [];
  for (const { name, heads } of sets) {
    const key = formatHeads(heads);
    const other = first.get(key);
    if (other === undefined) first.set(key, name);
    else repeated.push(`${name} (as ${other})`);
  }
  if (repeated.length === 0) return [];
  const more = repeated.length - mostNamed;
  const names = repeated.slice(0, mostNamed).join(', ') + (more > 0 ? ` and ${more} more` : '');
  return [
    `sets with the heads of another are computed once, and each counts in Holm's correction: ${names}`,
  ];
}

export interface PlanOptions {
  readonly shape: HeadShape;
  /** Every set is a row with each of them. */
  readonly factors: readonly number[];
  readonly controls: number;
  readonly seed: number;
  /** [layers, heads]: controls are matched in these instead of in layers. */
  readonly writeNorms?: ArrayLike<number> | undefined;
}

/** Control sets matched to a set; single heads have none. */
function controlsOf(set: readonly HeadRef[], plan: AblationPlan, options: PlanOptions) {
  const { shape, controls, seed, writeNorms } = options;
  if (plan.kind === 'single') return { sets: [], notes: [] };
  const matching = { shape, count: controls, seed };
  return writeNorms
    ? normMatchedControls(set, { ...matching, norms: writeNorms })
    : matchedControls(set, matching);
}

const isHeadList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((ref) => typeof ref === 'object' && ref !== null);

/** Heads, or heads with a name. */
function isSet(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return isHeadList(value);
  const { name, heads } = value as Partial<Record<string, unknown>>;
  return typeof name === 'string' && isHeadList(heads);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT for a plan that is none, or lacks its heads. */
export function checkPlan(call: string, plan: unknown): void {
  const { kind, sets, heads } = (plan ?? {}) as Partial<Record<string, unknown>>;
  const complete =
    kind === 'single' ||
    (kind === 'sets' && Array.isArray(sets) && sets.every(isSet)) ||
    (kind === 'top-k' && isHeadList(heads));
  if (complete) return;
  throw invalid(
    `${call} needs a plan: { kind: 'single' }, { kind: 'sets', sets } or ` +
      `{ kind: 'top-k', heads, k }.`,
  );
}

/**
 * The sets of a plan with their names, and what a reader has to know of them.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for empty or doubled sets, and heads not in the model.
 */
export function plannedSets(
  plan: AblationPlan,
  shape: HeadShape,
): { sets: HeadSet[]; notes: string[] } {
  const sets = setsOf(plan, shape);
  checkSets(sets, shape);
  return { sets, notes: shortOfHeads(plan) };
}

/**
 * The rows of an ablation table with their control sets: set by set, within it factor by factor.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for empty or doubled sets, heads not in the model, and
 *   factors that are doubled or not finite.
 */
export function planAblation(plan: AblationPlan, options: PlanOptions): PlannedAblation {
  const { shape, factors } = options;
  checkFactors(factors);
  const { sets, notes } = plannedSets(plan, shape);
  notes.push(...repeatedSets(sets));
  const rows = sets.flatMap(({ name, heads }): PlannedSet[] => {
    const set = uniqueHeads(heads);
    const matched = controlsOf(set, plan, options);
    notes.push(...matched.notes.map((note) => `${name}: ${note}`));
    return factors.map((factor) => {
      const own = withFactor(name, factor, factors);
      const controls = matched.sets.map((control, index) => ({
        name: `${own} control ${index + 1}`,
        heads: control,
      }));
      return { name: own, kind: plan.kind, heads: set, factor, controls };
    });
  });
  return { rows, notes };
}
