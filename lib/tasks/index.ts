// The pair generators by name.
import { checkTokenizer } from '../argument-checks.js';
import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { checkOptionNames, optionNames } from '../option-checks.js';
import type { TokenizedPair } from '../pairs/types.js';
import type { Tokenizer } from '../tokenizer.js';
import { Turns } from '../turns.js';
import { arithmeticPairs, generateArithmetic, type ArithmeticOptions } from './arithmetic.js';
import type { GenerateOptions, PairSteps } from './generator.js';
import { generateGreaterThan, greaterThanPairs, type GreaterThanOptions } from './greater-than.js';
import { generateIoi, ioiPairs, type IoiOptions } from './ioi.js';

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
  [Name in TaskName]: (tokenizer: Tokenizer, options: TaskOptions[Name]) => PairSteps;
} = {
  ioi: ioiPairs,
  'greater-than': greaterThanPairs,
  arithmetic: arithmeticPairs,
};

const shared = { count: true, seed: true, vocabSize: true } as const;

const optionsOf: Record<TaskName, readonly string[]> = {
  ioi: optionNames<IoiOptions>({ ...shared, corruption: true, allowMultiTokenNames: true }),
  'greater-than': optionNames<GreaterThanOptions>({ ...shared, centuries: true }),
  arithmetic: optionNames<ArithmeticOptions>({
    ...shared,
    terms: true,
    operators: true,
    minOperand: true,
    maxOperand: true,
    answerDigits: true,
    template: true,
    spaces: true,
  }),
};

/** What the making of pairs is watched with. */
export interface PairsJobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with how many pairs there are, and how many there will be. */
  readonly onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
}

/** The names of the tasks. */
export const taskNames = Object.keys(generators) as TaskName[];

/**
 * Makes pairs of a task, some 0.2 ms each; the event loop has its turns meanwhile. `generateIoi` and
 * the others make the same pairs at once.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for an unknown task or options out of range,
 *   ERR_HEADSPARK_TOKENIZER when the tokenizer cannot make valid pairs, _CANCELLED.
 */
export async function generatePairs<Name extends TaskName>(
  task: Name,
  tokenizer: Tokenizer,
  options: TaskOptions[Name] & PairsJobOptions,
): Promise<TokenizedPair[]> {
  if (!taskNames.includes(task)) {
    const message = `the task "${task}" is unknown: use ${taskNames.join(', ')}.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  checkTokenizer('generatePairs', tokenizer);
  checkOptionNames('generatePairs', options, [...optionsOf[task], 'signal', 'onProgress']);
  return withCallbacks(options, ({ signal, onProgress, ...own }) => {
    const turns = new Turns('the generation of pairs', signal);
    let told = -1;
    return turns.through(generators[task](tokenizer, own as TaskOptions[Name]), (made) => {
      if (made > told) onProgress?.({ done: made, total: options.count, phase: 'pairs' });
      told = made;
    });
  });
}
