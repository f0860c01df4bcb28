// What closed gates put in a head's place while a model answers: its mean over reference runs, or
// another run's value at the same position. A reference run is the unablated model on a problem of the
// benchmark: the prompt and its own greedy continuation.
import { createHash } from 'node:crypto';
import type { AblationKind } from '../ablation-kinds.js';
import { HeadsparkError } from '../errors.js';
import type { GenerationOptions, ReplacementRun } from '../generation-types.js';
import type { ActivationRows, HeadActivations } from '../head-activations.js';
import { Random } from '../stats/random.js';
import type { EvaluationRun } from './run.js';
import type { EvaluationSettings } from './types.js';

/** New tokens of a reference run, at most: enough for reasoning to be part of the mean. */
export const referenceTokens = 256;
/** Of the table of other runs' activations (resample); as many references as fit are used. */
const tableBytes = 256 * 2 ** 20;

/** `headActivations` of lib/head-activations.ts with a model bound to it. */
export type Activations = (
  sequences: readonly Int32Array[],
  options: { rows: ActivationRows; writeNorms?: boolean; signal?: AbortSignal | undefined },
) => Promise<HeadActivations>;

/** A problem's run of the unablated model. */
interface Reference {
  readonly problem: number;
  readonly promptTokens: number;
  readonly tokens: Int32Array;
}

export interface Replacements {
  /** [layers, rows, heads, headDim] */
  readonly table: Float32Array;
  readonly runOf: (problem: number, sample: number) => ReplacementRun;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/**
 * The problems of the references, in a random order that depends on the seed and the benchmark alone:
 * shards of a run use the same ones.
 */
export function referenceProblems(problems: number, count: number, seed: number): number[] {
  const order = new Random(seed, 7).shuffle(Array.from({ length: problems }, (_, index) => index));
  return order.slice(0, count);
}

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT when every problem would be replaced by its own run. */
export function checkReferences(ablation: AblationKind, references: number): void {
  if (ablation !== 'resample' || references >= 2) return;
  throw invalid(
    'resample ablation takes activations from the runs of other problems: it needs at least two ' +
      'problems and two references.',
  );
}

async function referencesOf(
  run: EvaluationRun,
  problems: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Reference[]> {
  const { settings } = run;
  const prompts = problems.map((problem) => ({ problem, prompt: run.promptOf(problem) }));
  // Gates that act in prompts alone replace activations of prompts.
  if (settings.positions === 'prompt') {
    return prompts.map(({ problem, prompt }) => ({
      problem,
      promptTokens: prompt.length,
      tokens: prompt,
    }));
  }
  const requests = prompts.map(({ prompt }) => ({
    prompt,
    maxNewTokens: Math.min(settings.maxNewTokens, referenceTokens),
    stopStrings: settings.stopStrings,
    stopTokens: run.stopTokens,
  }));
  const references: Reference[] = [];
  for await (const { index, tokens } of run.generate(requests, { signal })) {
    const { problem, prompt } = prompts[index];
    const whole = Int32Array.from([...prompt, ...tokens]);
    references[index] = { problem, promptTokens: prompt.length, tokens: whole };
  }
  return references;
}

/** As many references as the table may hold, from the first on; two at least. */
function fitting(references: readonly Reference[], bytesPerToken: number): Reference[] {
  let bytes = 0;
  return references.filter(({ tokens }, index) => {
    bytes += tokens.length * bytesPerToken;
    return index < 2 || bytes <= tableBytes;
  });
}

/** The other run that a sample takes activations from; variants of a sample take the same. */
function donorRuns(settings: EvaluationSettings, references: readonly Reference[]) {
  const begins: number[] = [];
  references.reduce((begin, { tokens }, index) => {
    begins[index] = begin;
    return begin + tokens.length;
  }, 0);
  return (problem: number, sample: number): ReplacementRun => {
    const others = references.flatMap((reference, index) =>
      reference.problem === problem ? [] : [index],
    );
    const digest = createHash('sha256')
      .update(JSON.stringify(['resample', settings.seed, settings.problems[problem], sample]))
      .digest();
    const donor = others[digest.readUInt32LE() % others.length];
    const { tokens, promptTokens } = references[donor];
    const loop = promptTokens < tokens.length ? promptTokens : 0;
    return { begin: begins[donor], length: tokens.length, loop };
  };
}

/**
 * Runs the references and collects what gates need of them. Resampled positions past the end of the
 * other run go round its continuation.
 * @throws what the generation and the activations throw.
 */
export async function prepareReplacements(
  run: EvaluationRun,
  activations: Activations,
  signal: AbortSignal | undefined,
): Promise<Replacements> {
  const { settings } = run;
  const problems = settings.references.map((id) => settings.problems.indexOf(id));
  let references = await referencesOf(run, problems, signal);
  const kind = settings.ablation;
  if (kind !== 'resample') {
    const sequences = references.map(({ tokens }) => tokens);
    const { rows, z } = await activations(sequences, { rows: kind as ActivationRows, signal });
    const reading = { begin: 0, length: rows, loop: rows - 1 };
    return { table: z, runOf: () => reading };
  }
  references = fitting(references, 4 * run.activationWidth);
  const sequences = references.map(({ tokens }) => tokens);
  const { z } = await activations(sequences, { rows: 'tokens', signal });
  return { table: z, runOf: donorRuns(settings, references) };
}

/** What of the replacements a generation is given. */
export const tableOf = (
  replacements: Replacements | undefined,
): Pick<GenerationOptions, 'replacement'> =>
  replacements ? { replacement: replacements.table } : {};
