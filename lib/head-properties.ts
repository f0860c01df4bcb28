// What heads do on prompts, through the public API: attention to kinds of tokens, entropy and
// distance, writes, direct effects on the answer and the copying score, as a table.
import { createHash } from 'node:crypto';
import {
  checkHeadPrompts,
  checkMaps,
  checkModel,
  checkPairs,
  checkTexts,
} from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { allHeads, checkHeads, formatHead, uniqueHeads, type HeadRef } from './head-gate.js';
import { defaultHeadResamples } from './heads/correlation.js';
import { headRows, uniformValues } from './heads/table.js';
import {
  classBit,
  classifyTokens,
  thinkMarkers,
  tokenClasses,
  type SeenToken,
} from './heads/token-classes.js';
import {
  headQueries,
  type AttentionMap,
  type HeadQueries,
  type HeadSettings,
  type HeadTable,
} from './heads/types.js';
import type { Model } from './model.js';
import { modelProvenance } from './model-provenance.js';
import { runJob, type JobOptions } from './native.js';
import type { NativeHeadProperties, PackedRows } from './native-types.js';
import { checkOptionNames, oneOf, optionNames, trueOrFalse, wholeNumber } from './option-checks.js';
import { packRows } from './packed.js';
import type { PairMetric, TokenizedPair } from './pairs.js';
import { checkConfidence } from './stats/quantile.js';
import { version } from './version.js';

/** A place where the model answers. */
export interface HeadAnswer {
  readonly correct: readonly number[];
  /** Empty: measured against the mean of the vocabulary. */
  readonly incorrect: readonly number[];
}

/** A prompt to look at. */
export interface HeadPrompt {
  readonly tokens: ArrayLike<number>;
  /** Answers at the last tokens, one each; default none, which leaves the direct effect undefined. */
  readonly answers?: readonly HeadAnswer[];
}

/** A map to keep: of one head on the prompt with this index. */
export interface WantedMap {
  readonly head: HeadRef;
  readonly prompt: number;
}

