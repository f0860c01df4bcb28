// Runs the samples that a journal does not hold yet. Every finished sample is one synced line, so a
// kill at any moment loses at most the samples in flight; what is left depends on seeds alone.
import { variantKey } from '../ablation/run.js';
import type { Problem } from '../benchmarks/types.js';
import { HeadsparkError } from '../errors.js';
import { analyzeSample } from '../failures/sample.js';
import type { Completion, GenerationRequest } from '../generation-types.js';
import { Journal, type JournalOptions } from '../journal.js';
import { nearestTieOf } from './near-ties.js';
import { keyText, sampleKeys, sampleSeed, type SampleKey } from './plan.js';
import {
  prepareReplacements,
  tableOf,
  type Activations,
  type Replacements,
} from './replacements.js';
import { checkRecord } from './record.js';
import type {
  EvaluationProgress,
  EvaluationSettings,
  EvaluationVariant,
  SampleRecord,
} from './types.js';

/** What continues prompts; `generate` of lib/generation.ts with a model bound to it. */
export type Generate = (
  requests: Iterable<GenerationRequest>,
  options: {
    signal?: AbortSignal | undefined;
    onToken?: (index: number, token: number) => void;
    replacement?: Float32Array;
  },
) => AsyncIterable<Completion>;

/** What a run needs of a model and its benchmark. */
export interface EvaluationRun {
  readonly settings: EvaluationSettings;
  readonly variants: readonly EvaluationVariant[];
  readonly problems: readonly Problem[];
  /** Called for the problems that are run and for references, not at all when nothing is left. */
  readonly promptOf: (problem: number) => Int32Array;
  /** Ids that end an answer. */
  readonly stopTokens: readonly number[];
  /** The prompt opens the thought, so that the text begins inside one. */
  readonly opensThought: boolean;
  readonly decode: (tokens: readonly number[]) => string;
  readonly generate: Generate;
  readonly activations: Activations;
  /** layers * heads * headDim */
  readonly activationWidth: number;
}

export interface RunOptions {
  /** Indexes of the problems to run. */
  readonly own: readonly number[];
  /** File of finished samples, and the shard's name for its header. */
  readonly journal?:
    (Pick<JournalOptions, 'path' | 'onRemark'> & { readonly shard: string | null }) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
}

/** Samples by `keyText`. */
export type Samples = ReadonlyMap<string, SampleRecord>;

function recordOf(run: EvaluationRun, key: SampleKey, completion: Completion): SampleRecord {
  const { tokens, finish, promptTokens } = completion;
  const problem = run.problems[key.problem];
  const opening = run.opensThought ? '<think>' : '';
  const shown = finish === 'stop-token' ? tokens.slice(0, -1) : tokens;
  const decode = (part: readonly number[]): string => opening + run.decode(part);
  const text = decode(shown);
  const { sources, modulus } = run.settings;
  const analysis = analyzeSample(
    { text, tokens: shown, finish, decode, answer: problem.answer, choices: problem.choices },
    { sources, modulus: modulus ?? undefined },
  );
  const nearestTie = nearestTieOf(completion.margins);
  return { text, tokens, finish, promptTokens, nearestTie, ...analysis };
}

const gatesOf = ({ heads, factor }: EvaluationVariant) => heads.map((ref) => ({ ...ref, factor }));

function* requestsOf(
  run: EvaluationRun,
  missing: readonly SampleKey[],
  replacements: Replacements | undefined,
): Generator<GenerationRequest> {
  const { settings } = run;
  let prompt: { problem: number; tokens: Int32Array } | undefined;
  for (const { problem, variant, sample } of missing) {
    if (prompt?.problem !== problem) prompt = { problem, tokens: run.promptOf(problem) };
    yield {
      prompt: prompt.tokens,
      heads: gatesOf(run.variants[variant]),
      positions: settings.positions,
      ...(replacements ? { replacement: replacements.runOf(problem, sample) } : {}),
      sampling: settings.sampling,
      seed: sampleSeed(settings.seed, settings.problems[problem], sample),
      maxNewTokens: settings.maxNewTokens,
      stopStrings: settings.stopStrings,
      stopTokens: run.stopTokens,
    };
  }
}

/** Counts for progress, kept up to date by the run. */
class Counts {
  tokens = 0;
  readonly #done: number[];
  readonly #perVariant: number;
  readonly #names: readonly string[];

  constructor(names: readonly string[], perVariant: number) {
    this.#names = names;
    this.#perVariant = perVariant;
    this.#done = names.map(() => 0);
  }

  add(variant: number): void {
    this.#done[variant]++;
  }

  progress(): EvaluationProgress {
    const variants = this.#names.map((name, index) => ({
      name,
      done: this.#done[index],
      total: this.#perVariant,
    }));
    const done = this.#done.reduce((sum, count) => sum + count, 0);
    return { done, total: this.#perVariant * variants.length, tokens: this.tokens, variants };
  }
}

function checkCancelled(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new HeadsparkError('ERR_HEADSPARK_CANCELLED', 'the evaluation was cancelled.', {
    cause: signal.reason,
  });
}

