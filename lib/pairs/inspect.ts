// Reads a file of pairs to its end whatever is wrong with it, and says line by line what is refused.
import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { HeadsparkError } from '../errors.js';
import { checkOptionNames, optionNames } from '../option-checks.js';
import { streamPairs, type ReadPairsOptions } from '../pairs.js';
import { Turns } from '../turns.js';
import type { TokenizedPair } from './types.js';

/** A line that gives no pair. */
export interface RefusedLine {
  readonly line: number;
  /** One sentence. */
  readonly reason: string;
  /**
   * `unfit`: a pair that does not fit this tokenizer or model, which can be left out; `broken`: no
   * pair at all; `unreadable`: what comes after it was not read either.
   */
  readonly kind: 'unfit' | 'broken' | 'unreadable';
}

/** What a file of pairs holds. */
export interface PairsInspection {
  readonly pairs: TokenizedPair[];
  /** In the order of the file. */
  readonly refused: RefusedLine[];
}

/** As for `readPairs`; what is refused is told in the result. */
export interface InspectPairsOptions extends Omit<ReadPairsOptions, 'onUnfit' | 'onBroken'> {
  readonly signal?: AbortSignal | undefined;
  /** Called for every line, with the pairs found so far. */
  readonly onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
}

const inspectOptions = optionNames<InspectPairsOptions>({
  tokenizer: true,
  chatTemplate: true,
  vocabSize: true,
  maxPositions: true,
  metric: true,
  addSpecialTokens: true,
  enableThinking: true,
  onMessages: true,
  openingLength: true,
  now: true,
  limit: true,
  corruptedColumn: true,
  signal: true,
  onProgress: true,
});

/** The line and the sentence of an error about a pair, whose message begins with file:line. */
function refusalOf(
  file: string,
  { message }: HeadsparkError,
  kind: RefusedLine['kind'],
): RefusedLine | undefined {
  if (!message.startsWith(`${file}:`)) return undefined;
  const match = /^(\d+): (.*)$/s.exec(message.slice(file.length + 1));
  return match ? { line: Number(match[1]), reason: match[2], kind } : undefined;
}

/**
 * Reads a file of pairs as `readPairs` does, and what is wrong with it line by line instead of as an
 * error. A file without a good pair is no error either.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, _INVALID_ARGUMENT, _CANCELLED.
 */
export async function inspectPairs(
  file: string,
  options: InspectPairsOptions = {},
): Promise<PairsInspection> {
  checkOptionNames('inspectPairs', options, inspectOptions);
  return withCallbacks(options, async ({ signal, onProgress, ...reading }) => {
    const turns = new Turns('the reading of pairs', signal);
    const pairs: TokenizedPair[] = [];
    const refused: RefusedLine[] = [];
    const tell = (): void => void onProgress?.({ done: pairs.length, total: 0, phase: 'pairs' });
    const refuse = (kind: RefusedLine['kind']) => (error: HeadsparkError) => {
      const line = refusalOf(file, error, kind);
      if (!line) throw error;
      turns.check();
      refused.push(line);
      tell();
    };
    const own = { ...reading, onUnfit: refuse('unfit'), onBroken: refuse('broken') };
    try {
      for await (const pair of streamPairs(file, own)) {
        pairs.push(pair);
        tell();
        await turns.give();
      }
    } catch (error) {
      if (!(error instanceof HeadsparkError) || error.code !== 'ERR_HEADSPARK_PAIR_FORMAT') {
        throw error;
      }
      refuse('unreadable')(error);
    }
    return { pairs, refused };
  });
}
