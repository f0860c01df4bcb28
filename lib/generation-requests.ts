// Checking requests and packing them for the core.
import { checkIds, checkPrompt, checkTexts } from './argument-checks.js';
import { HeadsparkError } from './errors.js';
import { gatePositions } from './head-gate.js';
import type { GenerationRequest, ReplacementRun, SamplingOptions } from './generation-types.js';
import type { Model } from './model.js';
import type { PackedGenerationRequests } from './native-types.js';
import {
  checkOptionNames,
  finiteNumber,
  oneOf,
  optionNames,
  shown,
  trueOrFalse,
  wholeNumber,
} from './option-checks.js';
import { packHeads, packRows, type GatedHead } from './packed.js';

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

const maxSeed = 2n ** 64n - 1n;

/** A request with every default filled in. */
export interface CheckedRequest {
  prompt: Int32Array;
  heads: readonly GatedHead[];
  positions: number;
  replacement: ReplacementRun;
  sampling: Required<SamplingOptions>;
  seed: bigint;
  maxNewTokens: number;
  stopTokens: readonly number[];
  stopStrings: readonly string[];
  logProbs: boolean;
}

function seedOf(seed: bigint | number | undefined): bigint {
  if (seed === undefined) return 0n;
  const whole = typeof seed === 'bigint' || Number.isSafeInteger(seed);
  const value = whole ? BigInt(seed) : -1n;
  if (value >= 0n && value <= maxSeed) return value;
  throw invalid(
    `seed is ${shown(seed)}; it must be a whole number from 0 to 2^53 - 1, or a bigint to 2^64 - 1.`,
  );
}

const samplingOptions = optionNames<SamplingOptions>({
  temperature: true,
  topP: true,
  topK: true,
  minP: true,
  repetitionPenalty: true,
});

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the option that is unknown or out of range. */
export function checkedSampling(sampling: SamplingOptions = {}): Required<SamplingOptions> {
  checkOptionNames('sampling', sampling, samplingOptions);
  const { temperature, topP, topK, minP, repetitionPenalty } = sampling;
  return {
    temperature: finiteNumber('temperature', temperature, {
      accepts: (value) => value >= 0 && Number.isFinite(Math.fround(value)),
      expected: '0 (greedy) or more, within float32',
      fallback: 0,
    }),
    topP: finiteNumber('topP', topP, {
      accepts: (value) => value > 0 && value <= 1,
      expected: 'more than 0 and at most 1',
      fallback: 1,
    }),
    topK: wholeNumber('topK', topK, { low: 0, high: 0x7fffffff, fallback: 0 }),
    minP: finiteNumber('minP', minP, {
      accepts: (value) => value >= 0 && value < 1,
      expected: 'at least 0 and less than 1',
      fallback: 0,
    }),
    repetitionPenalty: finiteNumber('repetitionPenalty', repetitionPenalty, {
      accepts: (value) => Math.fround(value) > 0 && Number.isFinite(Math.fround(value)),
      expected: 'more than 0 (1: none), within float32',
      fallback: 1,
    }),
  };
}

const runOptions = optionNames<ReplacementRun>({ begin: true, length: true, loop: true });

function checkedRun(run: ReplacementRun = { begin: 0, length: 1, loop: 0 }): ReplacementRun {
  checkOptionNames('replacement', run, runOptions);
  const high = 0x7fffffff;
  const { begin, length, loop } = run;
  return {
    begin: wholeNumber('replacement.begin', begin, { low: 0, high, fallback: 0 }),
    length: wholeNumber('replacement.length', length, { low: 1, high, fallback: 1 }),
    loop: wholeNumber('replacement.loop', loop, { low: 0, high: length - 1, fallback: 0 }),
  };
}

