// Reading back a diff report (hostile input: every field that is used is checked) and picking the
// heads of a group from it, most important first. Also the report as CSV.
import { csvText } from './ablation/csv.js';
import { checkRecord } from './argument-checks.js';
import { isObject } from './canonical-json.js';
import type { DiffComparison, DiffReport } from './circuit-diff.js';
import type { HeadStatus } from './diff/sets.js';
import { HeadsparkError } from './errors.js';
import { oneOf } from './option-checks.js';
import { compareHeads, type HeadRef } from './head-gate.js';
import { readJsonIfExists } from './json-file.js';

/** The groups of heads that a diff tells apart. */
export const headGroups = ['emergent', 'vanished', 'retained'] as const;
/** Heads of a diff report by what became of them. */
export type HeadGroup = (typeof headGroups)[number];

/** What ablation reads of a diff report. */
export interface DiffHeads {
  /** Whose weights were compared; older reports do not say it. */
  readonly circuits?:
    readonly { readonly name: string; readonly fingerprint?: string | undefined }[] | undefined;
  readonly comparisons: readonly {
    readonly base: string;
    readonly other: string;
    readonly heads: readonly {
      readonly layer: number;
      readonly head: number;
      readonly status: HeadStatus;
      readonly baseImportance: number;
      readonly otherImportance: number;
    }[];
  }[];
}

const corrupt = (path: string, problem: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_FILE_CORRUPT', `${path} ${problem}`);

const isIndex = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0;

function isHead(value: unknown): boolean {
  return (
    isObject(value) &&
    isIndex(value['layer']) &&
    isIndex(value['head']) &&
    ['retained', 'emergent', 'vanished', 'absent'].includes(value['status'] as string) &&
    Number.isFinite(value['baseImportance']) &&
    Number.isFinite(value['otherImportance'])
  );
}

function isComparison(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value['base'] === 'string' &&
    typeof value['other'] === 'string' &&
    Array.isArray(value['heads']) &&
    value['heads'].every(isHead)
  );
}

/** The circuits that say whose weights they are of. */
function circuitsOf(value: unknown): NonNullable<DiffHeads['circuits']> {
  if (!Array.isArray(value)) return [];
  return value.filter(isObject).flatMap(({ name, fingerprint }) => {
    return typeof name === 'string' && typeof fingerprint === 'string'
      ? [{ name, fingerprint }]
      : [];
  });
}

/**
 * Reads the heads of a report that `headspark diff` wrote.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND or ERR_HEADSPARK_FILE_CORRUPT.
 */
export async function readDiffReport(path: string): Promise<DiffHeads> {
  const report = await readJsonIfExists(path);
  if (!report) {
    throw new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', `${path} does not exist.`);
  }
  if (report['format'] !== 'headspark-diff') {
    throw corrupt(
      path,
      'is not a diff report; make one with: headspark diff BASE POST --out FILE.',
    );
  }
  if (report['version'] !== 1) {
    throw corrupt(path, `has report version ${String(report['version'])}; version 1 is read.`);
  }
  const { circuits, comparisons } = report;
  if (!Array.isArray(comparisons) || comparisons.length === 0 || !comparisons.every(isComparison)) {
    throw corrupt(path, 'has damaged comparisons; make it again with headspark diff.');
  }
  return {
    circuits: circuitsOf(circuits),
    comparisons: comparisons as DiffHeads['comparisons'],
  };
}

/**
 * The heads of a group, most important first: by importance in the post-trained circuit (in the
 * base circuit for vanished heads), then by layer and head.
 * @param post Name of the comparison's other circuit; default: the last.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for a group or a name that the report does not have.
 */
export function headsOfGroup(
  report: DiffHeads,
  group: HeadGroup,
  post?: string,
): { base: string; other: string; heads: HeadRef[] } {
  checkRecord('headsOfGroup', 'a diff report', report);
  oneOf('group', group, { allowed: headGroups, fallback: 'emergent' });
  const comparison =
    post === undefined
      ? report.comparisons.at(-1)
      : report.comparisons.find(({ other }) => other === post);
  if (!comparison) {
    const names = report.comparisons.map(({ other }) => `"${other}"`).join(', ');
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the diff has no comparison with "${post}"; it has ${names}.`,
    );
  }
  const weight = group === 'vanished' ? 'baseImportance' : 'otherImportance';
  const heads = comparison.heads
    .filter(({ status }) => status === group)
    .sort((a, b) => b[weight] - a[weight] || compareHeads(a, b))
    .map(({ layer, head }) => ({ layer, head }));
  return { base: comparison.base, other: comparison.other, heads };
}

const columns = [
  'base',
  'other',
  'head',
  'status',
  'base_importance',
  'other_importance',
  'effect',
  'importance_difference',
  'importance_difference_low',
  'importance_difference_high',
  'emergence_probability',
  'vanishing_probability',
  'retention_probability',
  'certain',
  'base_score_share',
  'other_score_share',
] as const;

type Line = Partial<Record<(typeof columns)[number], string | number>>;

function linesOf({ base, other, heads }: DiffComparison): Line[] {
  return heads.map((row): Line => ({
    base,
    other,
    head: row.name,
    status: row.status,
    base_importance: row.baseImportance,
    other_importance: row.otherImportance,
    effect: row.effect,
    base_score_share: row.baseScoreShare,
    other_score_share: row.otherScoreShare,
    ...(row.importanceDifference && {
      importance_difference: row.importanceDifference.estimate,
      importance_difference_low: row.importanceDifference.low,
      importance_difference_high: row.importanceDifference.high,
      emergence_probability: row.emergenceProbability!,
      vanishing_probability: row.vanishingProbability!,
      retention_probability: row.retentionProbability!,
      certain: row.certain ? 'yes' : 'no',
    }),
  }));
}

/** Every head of every comparison as CSV text with a header line. */
export function diffCsv(report: Pick<DiffReport, 'comparisons'>): string {
  return csvText(columns, report.comparisons.flatMap(linesOf));
}
