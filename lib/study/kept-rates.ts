// RUN/rates.json: the rates that a plan or a run measured, so that another plan, the run itself and its
// other processes need not measure again. Decides nothing but what a progress bar says.

import { join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { settingsHash } from '../canonical-json.js';
import { makeFolder } from '../file-errors.js';
import { readJsonIfExists } from '../json-file.js';
import { version } from '../version.js';
import type { MeasuredRates, Rates } from './estimate.js';
import { generationKey, type GenerationRates } from './estimate-generation.js';
import type { Facts } from './facts.js';
import type { StageNode } from './graph.js';
import type { PoolOptions } from './model-pool.js';
import type { Study } from './study.js';

export const ratesPath = (run: string): string => join(run, 'rates.json');

/** What rates hold for: this machine and device, with these models, pairs and settings. */
function validFor(study: Study, facts: Facts, { threads = 0 }: PoolOptions): string {
  return settingsHash({
    version,
    bases: study.bases.map(({ name }) => facts.checkpoints.get(name)!.fingerprint),
    pairs: [...facts.pairs].map(([key, { hash }]) => [key, hash]),
    attribution: study.attribution,
    benchmarks: study.benchmarks.map(({ name, sampling }) => [name, sampling]),
    machine: [facts.device, facts.gpu, facts.isa, facts.cpu, threads],
  });
}

/**
 * Keeps rates in a run's folder, which is made where it is not there.
 * @throws ERR_HEADSPARK_FILE_WRITE.
 */
export async function keepRates(
  run: string,
  measured: MeasuredRates,
  of: { study: Study; facts: Facts; pool: PoolOptions },
): Promise<void> {
  const content = {
    validFor: validFor(of.study, of.facts, of.pool),
    rates: Object.fromEntries(measured.rates),
    draw: measured.draw,
    generation: Object.fromEntries(measured.generation),
    idleBytes: measured.idleBytes,
    peakBytes: measured.peakBytes,
  };
  await makeFolder(run);
  await writeFileAtomic(ratesPath(run), `${JSON.stringify(content, null, 1)}\n`);
}

/** An object of objects of numbers, as a map; undefined for anything else. */
function mapOf<T>(
  value: unknown,
  names: readonly (keyof T & string)[],
): Map<string, T> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value as Record<string, Record<string, unknown> | null>);
  const isRate = (rate: unknown): boolean =>
    typeof rate === 'number' && Number.isFinite(rate) && rate >= 0;
  const valid = entries.every(([, rates]) => names.every((name) => isRate(rates?.[name])));
  return valid ? new Map(entries as unknown as [string, T][]) : undefined;
}

/**
 * The kept rates, where they are of this machine and these settings and tell of all the given
 * stages; undefined else, and where the file is damaged.
 */
export async function readKeptRates(
  run: string,
  of: { study: Study; facts: Facts; pool: PoolOptions; nodes: readonly StageNode[] },
): Promise<MeasuredRates | undefined> {
  const content = await readJsonIfExists(ratesPath(run)).catch(() => undefined);
  if (content?.['validFor'] !== validFor(of.study, of.facts, of.pool)) return undefined;
  const names: (keyof Rates)[] = ['openings', 'attribution', 'circuits', 'sweep', 'resampling'];
  const rates = mapOf<Rates>(content['rates'], names);
  const generation = mapOf<GenerationRates>(content['generation'], ['prompt', 'sample']);
  const { draw, idleBytes, peakBytes } = content;
  if (!rates || !generation) return undefined;
  if (typeof draw !== 'number' || typeof idleBytes !== 'number') return undefined;
  if (typeof peakBytes !== 'number') return undefined;
  const known = of.nodes.every(
    ({ work }) => !work.generation || generation.has(generationKey(work.generation)),
  );
  return known ? { rates, draw, generation, idleBytes, peakBytes } : undefined;
}
