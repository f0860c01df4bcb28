// Pairs files: JSONL (one pair a line, text, token ids or chat messages) and the known CSV forms,
// read into tokenized pairs; their hash, and writing them back.
import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import { checkAnyText, checkPairs, checkText, checkTokenizer } from './argument-checks.js';
import { writeFileAtomic } from './atomic-file.js';
import { CallbackWatch, type CallbackResult } from './callbacks.js';
import { HeadsparkError } from './errors.js';
import { repeatedKey } from './json-file.js';
import { checkOptionNames, optionNames } from './option-checks.js';
import { readLines } from './pairs/lines.js';
import { pairError } from './pairs/pair-error.js';
import { tokenizePair } from './pairs/tokenize-pair.js';
import type { PairOptions, PairPlace, RawPair, TokenizedPair } from './pairs/types.js';
import type { Tokenizer } from './tokenizer.js';
import { readCsvPairs } from './tasks/csv-pairs.js';

export { singleToken } from './pairs/answer-token.js';
export { inspectPairs } from './pairs/inspect.js';
export type { InspectPairsOptions, PairsInspection, RefusedLine } from './pairs/inspect.js';
export { describePair, reportPairs } from './pairs/report.js';
export type { MetricSupport, PairDescription, PairsReport, TextMismatch } from './pairs/report.js';
export { tokenizePair } from './pairs/tokenize-pair.js';
export type { PairMetric, PairOptions, PairPlace, RawPair, TokenizedPair } from './pairs/types.js';

/** How a file of pairs is read, and what becomes of pairs that do not fit. */
export interface ReadPairsOptions extends PairOptions {
  /** Read at most this many pairs. */
  limit?: number | undefined;
  /**
   * Called for each pair that does not fit this tokenizer (unequal lengths, an answer of several
   * tokens, ...), which is then left out. Without it such a pair is an error.
   */
  onUnfit?: ((error: HeadsparkError) => CallbackResult) | undefined;
  /**
   * Called for each line that is no pair for any tokenizer (not JSON, not the header's columns),
   * which is then left out. Without it such a line is an error.
   */
  onBroken?: ((error: HeadsparkError) => CallbackResult) | undefined;
  /** Called for every prompt that is rendered from `messages`. */
  onMessages?: (() => CallbackResult) | undefined;
  /** Column of a CSV file to take as the corrupted prompt. Default `corrupted`. */
  corruptedColumn?: string | undefined;
}

function parseJsonLine(text: string, file: string, line: number): RawPair {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw pairError({ file, line }, `not valid JSON (${(cause as Error).message}).`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw pairError(
      { file, line },
      'each line must be a JSON object with "clean" and "corrupted".',
    );
  }
  const key = repeatedKey(text);
  if (key !== undefined) throw pairError({ file, line }, `"${key}" stands there twice.`);
  return value as RawPair;
}

async function* readJsonLines(
  file: string,
  { onBroken }: ReadPairsOptions,
): AsyncGenerator<{ line: number; raw: RawPair }> {
  for await (const { number, text } of readLines(file)) {
    if (text.trim() === '') continue;
    let raw: RawPair;
    try {
      raw = parseJsonLine(text, file, number);
    } catch (error) {
      if (!onBroken || !(error instanceof HeadsparkError)) throw error;
      onBroken(error);
      continue;
    }
    yield { line: number, raw };
  }
}

const readOptions = optionNames<ReadPairsOptions>({
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
  onUnfit: true,
  onBroken: true,
  corruptedColumn: true,
});

function checkReading(file: string, options: ReadPairsOptions): void {
  checkText('readPairs', 'a path', file);
  checkOptionNames('readPairs', options, readOptions);
  if (options.tokenizer !== undefined) checkTokenizer('readPairs', options.tokenizer);
}

/**
 * Reads pairs one by one; see `readPairs`.
 * A line's keys: `clean`, `corrupted` (text or ids), or `messages` and `corrupted_messages`, with
 * `opening` and `corrupted_opening` (text or ids); `correct`, `incorrect` (a token's text, an id,
 * or a list); `continuation` (text or ids); `enable_thinking`. Other keys are ignored.
 */
export async function* streamPairs(
  file: string,
  options: ReadPairsOptions = {},
): AsyncGenerator<TokenizedPair> {
  checkReading(file, options);
  const isCsv = extname(file).toLowerCase() === '.csv';
  const watch = new CallbackWatch(() => undefined);
  const { onUnfit, onBroken, onMessages } = options;
  const own: ReadPairsOptions = {
    ...options,
    ...(onUnfit && { onUnfit: watch.over(onUnfit) }),
    ...(onBroken && { onBroken: watch.over(onBroken) }),
    ...(onMessages && { onMessages: watch.over(onMessages) }),
  };
  const rows = isCsv ? readCsvPairs(file, own) : readJsonLines(file, own);
  let index = 0;
  for await (const { line, raw } of rows) {
    if (options.limit !== undefined && index >= options.limit) break;
    const pair = tokenizeOrSkip(raw, { file, line, index }, own);
    if (!pair) continue;
    yield pair;
    index++;
  }
  await watch.settle(undefined);
}

function tokenizeOrSkip(
  raw: RawPair,
  place: PairPlace,
  options: ReadPairsOptions,
): TokenizedPair | undefined {
  try {
    return tokenizePair(raw, place, options);
  } catch (error) {
    if (!options.onUnfit || !(error instanceof HeadsparkError)) throw error;
    options.onUnfit(error);
    return undefined;
  }
}

