// A fake model for evaluations: its tokens are characters, and what it answers follows from seed and
// gates alone, so that runs in any order and in pieces give the same samples.
import type { Benchmark } from '../../../lib/benchmarks/types.js';
import type { EvaluationSubject } from '../../../lib/evaluation/evaluate.js';
import type { Generate } from '../../../lib/evaluation/run.js';
import type { Completion, GenerationRequest } from '../../../lib/generation-types.js';
import { Random } from '../../../lib/stats/random.js';
import type { Tokenizer } from '../../../lib/tokenizer.js';

export const eos = 0;

const codes = (text: string): number[] => Array.from(text, (char) => char.codePointAt(0)!);

export const fakeTokenizer = {
  specialTokens: {},
  eosIds: [eos],
  encode: (text: string) => Int32Array.from(codes(text)),
  decode: (ids: ArrayLike<number>) => String.fromCodePoint(...Array.from(ids)),
} as unknown as Tokenizer;

/** Right with a probability that head a0.h0 carries; problem `p3` asks for 3. */
export function fakeAnswer(request: GenerationRequest): string {
  const prompt = String.fromCodePoint(...Array.from(request.prompt));
  const asked = Number(/\d+/.exec(prompt)?.[0] ?? '0');
  const gated = (request.heads ?? []).some(({ layer, head }) => layer === 0 && head === 0);
  const random = new Random(Number(BigInt(request.seed ?? 0) & 0xffffffffn), asked);
  const right = random.uniform() < (gated ? 0.2 : 0.8);
  return right ? `1+1=2 so \\boxed{${asked}}` : `1+1=3 so \\boxed{${asked + 1 + random.below(3)}}`;
}

/** Of a greedy token: problems whose number is a multiple of 5 have a near-tie at their token 3. */
function fakeMargin(request: GenerationRequest, text: string, token: number): number {
  const asked = Number(/\d+/.exec(String.fromCodePoint(...Array.from(request.prompt)))?.[0]);
  if (token !== 3 || asked % 5 !== 0) return 1 + token;
  return text.includes('1+1=2') ? 1e-4 : 5e-5;
}

export interface FakeOptions {
  /** Throws after this many completions. */
  readonly failAfter?: number;
  /** Rows in flight: completions leave this window last in, first out. */
  readonly window?: number;
  /** Default `fakeAnswer`. */
  readonly answer?: (request: GenerationRequest) => string;
  readonly onRequest?: (request: GenerationRequest) => void;
  readonly onTable?: (table: Float32Array | undefined) => void;
  readonly onActivations?: (sequences: readonly Int32Array[], rows: string) => void;
}

export function fakeGenerate(options: FakeOptions = {}): Generate {
  const { failAfter = Infinity, window = 5, answer = fakeAnswer, onRequest, onTable } = options;
  return async function* (requests, { signal, onToken, replacement }) {
    onTable?.(replacement);
    let [index, finished] = [0, 0];
    const flight: Completion[] = [];
    const leave = function* (left: number): Generator<Completion> {
      while (flight.length > left) {
        if (finished++ >= failAfter) throw new Error('the fake failed');
        yield flight.pop()!;
      }
    };
    for (const request of requests) {
      await Promise.resolve();
      signal?.throwIfAborted();
      onRequest?.(request);
      const text = answer(request);
      const limit = request.maxNewTokens ?? 256;
      const tokens = [...codes(text), eos].slice(0, limit);
      tokens.forEach((token) => onToken?.(index, token));
      const finish = tokens.at(-1) === eos ? ('stop-token' as const) : ('length' as const);
      const greedy = (request.sampling?.temperature ?? 0) === 0;
      const margins = greedy ? tokens.map((_, token) => fakeMargin(request, text, token)) : [];
      flight.push({
        ...{ index: index++, tokens, margins, logProbs: [], finish },
        promptTokens: request.prompt.length,
      });
      if (flight.length >= window) yield* leave(window - 2);
    }
    yield* leave(0);
  };
}

/** Of two layers of four heads: head a0.h0 writes as much as those of layer 1. */
export const fakeNorms = [2, 1, 1.1, 1.2, 2.1, 1.9, 2.2, 1.8] as const;

export function fakeSubject(options: FakeOptions = {}): EvaluationSubject {
  return {
    info: {
      label: 'fake',
      folder: '/fake',
      layers: 2,
      heads: 4,
      headDim: 2,
      device: 'cpu',
      isa: 'none',
      precision: 'exact',
    },
    tokenizer: fakeTokenizer,
    chatTemplate: undefined,
    fingerprint: 'f'.repeat(32),
    generate: fakeGenerate(options),
    // One value a row, its number.
    activations: (sequences, { rows }) => {
      options.onActivations?.(sequences, rows);
      const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
      const longest = Math.max(...sequences.map(({ length }) => length));
      const count = { mean: 1, 'mean-per-position': longest + 1, tokens }[rows];
      const z = Float32Array.from({ length: count }, (_, i) => i);
      const writeNorms = Float32Array.from(fakeNorms);
      return Promise.resolve({ rows: count, z, writeNorms });
    },
  };
}

export function fakeBenchmark(count: number): Benchmark {
  return {
    name: 'fake',
    problems: Array.from({ length: count }, (_, index) => ({
      id: `p${index}`,
      text: `Say ${index}`,
      answer: String(index),
    })),
    hash: `fake-${count}`,
    suffix: 'none',
  };
}