/** What `headProperties` tells of which heads, and how its intervals are made. */
export interface HeadPropertiesOptions extends JobOptions {
  /** Default: all heads of the model. */
  readonly heads?: readonly HeadRef[] | undefined;
  /** Default `all`. */
  readonly queries?: HeadQueries | undefined;
  /** Attention maps to keep in the table; default none. */
  readonly maps?: readonly WantedMap[] | undefined;
  /** Texts of think markers; default `thinkMarkers`. */
  readonly markers?: readonly string[] | undefined;
  /** Compute the copying score, which takes one pass over the vocabulary. Default true. */
  readonly copying?: boolean | undefined;
  /** Of the intervals; default 0.95. */
  readonly confidence?: number | undefined;
  /** Bootstrap resamples of prompts; default 2,000. */
  readonly resamples?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/**
 * The clean prompts of pairs with what the metric reads as answers: the pair's tokens after the
 * last one, or for `nll` every token of the continuation after the one before it.
 */
export function headPrompts(pairs: readonly TokenizedPair[], metric: PairMetric): HeadPrompt[] {
  checkPairs('headPrompts', pairs);
  return pairs.map(({ clean, correct, incorrect, continuation }) => {
    if (metric === 'nll') {
      const gold = continuation ?? [];
      return {
        tokens: [...clean, ...gold.slice(0, -1)],
        answers: gold.map((token) => ({ correct: [token], incorrect: [] })),
      };
    }
    return { tokens: clean, answers: correct.length > 0 ? [{ correct, incorrect }] : [] };
  });
}

/** 64 hexadecimal digits that tell prompts and their answers from others. */
function promptsHash(prompts: readonly HeadPrompt[]): string {
  const hash = createHash('sha256').update('headspark-head-prompts-1\n');
  const sorted = (ids: readonly number[]): number[] => [...ids].sort((a, b) => a - b);
  for (const { tokens, answers = [] } of prompts) {
    const sets = answers.map(({ correct, incorrect }) => [sorted(correct), sorted(incorrect)]);
    hash.update(`${JSON.stringify([Array.from(tokens), sets])}\n`);
  }
  return hash.digest('hex');
}

type TextModel = Pick<Model, 'tokenizer'>;

/** What the tokens of every prompt look like; undefined without a tokenizer. */
function seenTokens(
  { tokenizer }: TextModel,
  prompts: readonly HeadPrompt[],
): SeenToken[][] | undefined {
  if (!tokenizer) return undefined;
  const kept = new Map<number, SeenToken>();
  const seen = (id: number): SeenToken => {
    let token = kept.get(id);
    if (!token) {
      const text = tokenizer.decode([id], { skipSpecialTokens: false });
      // What only the skipping of special tokens takes away is one.
      const special = text !== '' && tokenizer.decode([id], { skipSpecialTokens: true }) === '';
      kept.set(id, (token = { text, special }));
    }
    return token;
  };
  return prompts.map(({ tokens }) => Array.from(tokens, seen));
}

interface Prepared {
  readonly heads: HeadRef[];
  readonly prompts: readonly HeadPrompt[];
  /** Of the prompts. */
  readonly tokens: PackedRows;
  readonly seen: SeenToken[][] | undefined;
  /** Per prompt and token the bits of its class. */
  readonly classes: number[][];
  readonly maps: readonly WantedMap[];
}

function prepare(
  model: Model,
  prompts: readonly HeadPrompt[],
  options: HeadPropertiesOptions,
): Prepared {
  if (prompts.length === 0) throw invalid('there are no prompts to look at; give at least one.');
  const shape = { layers: model.info.layers, heads: model.info.heads };
  const { heads = allHeads(shape), maps = [], markers = thinkMarkers } = options;
  checkHeads(heads, shape);
  if (heads.length === 0) throw invalid('the set of heads is empty; name at least one head.');
  const unique = uniqueHeads(heads);
  const names = new Set(unique.map(formatHead));
  for (const { head, prompt } of maps) {
    if (!names.has(formatHead(head))) {
      throw invalid(`a map of ${formatHead(head)} is asked for, which is not among the heads.`);
    }
    if (!Number.isInteger(prompt) || prompt < 0 || prompt >= prompts.length) {
      throw invalid(`a map on prompt ${prompt} is asked for, but there are ${prompts.length}.`);
    }
  }
  // Refuses what is no token id before its text is asked for.
  const tokens = packRows(
    prompts.map((prompt) => prompt.tokens),
    'the prompts',
  );
  const seen = seenTokens(model, prompts);
  const classes = prompts.map((prompt, index) =>
    seen ? classifyTokens(seen[index], markers) : new Array<number>(prompt.tokens.length).fill(0),
  );
  return { heads: unique, prompts, tokens, seen, classes, maps };
}

function requestOf({ heads, prompts, tokens, classes, maps }: Prepared, settings: HeadSettings) {
  const answers = prompts.flatMap((prompt) => prompt.answers ?? []);
  const place = new Map(heads.map((ref, index) => [formatHead(ref), index]));
  return {
    prompts: tokens,
    classes: packRows(classes, 'the classes'),
    correct: packRows(
      answers.map(({ correct }) => correct),
      "the answers' right tokens",
    ),
    incorrect: packRows(
      answers.map(({ incorrect }) => incorrect),
      "the answers' wrong tokens",
    ),
    answerCounts: Int32Array.from(prompts, (prompt) => prompt.answers?.length ?? 0),
    layers: Int32Array.from(heads, ({ layer }) => layer),
    heads: Int32Array.from(heads, ({ head }) => head),
    mapPrompts: Int32Array.from(maps, ({ prompt }) => prompt),
    mapHeads: Int32Array.from(maps, ({ head }) => place.get(formatHead(head))!),
    classCount: tokenClasses.length,
    queries: settings.queries,
  };
}

/** The returned maps, lower triangles only, rounded to what a drawing can show. */
function mapsOf({ maps, prompts, seen }: Prepared, values: Float32Array): AttentionMap[] {
  let begin = 0;
  return maps.map(({ head, prompt }) => {
    const { length } = prompts[prompt].tokens;
    const from = begin;
    begin += length * length;
    return {
      head: formatHead(head),
      prompt,
      tokens: seen?.[prompt].map(({ text }) => text) ?? Array.from(prompts[prompt].tokens, String),
      rows: Array.from({ length }, (_, query) =>
        Array.from({ length: query + 1 }, (_unused, key) =>
          Number(values[from + query * length + key].toFixed(4)),
        ),
      ),
    };
  });
}

function tokenCounts({ seen, classes }: Prepared): HeadTable['tokens'] {
  if (!seen) return null;
  const all = classes.flat();
  const counts = tokenClasses.map((name) => [
    name,
    all.filter((bits) => (bits & classBit(name)) !== 0).length,
  ]);
  return { all: all.length, ...Object.fromEntries(counts) } as NonNullable<HeadTable['tokens']>;
}

function notesOf(prepared: Prepared, table: Pick<HeadTable, 'tokens' | 'heads'>): string[] {
  const { prompts } = prepared;
  const notes: string[] = [];
  if (!table.tokens) {
    notes.push('the model has no tokenizer.json, so kinds of tokens are not known');
  } else {
    const { tokens } = table;
    const absent = tokenClasses.filter((name) => tokens[name] === 0);
    const words = {
      digits: 'digits',
      operators: 'operators',
      delimiters: 'delimiters after the first token',
      think: 'think markers',
    } as const;
    for (const name of absent) notes.push(`no prompt has ${words[name]}`);
  }
  const unanswered = prompts.filter(({ answers = [] }) => answers.length === 0).length;
  if (unanswered > 0) {
    const which = unanswered === prompts.length ? 'no prompt has' : `${unanswered} prompts lack`;
    notes.push(`${which} an answer, which the direct effect needs`);
  }
  if (prompts.length === 1) notes.push('one prompt has no intervals: they need at least 2');
  return notes;
}

function settingsOf(
  model: Model,
  prompts: readonly HeadPrompt[],
  options: HeadPropertiesOptions,
): HeadSettings {
  const { confidence = 0.95, markers = thinkMarkers } = options;
  checkConfidence(confidence);
  const high = Number.MAX_SAFE_INTEGER;
  return {
    headspark: version,
    ...modelProvenance(model),
    prompts: prompts.length,
    promptsHash: promptsHash(prompts),
    queries: oneOf('queries', options.queries, { allowed: headQueries, fallback: 'all' }),
    markers,
    confidence,
    resamples: wholeNumber('resamples', options.resamples, {
      low: 1,
      high: 100_000,
      fallback: defaultHeadResamples,
    }),
    seed: wholeNumber('seed', options.seed, { low: 0, high, fallback: 0 }),
  };
}

/** What the core could not measure because the weights or prompts make it infinite. */
function checkFinite(result: NativeHeadProperties): void {
  if (result.values.some((value) => value === Infinity || value === -Infinity)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TENSOR_VALUE',
      'a property of a head is infinite on these prompts; look for broken weights.',
    );
  }
}