/**
 * Refuses ids that no completion can end with. A tokenizer's own may lie beyond a model whose
 * embedding was cut.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function checkStopTokens(ids: readonly number[], model: Model): void {
  checkIds('stopTokens', 'ids', ids);
  const { vocab } = model.info;
  const bad = ids.find((id) => id >= vocab && !model.tokenizer?.eosIds.includes(id));
  if (bad === undefined) return;
  throw invalid(
    `the stop token ${bad} is not one of the model's, which run from 0 to ${vocab - 1}.`,
  );
}

function checkedStrings(model: Model, strings: readonly string[]): readonly string[] {
  checkTexts('stopStrings', 'stop strings', strings);
  if (strings.length === 0) return strings;
  if (!model.tokenizer) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${model.info.folder} has no tokenizer.json, which stopStrings need; give stopTokens.`,
    );
  }
  if (strings.includes('')) throw invalid('stopStrings: a stop string must not be empty.');
  return strings;
}

const requestOptions = optionNames<GenerationRequest>({
  prompt: true,
  heads: true,
  positions: true,
  replacement: true,
  sampling: true,
  seed: true,
  maxNewTokens: true,
  stopTokens: true,
  stopStrings: true,
  logProbs: true,
});

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT, _TOKENIZER naming the request and its option. */
export function checkRequest(
  model: Model,
  request: GenerationRequest,
  index: number,
): CheckedRequest {
  try {
    checkPrompt('generate', request);
    checkOptionNames('a request', request, requestOptions);
    const { length } = request.prompt;
    if (length === 0) throw invalid('the prompt has no tokens.');
    const { maxPositions } = model.info;
    if (length > maxPositions) {
      throw invalid(
        `the prompt of ${length} tokens is longer than the model's ${maxPositions} positions.`,
      );
    }
    const heads = request.heads ?? [];
    const stopTokens = request.stopTokens ?? model.tokenizer?.eosIds ?? [];
    checkStopTokens(stopTokens, model);
    // Packing checks the values; here the message can name the request.
    packHeads([heads], model.info);
    packRows([stopTokens], 'stopTokens');
    return {
      prompt: packRows([request.prompt], 'the prompt').values,
      heads,
      positions: gatePositions.indexOf(
        oneOf('positions', request.positions, { allowed: gatePositions, fallback: 'all' }),
      ),
      replacement: checkedRun(request.replacement),
      sampling: checkedSampling(request.sampling),
      seed: seedOf(request.seed),
      maxNewTokens: wholeNumber('maxNewTokens', request.maxNewTokens, {
        low: 0,
        high: 1_000_000,
        fallback: 256,
      }),
      stopTokens,
      stopStrings: checkedStrings(model, request.stopStrings ?? []),
      logProbs: trueOrFalse('logProbs', request.logProbs, false),
    };
  } catch (error) {
    if (!(error instanceof HeadsparkError)) throw error;
    throw new HeadsparkError(error.code, `request ${index}: ${error.message}`, { cause: error });
  }
}

/** Checked requests as the core takes them. */
export function packRequests(
  model: Model,
  requests: readonly CheckedRequest[],
): PackedGenerationRequests {
  const float = (value: (sampling: Required<SamplingOptions>) => number): Float32Array =>
    Float32Array.from(requests, ({ sampling }) => value(sampling));
  return {
    prompts: packRows(
      requests.map(({ prompt }) => prompt),
      'the prompts',
    ),
    heads: packHeads(
      requests.map(({ heads }) => heads),
      model.info,
    ),
    stopTokens: packRows(
      requests.map(({ stopTokens }) => stopTokens),
      'stopTokens',
    ),
    positions: Uint8Array.from(requests, ({ positions }) => positions),
    temperature: float(({ temperature }) => temperature),
    topP: float(({ topP }) => topP),
    minP: float(({ minP }) => minP),
    repetitionPenalty: float(({ repetitionPenalty }) => repetitionPenalty),
    topK: Int32Array.from(requests, ({ sampling }) => sampling.topK),
    maxNewTokens: Int32Array.from(requests, ({ maxNewTokens }) => maxNewTokens),
    seeds: Int32Array.from(
      requests.flatMap(({ seed }) => [Number(seed & 0xffffffffn) | 0, Number(seed >> 32n) | 0]),
    ),
    replacements: Int32Array.from(
      requests.flatMap(({ replacement: { begin, length, loop } }) => [begin, length, loop]),
    ),
    logProbs: Uint8Array.from(requests, ({ logProbs }) => Number(logProbs)),
  };
}
