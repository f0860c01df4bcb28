// Success over several samples of a problem: pass@k, success@k and the majority vote.

import { checkList } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/**
 * The unbiased estimate of pass@k: the probability that at least one of k samples, drawn without
 * replacement from n of which c are right, is right: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021,
 * arXiv 2107.03374). Computed as a product, so that large n do not overflow.
 */
export function passAtK(n: number, c: number, k: number): number {
  const whole = [n, c, k].every(Number.isInteger);
  if (!whole || c < 0 || c > n || k < 1 || k > n) {
    throw invalid(`pass@k: need 0 <= c <= n and 1 <= k <= n, got n = ${n}, c = ${c}, k = ${k}`);
  }
  if (n - c < k) return 1;
  let allWrong = 1;
  for (let i = n - c + 1; i <= n; i++) allWrong *= 1 - k / i;
  return 1 - allWrong;
}

/**
 * success@k of one problem: 1 when at least one of its first k samples, in the order of their
 * numbers, is right, else 0. Sample s has the same number and seed in every variant, so success@k
 * follows one ordered run of attempts, where pass@k averages over all orders; its mean over
 * problems has the same expectation, and more noise. 1 <= k <= samples.
 */
export function successAtK(correct: ArrayLike<boolean | number>, k: number): number {
  checkList('successAtK', 'the samples of a problem', correct);
  if (!Number.isInteger(k) || k < 1 || k > correct.length) {
    throw invalid(`success@k: k must be a whole number from 1 to ${correct.length}, got ${k}`);
  }
  for (let sample = 0; sample < k; sample++) if (correct[sample]) return 1;
  return 0;
}

/**
 * The group with the most votes; undefined votes (no answer) do not count, and of equal groups the
 * one that was voted for first wins. Undefined when nobody voted.
 */
export function majorityVote(groups: readonly (number | undefined)[]): number | undefined {
  checkList('majorityVote', 'groups', groups);
  const votes = new Map<number, number>();
  for (const group of groups) {
    if (group !== undefined) votes.set(group, (votes.get(group) ?? 0) + 1);
  }
  let winner: number | undefined;
  // A Map keeps the order of first votes, so a later group needs more votes, not as many.
  for (const [group, count] of votes) {
    if (winner === undefined || count > votes.get(winner)!) winner = group;
  }
  return winner;
}