const propertiesOptions = optionNames<HeadPropertiesOptions>({
  heads: true,
  queries: true,
  maps: true,
  markers: true,
  copying: true,
  confidence: true,
  resamples: true,
  seed: true,
  signal: true,
  onProgress: true,
});

/**
 * Measures what heads do on prompts. Attention is reduced inside the core; the maps of `maps` are
 * the only ones that leave it. Values are means over prompts with bootstrap intervals; the same
 * bytes for any batch size, thread count and memory budget.
 *
 * Direct effects take the scale of the final norm as it is in the run (direct logit attribution);
 * copying scores fold norm weights in and leave norm scales out; see `HeadPropertyName`.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for no or empty prompts, tokens outside the vocabulary,
 *   heads outside the model, or options out of range; _TENSOR_VALUE, _OUT_OF_MEMORY, _CANCELLED.
 */
export async function headProperties(
  model: Model,
  prompts: readonly HeadPrompt[],
  options: HeadPropertiesOptions = {},
): Promise<HeadTable> {
  checkModel('headProperties', model);
  checkHeadPrompts('headProperties', prompts);
  checkOptionNames('headProperties', options, propertiesOptions);
  const { maps, markers } = options;
  if (maps !== undefined) checkMaps('headProperties', maps);
  if (markers !== undefined) checkTexts('headProperties', 'markers', markers);
  const settings = settingsOf(model, prompts, options);
  const prepared = prepare(model, prompts, options);
  const copying = trueOrFalse('copying', options.copying, true);
  const request = { ...requestOf(prepared, settings), copying };
  const handle = model.handle();
  const result = await runJob(
    (addon, onProgress) => addon.headProperties(handle, request, onProgress),
    options,
  );
  checkFinite(result);
  const values = { ...result, heads: prepared.heads, prompts: prompts.length };
  const table = {
    tokens: tokenCounts(prepared),
    uniform: uniformValues(values),
    heads: await headRows(values, settings, options.signal),
  };
  return {
    format: 'headspark-heads',
    version: 1,
    settings,
    ...table,
    maps: mapsOf(prepared, result.maps),
    notes: notesOf(prepared, table),
  };
}
