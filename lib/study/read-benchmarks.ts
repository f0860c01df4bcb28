// The benchmarks of a study file with every default filled in: where their files lie, who answers
// them, and how. Whether they can be read is found out in benchmark-facts.ts.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { answerSources } from '../answers/extract.js';
import { benchmarkNames } from '../benchmarks/read.js';
import type { SamplingOptions } from '../generation-types.js';
import type { StudyFile } from './schema.js';
import type { BenchmarkSpec, SamplingSettings } from './study.js';

type SamplingKeys = NonNullable<StudyFile['sampling']>;

const defaultMaxNewTokens = 1024;

/** What a benchmark says of sampling, over what the study says. */
export function samplingKeys(file: StudyFile, index: number): SamplingKeys {
  return { ...file.sampling, ...file.benchmarks[index].sampling };
}

function samplingOf(keys: SamplingKeys, seed: number): SamplingSettings {
  const sampling: SamplingOptions = {
    ...(keys.temperature === undefined ? {} : { temperature: keys.temperature }),
    ...(keys['top-p'] === undefined ? {} : { topP: keys['top-p'] }),
    ...(keys['top-k-tokens'] === undefined ? {} : { topK: keys['top-k-tokens'] }),
    ...(keys['min-p'] === undefined ? {} : { minP: keys['min-p'] }),
    ...(keys['repetition-penalty'] === undefined
      ? {}
      : { repetitionPenalty: keys['repetition-penalty'] }),
  };
  return {
    samples: keys.samples ?? 1,
    sampling,
    maxNewTokens: keys['max-new-tokens'] ?? defaultMaxNewTokens,
    stopStrings: keys.stop ?? [],
    ...(keys['stop-tokens'] === undefined ? {} : { stopTokens: keys['stop-tokens'] }),
    seed: keys.seed ?? seed,
    ...(keys.k === undefined ? {} : { ks: keys.k }),
  };
}

/** A file beside the study file, else the name of a known benchmark. */
export function problemsFile(text: string, folder: string): string {
  const path = resolve(folder, text);
  return benchmarkNames.includes(text) && !existsSync(path) ? text : path;
}

export function benchmarksOf(file: StudyFile, folder: string): BenchmarkSpec[] {
  return file.benchmarks.map((entry, index) => {
    const { limit, template, system, suffix } = entry;
    const [asked, source] = [entry['prompt-forms'], entry['answer-from']];
    return {
      name: entry.name,
      file: problemsFile(entry.file, folder),
      folder: resolve(folder, entry.data ?? 'data'),
      ...(limit === undefined ? {} : { limit }),
      checkpoints: entry.checkpoints,
      forms: file['prompt-forms'].filter(({ name }) => asked?.includes(name) ?? true),
      ...(template === undefined ? {} : { template }),
      ...(system === undefined ? {} : { system }),
      ...(suffix === undefined ? {} : { suffix }),
      sources: source === 'any' ? answerSources : [source],
      parts: entry.parts,
      sampling: samplingOf(samplingKeys(file, index), file.seed),
      path: ['benchmarks', index],
    };
  });
}
