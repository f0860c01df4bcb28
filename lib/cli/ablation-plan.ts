// What heads a command gates: --heads, --heads-file, --single or --diff with --top-k, as a plan of sets.

import type { AblationPlan } from '../ablation.js';
import { headsOfGroup, readDiffReport, type HeadGroup } from '../diff-report.js';
import { checkFactors, parseHeadSets } from '../head-gate.js';
import { readHeadSets } from '../head-sets.js';
import type { Model } from '../model.js';
import { usageError, type Arguments } from './arguments.js';
import type { Context } from './context.js';
import { diffModelNotes } from './diff-model.js';
import { refuseUnread } from './unread-options.js';

/** Throws unless exactly one way of naming heads is given; with `optional` none will do. */
export function checkPlanOptions(args: Arguments, { optional = false } = {}): void {
  const given = [
    args.text('heads') === undefined ? '' : '--heads',
    args.text('heads-file') === undefined ? '' : '--heads-file',
    args.flag('single') ? '--single' : '',
    args.text('diff') === undefined ? '' : '--diff',
  ].filter((option) => option !== '');
  if (given.length === 0 && !optional) {
    throw usageError(
      'say what to ablate: --heads "3.1,5.0", --heads-file sets.jsonl, --single or --diff diff.json.',
    );
  }
  if (!given.includes('--diff')) {
    const why = 'says which heads of a diff: add --diff FILE, or leave it out.';
    refuseUnread(args, ['top-k', 'group', 'post'], why);
  }
  if (given.length > 1) throw usageError(`give one of ${given.join(' and ')}, not both.`);
}

/** Whether heads are named, other than all of them. */
export const namesHeads = (args: Arguments): boolean =>
  (['heads', 'heads-file', 'diff'] as const).some((name) => args.has(name));

export interface NamedPlan {
  readonly plan: AblationPlan;
  /** For the notes of the result: about the model that the heads come from. */
  readonly notes: readonly string[];
}

/** The plan that the arguments name, heads checked against the model; `single` where none is. */
export async function planOf(args: Arguments, model: Model, context: Context): Promise<NamedPlan> {
  const [heads, file, path] = [args.text('heads'), args.text('heads-file'), args.text('diff')];
  const shape = model.info;
  if (file !== undefined) {
    return { plan: { kind: 'sets', sets: await readHeadSets(file, shape) }, notes: [] };
  }
  if (heads !== undefined) {
    return { plan: { kind: 'sets', sets: parseHeadSets(heads, shape) }, notes: [] };
  }
  if (path === undefined) return { plan: { kind: 'single' }, notes: [] };
  const group = args.choice<HeadGroup>('group');
  const report = await readDiffReport(path);
  const found = headsOfGroup(report, group, args.text('post'));
  if (found.heads.length === 0) {
    throw usageError(
      `${path} has no ${group} heads of ${found.other}; choose another --group or --post, ` +
        'or make the diff with another selection.',
    );
  }
  const { base, other } = found;
  return {
    plan: { kind: 'top-k', heads: found.heads, k: args.value('top-k'), group },
    notes: diffModelNotes({ path, report, base, other, group }, model, context),
  };
}

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** --factor as numbers. @throws ERR_HEADSPARK_INVALID_ARGUMENT for what is no number, and for one twice. */
export function factorsOf(args: Arguments): number[] {
  const text = args.text('factor') ?? '0';
  const items = text.split(',').map((item) => item.trim());
  const bad = items.find((item) => !decimal.test(item));
  if (bad !== undefined) {
    const what = items.length === 1 ? `"${bad.slice(0, 60)}"` : `"${text.slice(0, 60)}": "${bad}"`;
    throw usageError(`--factor ${what} is not a number; write for instance 0.5 or 0,0.5,2.`);
  }
  const factors = items.map((item) => Number(item) + 0);
  checkFactors(factors);
  if (factors.every((factor) => factor === 1)) {
    throw usageError('--factor 1 changes nothing; give another factor, or others beside it.');
  }
  return factors;
}