/** Of each variant the first one with the same gates, whose samples are its own too. */
function firstAlike(variants: readonly EvaluationVariant[]): number[] {
  const first = new Map<string, number>();
  return variants.map((variant, index) => {
    const key = variantKey(variant);
    if (!first.has(key)) first.set(key, index);
    return first.get(key)!;
  });
}

/** Finished samples, in memory and on disk. */
class Finished {
  readonly samples = new Map<string, SampleRecord>();
  readonly #open: Journal | undefined;
  readonly #counts: Counts;

  constructor(open: Journal | undefined, counts: Counts) {
    this.#open = open;
    this.#counts = counts;
  }

  /** One that the journal holds. */
  take(key: SampleKey, record: SampleRecord): void {
    this.samples.set(keyText(key), record);
    this.#counts.add(key.variant);
  }

  /** A new one. */
  async keep(key: SampleKey, record: SampleRecord): Promise<void> {
    await this.#open?.append(keyText(key), record);
    this.take(key, record);
  }
}

/** Whether a sample that is left has a gate that is not a mere factor. */
const needsReplacements = (run: EvaluationRun, missing: readonly SampleKey[]): boolean =>
  run.settings.ablation !== 'zero' &&
  missing.some(({ variant }) => run.variants[variant].heads.length > 0);

/** What is left of a run: samples to generate, and for each those with the same gates, copies of it. */
interface Left {
  readonly missing: readonly SampleKey[];
  readonly copies: ReadonlyMap<string, readonly SampleKey[]>;
}

async function runMissing(
  run: EvaluationRun,
  { missing, copies }: Left,
  { finished, counts, options }: { finished: Finished; counts: Counts; options: RunOptions },
): Promise<void> {
  const { signal, onProgress } = options;
  const { samples } = finished;
  const onToken = (): void => {
    counts.tokens++;
    if (counts.tokens % 64 === 0) onProgress?.(counts.progress());
  };
  const replacements = needsReplacements(run, missing)
    ? await prepareReplacements(run, run.activations, signal)
    : undefined;
  const requests = requestsOf(run, missing, replacements);
  const generation = { signal, onToken, ...tableOf(replacements) };
  for await (const completion of run.generate(requests, generation)) {
    const key = missing.at(completion.index);
    if (!key || samples.has(keyText(key))) {
      const message = `the generation gave completion ${completion.index} twice or unasked.`;
      throw new HeadsparkError('ERR_HEADSPARK_INTERNAL', message);
    }
    const record = recordOf(run, key, completion);
    for (const own of [key, ...(copies.get(keyText(key)) ?? [])]) await finished.keep(own, record);
    onProgress?.(counts.progress());
    checkCancelled(signal);
  }
  const left = missing.find((key) => !samples.has(keyText(key)));
  if (left) {
    const message = `the generation ended without sample ${keyText(left)}.`;
    throw new HeadsparkError('ERR_HEADSPARK_INTERNAL', message);
  }
}

/** Takes what the journal holds; a sample whose gates another variant has is not generated again. */
async function takeFinished(
  run: EvaluationRun,
  finished: Finished,
  { own, open }: { own: readonly number[]; open: Journal | undefined },
): Promise<Left> {
  const { variants, settings } = run;
  const alike = firstAlike(variants);
  const missing: SampleKey[] = [];
  const copies = new Map<string, SampleKey[]>();
  for (const key of sampleKeys(own, variants.length, settings.samples)) {
    const text = keyText(key);
    const record = open?.get(text);
    const first = keyText({ ...key, variant: alike[key.variant] });
    const other = finished.samples.get(first);
    if (record !== undefined) {
      finished.take(key, checkRecord(record, `${open!.path}: record "${text}"`));
    } else if (first === text) missing.push(key);
    else if (other) await finished.keep(key, other);
    else copies.set(first, [...(copies.get(first) ?? []), key]);
  }
  return { missing, copies };
}

/**
 * Every sample of the problems in `own`; those that the journal holds are not run again.
 * @throws ERR_HEADSPARK_CANCELLED, ERR_HEADSPARK_SETTINGS_MISMATCH (a journal of other settings),
 *   ERR_HEADSPARK_FILE_CORRUPT, and what the generation throws.
 */
export async function runSamples(run: EvaluationRun, options: RunOptions): Promise<Samples> {
  const { settings, variants } = run;
  const { own, journal } = options;
  const counts = new Counts(
    variants.map(({ name }) => name),
    own.length * settings.samples,
  );
  const header = { ...settings, shard: journal?.shard ?? null };
  const open = journal && (await Journal.open({ ...journal, settings: header }));
  const finished = new Finished(open, counts);
  try {
    const left = await takeFinished(run, finished, { own, open });
    options.onProgress?.(counts.progress());
    checkCancelled(options.signal);
    if (left.missing.length > 0) await runMissing(run, left, { finished, counts, options });
  } finally {
    await open?.close();
  }
  return finished.samples;
}
