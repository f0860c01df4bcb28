// Checks of what the functions over studies are given, before anything is read or written: a misspelled
// `only` would run the whole study, and a shard that is none would leave most of it out.
import { checkText, checkTexts } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import {
  checkOptionNames,
  optionNames,
  shown,
  trueOrFalse,
  wholeNumber,
} from '../option-checks.js';
import { checkShard } from '../shard.js';
import type { PoolOptions } from './model-pool.js';
import type { PlanOptions } from './plan-study.js';
import type { RunStudyOptions } from './run-study.js';
import type { SubmitStudyOptions } from './slurm/submit.js';

const poolOptions = {
  threads: true,
  memoryBytes: true,
  device: true,
  hub: true,
  signal: true,
} as const;

const planOptions = optionNames<PlanOptions>({
  ...poolOptions,
  out: true,
  onProgress: true,
  onRemark: true,
});

const runOptions = optionNames<RunStudyOptions>({
  ...poolOptions,
  out: true,
  only: true,
  shard: true,
  strict: true,
  patienceMs: true,
  measureRates: true,
  onProgress: true,
  onComputed: true,
  onRemark: true,
});

const submitOptions = optionNames<SubmitStudyOptions>({
  threads: true,
  device: true,
  hub: true,
  signal: true,
  out: true,
  only: true,
  taskOptions: true,
  submit: true,
  onRemark: true,
});

function checkStudy(call: string, study: unknown): void {
  if (typeof study === 'object' && study !== null && 'source' in study) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${call} takes a study of readStudy, not ${shown(study)}.`,
  );
}

function checkPool({ threads, memoryBytes, device }: PoolOptions, call: string): void {
  const high = Number.MAX_SAFE_INTEGER;
  wholeNumber('threads', threads, { low: 0, high: 1024, fallback: 0 });
  wholeNumber('memoryBytes', memoryBytes, { low: 0, high, fallback: 0 });
  if (device !== undefined) checkText(call, 'the device', device);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkPlanOptions(call: string, study: unknown, options: PlanOptions): void {
  checkStudy(call, study);
  checkOptionNames(call, options, planOptions);
  checkPool(options, call);
  if (options.out !== undefined) checkText(call, 'the folder out', options.out);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkRunOptions(study: unknown, options: RunStudyOptions): void {
  const call = 'runStudy';
  checkStudy(call, study);
  checkOptionNames(call, options, runOptions);
  checkPool(options, call);
  const { out, only, shard, strict, patienceMs, measureRates } = options;
  checkText(call, 'the folder out', out);
  if (only !== undefined) checkTexts(call, 'only', only);
  if (shard !== undefined) checkShard(shard);
  trueOrFalse('strict', strict, false);
  trueOrFalse('measureRates', measureRates, false);
  wholeNumber('patienceMs', patienceMs, { low: 0, high: 2 ** 31 - 1, fallback: 0 });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkSubmitOptions(study: unknown, options: SubmitStudyOptions): void {
  const call = 'submitStudy';
  checkStudy(call, study);
  checkOptionNames(call, options, submitOptions);
  checkPool(options, call);
  const { out, only, taskOptions, submit } = options;
  checkText(call, 'the folder out', out);
  if (only !== undefined) checkTexts(call, 'only', only);
  checkTexts(call, 'taskOptions', taskOptions);
  if (typeof submit === 'boolean') return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `submit is ${shown(submit)}; it must be true or false: whether the scripts are submitted at once.`,
  );
}
