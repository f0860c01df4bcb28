// The pair generators by name.
import { HeadsparkError } from '../errors.js';
import type { TokenizedPair } from '../pairs/types.js';
import type { Tokenizer } from '../tokenizer.js';
import { generateArithmetic, type ArithmeticOptions } from './arithmetic.js';
import type { GenerateOptions } from './generator.js';
import { generateGreaterThan, type GreaterThanOptions } from './greater-than.js';
import { generateIoi, type IoiOptions } from './ioi.js';

export { generateArithmetic, generateGreaterThan, generateIoi };
export type { ArithmeticOptions, GenerateOptions, GreaterThanOptions, IoiOptions };

/** The options of every task by its name. */
export interface TaskOptions {
  ioi: IoiOptions;
  'greater-than': GreaterThanOptions;
  arithmetic: ArithmeticOptions;
}

export type TaskName = keyof TaskOptions;

const generators: {
  [Name in TaskName]: (tokenizer: Tokenizer, options: TaskOptions[Name]) => TokenizedPair[];
} = {
  ioi: generateIoi,
  'greater-than': generateGreaterThan,
  arithmetic: generateArithmetic,
};

/** The names of the tasks. */
export const taskNames = Object.keys(generators) as TaskName[];

/**
 * Makes pairs of a task.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an unknown task or options out of range,
 *   ERR_HEADSPARK_TOKENIZER when the tokenizer cannot make valid pairs.
 */
export function generatePairs<Name extends TaskName>(
  task: Name,
  tokenizer: Tokenizer,
  options: TaskOptions[Name],
): TokenizedPair[] {
  if (!taskNames.includes(task)) {
    const message = `the task "${task}" is unknown: use ${taskNames.join(', ')}.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  return generators[task](tokenizer, options);
}
