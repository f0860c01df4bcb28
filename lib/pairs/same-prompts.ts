// Pairs that no edge can matter to: the corrupted prompt is the clean one, or the right tokens are also
// the wrong ones, so that the metric is 0 whatever the model does.
import { HeadsparkError } from '../errors.js';
import type { PairMetric, TokenizedPair } from './types.js';

export const hasSamePrompts = ({ clean, corrupted }: TokenizedPair): boolean =>
  clean.length === corrupted.length && clean.every((id, place) => id === corrupted[place]);

function hasSameAnswers({ correct, incorrect }: TokenizedPair): boolean {
  const [right, wrong] = [new Set(correct), new Set(incorrect)];
  return right.size === wrong.size && [...right].every((id) => wrong.has(id));
}

/** Whether only what the right tokens have over the wrong ones counts. */
const tellsAnswersApart = (metric: PairMetric): boolean =>
  metric === 'logit-diff' || metric === 'prob-diff';

/** @throws ERR_HEADSPARK_PAIR_FORMAT naming the first line where all pairs are such. */
export function checkContrast(pairs: readonly TokenizedPair[], metric: PairMetric): void {
  const refuse = (of: (pair: TokenizedPair) => boolean, what: string, advice: string): void => {
    if (pairs.length === 0 || !pairs.every(of)) return;
    const which = pairs.length === 1 ? '' : ` (and those of all ${pairs.length} pairs)`;
    throw new HeadsparkError(
      'ERR_HEADSPARK_PAIR_FORMAT',
      `${what} of line ${pairs[0].line}${which} are the same, so that no edge has a score; ${advice}.`,
    );
  };
  refuse(
    hasSamePrompts,
    'the clean and the corrupted prompt',
    'corrupt what the answer depends on',
  );
  if (!tellsAnswersApart(metric)) return;
  refuse(
    hasSameAnswers,
    'the correct and the incorrect tokens',
    'give as incorrect what the corrupted prompt calls for',
  );
}
