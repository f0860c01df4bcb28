// The embedded demo series: where it lies, what its training log says, and which checkpoints the
// demo compares.
import { join } from 'node:path';
import { HeadsparkError } from '../errors.js';
import { readJsonIfExists } from '../json-file.js';
import { packageRoot } from '../version.js';

/** One checkpoint of the series, as the training log has it. */
export interface DemoCheckpoint {
  /** Also the name of its folder. */
  readonly label: string;
  readonly regime: string;
  readonly step: number;
  /** Share of held-out problems solved when generating, with and without thinking. */
  readonly accuracyThinking: number;
  readonly accuracyDirect: number;
}

/** The checkpoints that the demo compares: the base and the last of each regime. */
export interface DemoSeries {
  readonly folder: string;
  readonly pairsFile: string;
  readonly base: DemoCheckpoint;
  readonly post: readonly DemoCheckpoint[];
}

const damaged = (file: string, problem: string): HeadsparkError =>
  new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${file} ${problem}; install headspark again, or train the series with scripts/demo/main.py.`,
  );

const accuracyOf = (value: unknown): number =>
  Number((value as { accuracy?: unknown } | undefined)?.accuracy ?? NaN);

function checkpointOf(value: unknown, file: string): DemoCheckpoint {
  const entry = (value ?? {}) as Record<string, unknown>;
  const { label, regime, step } = entry;
  if (typeof label !== 'string' || typeof regime !== 'string' || typeof step !== 'number') {
    throw damaged(file, 'has a checkpoint without label, regime and step');
  }
  return {
    label,
    regime,
    step,
    accuracyThinking: accuracyOf(entry['thinkingOn']),
    accuracyDirect: accuracyOf(entry['thinkingOff']),
  };
}

function lastOf(checkpoints: readonly DemoCheckpoint[], regime: string): DemoCheckpoint[] {
  const own = checkpoints.filter((checkpoint) => checkpoint.regime === regime);
  own.sort((a, b) => a.step - b.step);
  return own.slice(-1);
}

/**
 * The series in a folder; default: the one in this package.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_FILE_CORRUPT.
 */
export async function demoSeries(
  folder = join(packageRoot, 'lib', 'demo', 'models'),
): Promise<DemoSeries> {
  const file = join(folder, 'log.json');
  const log = await readJsonIfExists(file);
  if (!log) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_FILE_NOT_FOUND',
      `${file} does not exist; the demo's checkpoints are not installed.`,
    );
  }
  const { checkpoints: entries } = log;
  if (!Array.isArray(entries)) throw damaged(file, 'lists no checkpoints');
  const checkpoints = entries.map((entry) => checkpointOf(entry, file));
  const base = lastOf(checkpoints, 'base')[0];
  const post = [...lastOf(checkpoints, 'sft'), ...lastOf(checkpoints, 'grpo')];
  if (!base || post.length < 2) throw damaged(file, 'lacks a base, an SFT or a GRPO checkpoint');
  return { folder, pairsFile: join(folder, 'pairs-steps.jsonl'), base, post };
}