/**
 * Reads a pairs file: `.csv` in the known column forms, everything else as JSONL.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_PAIR_FORMAT (also for a file without pairs)
 *   or ERR_HEADSPARK_PAIR_LENGTH; messages about a pair begin with file:line.
 */
export async function readPairs(
  file: string,
  options: ReadPairsOptions = {},
): Promise<TokenizedPair[]> {
  checkReading(file, options);
  const { limit } = options;
  if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) {
    const message = `the number of pairs to read must be a positive whole number, not ${limit}.`;
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
  }
  const pairs: TokenizedPair[] = [];
  let firstUnfit: HeadsparkError | undefined;
  const onUnfit =
    options.onUnfit &&
    ((error: HeadsparkError): CallbackResult => {
      firstUnfit ??= error;
      return options.onUnfit?.(error);
    });
  const settings: ReadPairsOptions = onUnfit ? { ...options, onUnfit } : options;
  for await (const pair of streamPairs(file, settings)) pairs.push(pair);
  if (pairs.length === 0) {
    const reason = firstUnfit ? ` that fit; the first: ${firstUnfit.message}` : '.';
    throw new HeadsparkError('ERR_HEADSPARK_PAIR_FORMAT', `${file} has no pairs${reason}`);
  }
  return pairs;
}

/**
 * SHA-256 (hex) of what attribution reads of the pairs, in order: token ids, answers (as sets) and
 * continuations. Texts, lines and the file's spelling do not count.
 */
export function pairsHash(pairs: readonly TokenizedPair[]): string {
  checkPairs('pairsHash', pairs);
  const hash = createHash('sha256').update('headspark-pairs-1\n');
  const sorted = (ids: readonly number[]): number[] => [...ids].sort((a, b) => a - b);
  for (const pair of pairs) {
    const parts = [
      Array.from(pair.clean),
      Array.from(pair.corrupted),
      sorted(pair.correct),
      sorted(pair.incorrect),
      pair.continuation ?? null,
    ];
    hash.update(`${JSON.stringify(parts)}\n`);
  }
  return hash.digest('hex');
}

/** Pairs that are one of those before them, as far as attribution reads them. */
export function repeatedPairs(pairs: readonly TokenizedPair[]): TokenizedPair[] {
  const seen = new Set<string>();
  return pairs.filter((pair) => {
    const before = seen.size;
    return seen.add(pairsHash([pair])).size === before;
  });
}

/** How pairs are written. */
export interface WritePairsOptions {
  /** With it, prompts and answers are written as text too, beside their token ids. */
  tokenizer?: Tokenizer | undefined;
}

const writeOptions = optionNames<WritePairsOptions>({ tokenizer: true });

function checkWriting(call: string, options: WritePairsOptions): void {
  checkOptionNames(call, options, writeOptions);
  if (options.tokenizer !== undefined) checkTokenizer(call, options.tokenizer);
}

/** The texts of a pair beside its ids; those of the prompts where the pair has them already. */
function textsOf(pair: TokenizedPair, tokenizer: Tokenizer | undefined): RawPair {
  const decode = (ids: ArrayLike<number>): string | undefined =>
    tokenizer?.decode(ids, { skipSpecialTokens: false });
  const each = (ids: number[]): string | string[] | undefined => {
    const texts = tokenizer && ids.map((id) => decode([id])!);
    return texts?.length === 1 ? texts[0] : texts;
  };
  const texts = {
    text: pair.text ?? decode(pair.clean),
    corrupted_text: pair.corruptedText ?? decode(pair.corrupted),
    correct_text: pair.correct.length > 0 ? each(pair.correct) : undefined,
    incorrect_text: pair.incorrect.length > 0 ? each(pair.incorrect) : undefined,
    continuation_text: pair.continuation && decode(pair.continuation),
  };
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined));
}

/** A pair as one JSONL object with token ids; `readPairs` gives the same pair back. */
export function pairToJson(pair: TokenizedPair, options: WritePairsOptions = {}): RawPair {
  checkPairs('pairToJson', [pair]);
  checkWriting('pairToJson', options);
  const { text, corruptedText } = pair;
  if (text !== undefined) checkAnyText('pairToJson', text);
  if (corruptedText !== undefined) checkAnyText('pairToJson', corruptedText);
  const single = (ids: number[]): number | number[] => (ids.length === 1 ? ids[0] : ids);
  return {
    clean: Array.from(pair.clean),
    corrupted: Array.from(pair.corrupted),
    ...(pair.correct.length > 0 ? { correct: single(pair.correct) } : {}),
    ...(pair.incorrect.length > 0 ? { incorrect: single(pair.incorrect) } : {}),
    ...(pair.continuation ? { continuation: pair.continuation } : {}),
    ...textsOf(pair, options.tokenizer),
  };
}

/** Writes pairs as JSONL, atomically. */
export async function writePairs(
  file: string,
  pairs: readonly TokenizedPair[],
  options: WritePairsOptions = {},
): Promise<void> {
  checkText('writePairs', 'a path', file);
  checkPairs('writePairs', pairs);
  checkWriting('writePairs', options);
  await writeFileAtomic(
    file,
    pairs.map((pair) => `${JSON.stringify(pairToJson(pair, options))}\n`).join(''),
  );
}
