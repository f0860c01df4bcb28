// Checks of what the public functions are given beside options, for callers without TypeScript. Each
// refusal names the call, what it got and what makes such a thing.
import { HeadsparkError } from './errors.js';
import { shown } from './option-checks.js';

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Token ids or numbers, in an array or a typed one whose memory was not given to another thread. */
function isList(value: unknown): boolean {
  if (Array.isArray(value)) return true;
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return false;
  try {
    // Refuses arrays of a detached buffer, as their other methods would later.
    (value as Uint8Array).values();
    return true;
  } catch {
    return false;
  }
}

function areNumbers(list: ArrayLike<unknown>): boolean {
  // A list's hole is one that `every` does not look at.
  return ArrayBuffer.isView(list)
    ? !(list instanceof BigInt64Array || list instanceof BigUint64Array)
    : Array.from(list).every((item) => typeof item === 'number');
}

function check(fits: boolean, call: string, place: { takes: string; value: unknown }): void {
  if (fits) return;
  const message = `${call} takes ${place.takes}, not ${shown(place.value)}.`;
  throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkText(call: string, what: string, value: unknown): void {
  check(typeof value === 'string' && value !== '', call, { takes: `${what} as a text`, value });
}

/** A text that may be empty. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkAnyText(call: string, value: unknown): void {
  check(typeof value === 'string', call, { takes: 'a text', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkTexts(call: string, what: string, value: unknown): void {
  const fits = Array.isArray(value) && value.every((text) => typeof text === 'string');
  check(fits, call, { takes: `${what} as a list of texts`, value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkTokenizer(call: string, value: unknown): void {
  const fits = isObject(value) && typeof value['encode'] === 'function';
  check(fits, call, { takes: 'a tokenizer of a model or of loadTokenizer', value });
}

/** Whole numbers in an array or a typed one. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkIds(call: string, what: string, value: unknown): void {
  const fits = isList(value) && Array.from(value as ArrayLike<unknown>).every(Number.isInteger);
  check(fits, call, { takes: `${what} as a list of token ids`, value });
}

/** An array or a typed one, whatever is in it. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkList(call: string, what: string, value: unknown): void {
  check(isList(value), call, { takes: `${what} as a list`, value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkSizes(call: string, what: string, value: unknown): void {
  const fits =
    Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
  check(fits, call, { takes: `${what} as a list of sizes`, value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkObjects(call: string, what: string, value: unknown): void {
  const fits = Array.isArray(value) && value.every(isObject);
  check(fits, call, { takes: `${what} as a list of objects`, value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkRecord(call: string, what: string, value: unknown): void {
  check(isObject(value) && !Array.isArray(value), call, { takes: what, value });
}

/** Options of which not every name is known here. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkSomeOptions(call: string, value: unknown): void {
  checkRecord(call, 'its options as an object', value);
}

/** Numbers in an array or a typed one, NaN among them. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkNumbers(call: string, value: unknown): void {
  const fits = isList(value) && areNumbers(value as ArrayLike<unknown>);
  check(fits, call, { takes: 'a list of numbers', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkModel(call: string, value: unknown): void {
  const fits = isObject(value) && isObject(value['info']) && typeof value['handle'] === 'function';
  check(fits, call, { takes: 'a model of loadModel', value });
}

/** What is needed of a model for its prompts. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkPromptModel(call: string, value: unknown): void {
  const fits = isObject(value) && isObject(value['info']);
  check(fits, call, { takes: 'a model of loadModel', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkFloats(call: string, what: string, value: unknown): void {
  check(value instanceof Float32Array, call, { takes: `${what} as a Float32Array`, value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkRows(call: string, value: unknown): void {
  check(Array.isArray(value), call, { takes: 'a list of rows', value });
}

/** Items that have lists under the given keys. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
function checkItems(
  call: string,
  value: unknown,
  items: { one: string; from?: string; lists: readonly string[] },
): void {
  const { one, from, lists } = items;
  const made = from === undefined ? '' : ` (${from} makes them)`;
  check(Array.isArray(value), call, { takes: `a list of ${one}s${made}`, value });
  for (const [index, item] of (value as unknown[]).entries()) {
    const lacking = lists.find((key) => !isObject(item) || !isList(item[key]));
    if (lacking === undefined) continue;
    const advice = from === undefined ? '' : `; ${from} makes ${one}s`;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${call}: ${one} ${index} has no list "${lacking}"${advice}.`,
    );
  }
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the pair. */
export function checkPairs(call: string, value: unknown): void {
  const lists = ['clean', 'corrupted', 'correct', 'incorrect'];
  checkItems(call, value, { one: 'pair', from: 'readPairs', lists });
  for (const [index, pair] of (value as Fields[]).entries()) {
    const wrong = lists.find((key) => !areNumbers(pair[key] as ArrayLike<unknown>));
    if (wrong === undefined) continue;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${call}: "${wrong}" of pair ${index} is not a list of token ids; readPairs makes pairs.`,
    );
  }
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the variant. */
export function checkSweepVariants(call: string, value: unknown): void {
  checkItems(call, value, { one: 'variant', lists: ['heads'] });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the prompt. */
export function checkHeadPrompts(call: string, value: unknown): void {
  checkItems(call, value, { one: 'prompt', from: 'headPrompts', lists: ['tokens'] });
  for (const { answers } of value as Fields[]) {
    if (answers === undefined) continue;
    checkItems(call, answers, { one: 'answer', lists: ['correct', 'incorrect'] });
  }
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkMaps(call: string, value: unknown): void {
  const fits = Array.isArray(value) && value.every((map) => isObject(map) && isObject(map['head']));
  check(fits, call, { takes: 'maps as a list of { head, prompt }', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the circuit. */
export function checkCircuits(call: string, value: unknown): void {
  const lists = ['scores', 'inGraph', 'nodesInGraph'];
  checkItems(call, value, { one: 'circuit', from: 'buildCircuit', lists });
  const shapeless = (value as Fields[]).findIndex(({ shape }) => !isObject(shape));
  if (shapeless < 0) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    `${call}: circuit ${shapeless} has no shape; buildCircuit makes circuits.`,
  );
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkCircuit(call: string, value: unknown): void {
  check(isObject(value), call, { takes: 'a circuit of buildCircuit', value });
  checkCircuits(call, [value]);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkGraph(call: string, value: unknown): void {
  const fits = isObject(value) && isObject(value['shape']) && isList(value['rowStart']);
  check(fits, call, { takes: 'a graph of graphOf', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkTable(call: string, value: unknown): void {
  const fits =
    isObject(value) &&
    isObject(value['shape']) &&
    isObject(value['meta']) &&
    value['scores'] instanceof Float32Array;
  check(fits, call, { takes: 'a score table of attribute or readScoreFile', value });
}

/** A name and what it names, under the key. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkNamed(call: string, value: unknown, key: string): void {
  const fits = isObject(value) && typeof value['name'] === 'string' && isObject(value[key]);
  check(fits, call, { takes: `every ${key} as { name, ${key} }`, value });
}

/** A score table and its name. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkNamedTable(call: string, value: unknown): void {
  checkNamed(call, value, 'table');
  checkTable(call, (value as Fields)['table']);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkBenchmark(call: string, value: unknown): void {
  const isProblem = (problem: unknown): boolean =>
    isObject(problem) &&
    ['id', 'text', 'answer'].every((name) => typeof problem[name] === 'string');
  const fits =
    isObject(value) && Array.isArray(value['problems']) && value['problems'].every(isProblem);
  check(fits, call, { takes: 'a benchmark of readBenchmark', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkTokenLists(call: string, value: unknown): void {
  const fits = Array.isArray(value) && value.every(isList);
  check(fits, call, { takes: 'a list of lists of token ids', value });
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkRequests(call: string, value: unknown): void {
  const fits = isObject(value) && (Symbol.iterator in value || Symbol.asyncIterator in value);
  check(fits, call, { takes: 'a list or an iterable of requests', value });
}

/** Prompts by themselves or with their heads. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkPrompts(call: string, value: unknown): void {
  const isPrompt = (item: unknown): boolean =>
    isList(item) || (isObject(item) && isList(item['prompt']));
  const fits = Array.isArray(value) && value.every(isPrompt);
  const takes = 'a list of prompts: lists of token ids, or objects with them in "prompt"';
  check(fits, call, { takes, value });
}

/** A prompt of one request or row. @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkPrompt(call: string, value: unknown): void {
  const fits = isObject(value) && isList(value['prompt']);
  check(fits, call, { takes: 'an object with its token ids in "prompt"', value });
}
