// The graph of a study as a run's folder knows it.

import { join, resolve } from 'node:path';
import { version } from '../version.js';
import { readFacts, type Facts, type FactsOptions } from './facts.js';
import { buildGraph, type StudyGraph } from './graph.js';
import { readManifestIfExists } from './manifest.js';
import { ResultStore } from './store.js';
import type { Study } from './study.js';
import { pathExists } from '../path-kinds.js';

export interface RunGraph {
  readonly facts: Facts;
  readonly graph: StudyGraph;
  readonly store: ResultStore;
}

export interface RunGraphOptions extends Omit<FactsOptions, 'fingerprintFile'> {
  /** Folder of a run, where there is one. */
  readonly out?: string;
  /**
   * Whose processor and device the keys are of: this machine's (default), or, to look at a run from
   * another machine, those that the run was begun with.
   */
  readonly machine?: 'this' | 'run';
}

/** Processor level and device that a run was begun with, by this version. */
async function begunWith(
  run: string,
  study: Study,
): Promise<Pick<Facts, 'isa' | 'device'> | undefined> {
  const manifest = await readManifestIfExists(run);
  if (manifest?.study !== study.name || manifest.headspark !== version) return undefined;
  return { isa: manifest.isa, device: manifest.device };
}

/** Looks up a study's facts, with what the run's folder remembers of them, and builds the graph. */
export async function graphOfRun(study: Study, options: RunGraphOptions): Promise<RunGraph> {
  const out = options.out === undefined ? undefined : resolve(options.out);
  const known = out !== undefined && (await pathExists(out));
  const own = await readFacts(study, {
    ...options,
    ...(known ? { fingerprintFile: join(out, 'fingerprints.json') } : {}),
  });
  const begun = known && options.machine === 'run' ? await begunWith(out, study) : undefined;
  const facts = { ...own, ...begun };
  return { facts, graph: buildGraph(study, facts), store: new ResultStore(out ?? '') };
}
