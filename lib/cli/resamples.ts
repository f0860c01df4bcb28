// --resamples, the same in every command that draws some.

import { checkConfidence } from '../stats/quantile.js';
import { usageError, type Arguments } from './arguments.js';
import type { Context } from './context.js';

/** Fewer than so many draws beyond a bound leave it to chance. */
const fewestBeyond = 5;

/**
 * --resamples as a number; undefined: the default of the command. Says so where bounds of
 * --confidence would rest on hardly any draw.
 */
export function resamplesOf(args: Arguments, context: Context): number | undefined {
  const text = args.text('resamples');
  if (text === undefined || text === 'auto') return undefined;
  if (!/^[1-9]\d*$/.test(text)) {
    throw usageError(`--resamples "${text}" is neither a whole number of at least 1 nor auto.`);
  }
  const resamples = Number(text);
  const confidence = args.value('confidence');
  checkConfidence(confidence);
  const tail = (1 - confidence) / 2;
  const enough = Math.round(fewestBeyond / tail);
  if (resamples < enough) {
    context.warn(
      `with --resamples ${resamples} each bound of an interval rests on fewer than ${fewestBeyond} ` +
        `draws, and intervals may leave out their estimate; take at least ${enough}.`,
    );
  }
  return resamples;
}
