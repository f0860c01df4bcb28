// The selection of edges from the command line, and in a circuit file's meta data, so that `diff`
// can rebuild circuits the way they were made.

import type { BuildCircuitOptions } from '../circuit/circuit.js';
import type { ScoreMeta } from '../circuit/score-table.js';
import type { Ranking } from '../circuit/select.js';
import { usageError, type Arguments } from './arguments.js';
import { refuseUnread } from './unread-options.js';

/** The selection that the options describe; undefined when none of them is given. */
export function selectionOf(args: Arguments): BuildCircuitOptions | undefined {
  const rules = (['top-n', 'tau-all', 'greedy'] as const).filter(
    (name) => args.number(name) !== undefined,
  );
  if (rules.length > 1) {
    throw usageError(`give one of ${rules.map((name) => `--${name}`).join(' and ')}, not both.`);
  }
  const tau = args.number('tau');
  const [rule] = rules;
  if (tau !== undefined && rule !== 'top-n') {
    throw usageError('--tau thins out --top-n; for every edge that reaches tau use --tau-all.');
  }
  const ranking = args.optionalChoice<Ranking>('ranking') ?? 'absolute';
  const common = { ranking, prune: args.switch('prune') !== false };
  switch (rule) {
    case undefined:
      refuseUnread(
        args,
        ['ranking'],
        'orders selected edges: add --top-n N, --tau-all T or --greedy N.',
      );
      return undefined;
    case 'top-n':
      return {
        rule: 'top-n',
        n: args.value('top-n'),
        ...(tau === undefined ? {} : { tau }),
        ...common,
      };
    case 'tau-all':
      return { rule: 'threshold', tau: args.value('tau-all'), ...common };
    case 'greedy':
      return { rule: 'greedy', n: args.value('greedy'), ...common };
  }
}

/** How the command line grows a circuit from the logits. */
export const greedyOption = '--greedy N';

/** A selection in words: `top 200 edges by |score|, pruned`. */
export function describeSelection(selection: BuildCircuitOptions): string {
  const by = selection.ranking === 'signed' ? 'signed score' : '|score|';
  const pruned = selection.prune === false ? 'not pruned' : 'pruned';
  switch (selection.rule) {
    case 'top-n': {
      const tau = selection.tau === undefined ? '' : ` of at least ${selection.tau}`;
      return `top ${selection.n} edges by ${by}${tau}, ${pruned}`;
    }
    case 'threshold':
      return `edges with a ${by} of at least ${selection.tau}, ${pruned}`;
    case 'greedy':
      return `${selection.n} edges greedily by ${by}, ${pruned}`;
  }
}

/** A selection as the flat values that a score file's meta data can hold. */
export function selectionMeta(selection: BuildCircuitOptions): ScoreMeta {
  return {
    selectionRule: selection.rule,
    ...('n' in selection ? { selectionN: selection.n } : {}),
    ...('tau' in selection && selection.tau !== undefined ? { selectionTau: selection.tau } : {}),
    selectionRanking: selection.ranking ?? 'absolute',
    selectionPrune: selection.prune !== false,
  };
}

/** The selection in a file's meta data; undefined when there is none, or not a whole one. */
export function selectionFromMeta(meta: ScoreMeta): BuildCircuitOptions | undefined {
  const { selectionRule: rule, selectionN: n, selectionTau: tau } = meta;
  const { selectionRanking, selectionPrune } = meta;
  const ranking: Ranking = selectionRanking === 'signed' ? 'signed' : 'absolute';
  const common = { ranking, prune: selectionPrune !== false };
  if (rule === 'threshold' && typeof tau === 'number') return { rule, tau, ...common };
  if (typeof n !== 'number') return undefined;
  if (rule === 'greedy') return { rule, n, ...common };
  if (rule === 'top-n') return { rule, n, ...(typeof tau === 'number' ? { tau } : {}), ...common };
  return undefined;
}
