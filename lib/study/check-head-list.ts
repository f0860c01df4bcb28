// A list of heads in a study file that does not parse.

import { HeadsparkError } from '../errors.js';
import { parseHeadSets } from '../head-gate.js';
import type { Problem, ValuePath } from './source.js';

/** The problem with a text like "3.1,5.0;4.*"; none where it parses or is left out. */
export function headProblem(heads: string | undefined, path: ValuePath): Problem[] {
  if (heads === undefined) return [];
  try {
    parseHeadSets(heads.replaceAll('*', '0'));
    return [];
  } catch (error) {
    if (!(error instanceof HeadsparkError)) throw error;
    return [{ path, message: error.message.replace(/\.$/, '') }];
  }
}
