// What heads a command gates: --heads, --single or --diff with --top-k, as a plan of sets.

import type { AblationPlan } from '../ablation.js';
import { headsOfGroup, readDiffReport, type HeadGroup } from '../diff-report.js';
import { parseHeadSets, type HeadShape } from '../head-gate.js';
import { usageError, type Arguments } from './arguments.js';

/** Throws unless exactly one way of naming heads is given; with `optional` none will do. */
export function checkPlanOptions(args: Arguments, { optional = false } = {}): void {
  const given = [
    args.text('heads') === undefined ? '' : '--heads',
    args.flag('single') ? '--single' : '',
    args.text('diff') === undefined ? '' : '--diff',
  ].filter((option) => option !== '');
  if (given.length === 0 && !optional) {
    throw usageError('say what to ablate: --heads "3.1,5.0", --single or --diff diff.json.');
  }
  if (given.length > 1) throw usageError(`give one of ${given.join(' and ')}, not both.`);
}

/** The plan that the arguments name, heads checked against the model; `single` where none is. */
export async function planOf(args: Arguments, shape: HeadShape): Promise<AblationPlan> {
  const [heads, diff] = [args.text('heads'), args.text('diff')];
  if (heads !== undefined) return { kind: 'sets', sets: parseHeadSets(heads, shape) };
  if (diff === undefined) return { kind: 'single' };
  const group = args.choice<HeadGroup>('group');
  const found = headsOfGroup(await readDiffReport(diff), group, args.text('post'));
  if (found.heads.length === 0) {
    throw usageError(
      `${diff} has no ${group} heads of ${found.other}; choose another --group or --post, ` +
        'or make the diff with another selection.',
    );
  }
  return { kind: 'top-k', heads: found.heads, k: args.value('top-k'), group };
}

/** --resamples as a number; undefined: the default. */
export function resamplesOf(args: Arguments): number | undefined {
  const text = args.text('resamples');
  if (text === undefined || text === 'auto') return undefined;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw usageError(`--resamples "${text}" is neither a whole number of at least 1 nor auto.`);
}
