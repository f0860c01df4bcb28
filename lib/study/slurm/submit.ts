// Submits a study to Slurm: writes the scripts beside the run, then submits what is neither stored
// nor in the queue. Every task writes into the run's own folder, where each result has one task
// that makes it and comes into place by one rename; so nothing has to be merged afterwards.

import { createHash } from 'node:crypto';
import { chmod, realpath, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../../atomic-file.js';
import { withCallbacks, type CallbackResult } from '../../callbacks.js';
import { HeadsparkError } from '../../errors.js';
import { makeFolder, writingTo } from '../../file-errors.js';
import { readJsonIfExists } from '../../json-file.js';
import { version } from '../../version.js';
import {
  checkStudyName,
  keepStudyText,
  manifestPath,
  readManifestIfExists,
  type Manifest,
} from '../manifest.js';
import type { PoolOptions } from '../model-pool.js';
import { checkSubmitOptions } from '../option-checks.js';
import { graphOfRun } from '../run-graph.js';
import { checkKinds } from '../run-study.js';
import type { Study } from '../study.js';
import { partsOf, stageArrays, taskList, type StageArray } from './arrays.js';
import { noteJob, readCells, submittedJobs, type Cell } from './cells.js';
import { cancel, isLive, queuedTasks, submit, type QueuedTask } from './queue.js';
import { decide, dependencyOf, type ArrayDecision } from './resubmit.js';
import {
  arrayScript,
  checkRunPath,
  scriptName,
  slurmFolder,
  submitScript,
  taskSettings,
  type ScriptContext,
} from './script.js';

/** Where a study runs on Slurm, and what of it; `out`, `taskOptions` and `submit` must be given. */
export interface SubmitStudyOptions extends Omit<PoolOptions, 'memoryBytes'> {
  /** Folder of the run, on a file system that every node sees. */
  readonly out: string;
  /** Kinds of stages, with what they need; default: all. */
  readonly only?: readonly string[];
  /** Options of `study run` for every task. */
  readonly taskOptions: readonly string[];
  /** False: the scripts are written, and nothing is submitted. */
  readonly submit: boolean;
  /** Called for remarks on what the study reads, such as pairs that repeat others. */
  readonly onRemark?: (remark: string) => CallbackResult;
}

/**
 * The job array of one kind of stage. Of the numbers in `tasks`, `submitted` are new, `live` are in
 * the queue from before, and `done` have their results.
 */
export interface SubmittedArray {
  readonly stage: string;
  readonly script: string;
  readonly gpus: string | null;
  readonly tasks: readonly number[];
  /** Of the array that was submitted; null where nothing had to be. */
  readonly job: number | null;
  readonly submitted: readonly number[];
  readonly live: readonly number[];
  readonly done: readonly number[];
  readonly dependency: string | null;
}

/** What `submitStudy` wrote and submitted. */
export interface SubmitSummary {
  readonly study: string;
  readonly out: string;
  /** The script that submits everything by hand. */
  readonly script: string;
  readonly arrays: readonly SubmittedArray[];
  /** Tasks that were taken out of the queue: they waited in vain, or for an earlier study file. */
  readonly cancelled: readonly string[];
}

const submissionFile = 'submission.json';

/** What the queue's tasks of an earlier submission must share with a new one to be of use. */
interface Submission {
  readonly text: string;
  readonly parts: number;
  readonly device: string;
}

const submissionPath = (run: string): string => join(run, slurmFolder, submissionFile);

/** Parts of the last submission. */
export async function submittedParts(run: string): Promise<number | undefined> {
  const parts = (await readJsonIfExists(submissionPath(run)).catch(() => undefined))?.['parts'];
  return Number.isSafeInteger(parts) && (parts as number) > 0 ? (parts as number) : undefined;
}

function checkDevice({ device = 'cpu' }: SubmitStudyOptions): void {
  if (device !== 'auto') return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_INVALID_ARGUMENT',
    'device auto may mean another device on every node; for Slurm say cpu or cuda:0.',
  );
}

/** A manifest of other kernels, device or version says nothing of what is to be submitted. */
async function dropOtherManifest(run: string, device: string): Promise<void> {
  const manifest: Manifest | undefined = await readManifestIfExists(run);
  if (!manifest) return;
  const isa = process.env['HEADSPARK_ISA'] || manifest.isa;
  const same = manifest.headspark === version && manifest.device === device && manifest.isa === isa;
  if (!same) await rm(manifestPath(run), { force: true });
}

/** The arrays of the asked-for kinds and of all that these need. */
function wantedArrays(arrays: readonly StageArray[], only: readonly string[] | undefined) {
  if (!only) return arrays;
  const wanted = new Set(only);
  for (const { kind, needs } of [...arrays].reverse()) {
    if (wanted.has(kind)) needs.forEach((need) => wanted.add(need.kind));
  }
  return arrays.filter(({ kind }) => wanted.has(kind));
}

async function writeScripts(arrays: readonly StageArray[], context: ScriptContext): Promise<void> {
  const folder = join(context.run, slurmFolder);
  await makeFolder(join(folder, 'logs'));
  for (const array of arrays) {
    await writeFileAtomic(join(folder, scriptName(array.kind)), arrayScript(array, context));
  }
  const path = join(folder, 'submit.sh');
  await writeFileAtomic(path, submitScript(arrays, context));
  await writingTo(path, () => chmod(path, 0o755));
}

/** Submits the arrays one after the other; on a refusal takes back what was submitted before. */
async function submitArrays(
  decisions: readonly ArrayDecision[],
  context: ScriptContext,
  study: Study,
): Promise<Map<string, { job: number; dependency: string | null }>> {
  const made = new Map<string, { job: number; dependency: string | null }>();
  const { run, settings } = context;
  const most = settings.concurrent === undefined ? '' : `%${settings.concurrent}`;
  try {
    for (const decision of decisions.filter((one) => one.submit.length > 0)) {
      const { kind } = decision.array;
      const jobs = new Map([...made].map(([name, { job }]) => [name, job]));
      const dependency = dependencyOf(decision, decisions, { jobs, study });
      const job = await submit({
        run,
        script: join(slurmFolder, scriptName(kind)),
        options: [
          `--array=${taskList(decision.submit)}${most}`,
          ...(dependency === undefined ? [] : [`--dependency=${dependency}`]),
        ],
      });
      made.set(kind, { job, dependency: dependency ?? null });
      await noteJob(run, { job, stage: kind, tasks: decision.submit });
    }
    return made;
  } catch (error) {
    if (!(error instanceof HeadsparkError)) throw error;
    await cancel([...made.values()].map(({ job }) => String(job))).catch(() => undefined);
    throw new HeadsparkError(
      error.code,
      `${error.message.replace(/\.$/, '')}. Nothing stays submitted; mend slurm in the study file ` +
        `or the Slurm options. The scripts lie in ${join(run, slurmFolder)} (by hand: submit.sh).`,
      { cause: error },
    );
  }
}

/** The queue's tasks that go on, and those that the new submission takes out of it. */
async function earlierTasks(
  run: string,
  submission: Submission,
): Promise<{ queued: QueuedTask[]; cancelled: string[] }> {
  const queued = await queuedTasks(run);
  const earlier = await readJsonIfExists(submissionPath(run)).catch(() => undefined);
  const same = Object.entries(submission).every(([key, value]) => earlier?.[key] === value);
  if (same) return { queued, cancelled: [] };
  const cancelled = queued.filter(isLive).map(({ job, task }) => `${job}_${task}`);
  await cancel(cancelled);
  return { queued: queued.filter((task) => !isLive(task)), cancelled };
}

async function makeRunFolder(out: string, study: Study): Promise<string> {
  await makeFolder(join(resolve(out), 'results'));
  const run = await realpath(resolve(out));
  checkRunPath(run);
  checkStudyName(run, (await readManifestIfExists(run))?.study, study.name);
  return run;
}

function arraySummary(
  decisions: readonly ArrayDecision[],
  made: ReadonlyMap<string, { job: number; dependency: string | null }>,
  context: ScriptContext,
): SubmittedArray[] {
  return decisions.map(({ array, submit: submitted, live, done }) => ({
    stage: array.kind,
    script: join(context.run, slurmFolder, scriptName(array.kind)),
    gpus: taskSettings(context.settings, array).gpus ?? null,
    tasks: array.tasks,
    job: made.get(array.kind)?.job ?? null,
    submitted: made.has(array.kind) ? submitted : [],
    live: live.map(({ task }) => task),
    done,
    dependency: made.get(array.kind)?.dependency ?? null,
  }));
}

/**
 * Submits a study, or what is missing of it, as job arrays with dependencies. Everything in the
 * study is checked before, as `runStudy` does.
 * @throws what `runStudy` throws for a study that does not fit; ERR_HEADSPARK_FILE_NOT_FOUND where
 *   Slurm's commands are absent, ERR_HEADSPARK_INVALID_ARGUMENT with Slurm's sentence for a
 *   submission that it refuses, ERR_HEADSPARK_NETWORK where the queue does not answer.
 */
export async function submitStudy(
  study: Study,
  options: SubmitStudyOptions,
): Promise<SubmitSummary> {
  checkSubmitOptions(study, options);
  checkDevice(options);
  return withCallbacks(options, (own) => submitChecked(study, own));
}

async function submitChecked(study: Study, options: SubmitStudyOptions): Promise<SubmitSummary> {
  const { device = 'cpu' } = options;
  const run = await makeRunFolder(options.out, study);
  await dropOtherManifest(run, device);
  const { graph, store } = await graphOfRun(study, { ...options, out: run, machine: 'run' });
  if (options.only) checkKinds(options.only, graph);
  const parts = partsOf(study, graph);
  const arrays = wantedArrays(stageArrays(study, graph, parts), options.only);
  const context: ScriptContext = {
    study: study.name,
    file: resolve(study.source.path),
    run,
    settings: study.slurm,
    options: options.taskOptions,
    isa: process.env['HEADSPARK_ISA'] || undefined,
  };
  await writeScripts(arrays, context);
  const script = join(run, slurmFolder, 'submit.sh');
  const summary = { study: study.name, out: run, script };
  const text = createHash('sha256').update(study.source.text).digest('hex');
  const submission: Submission = { text, parts, device };
  const earlier = options.submit
    ? await earlierTasks(run, submission)
    : { queued: [], cancelled: [] };
  await keepStudyText(run, study.source.text);
  await writeFileAtomic(submissionPath(run), `${JSON.stringify(submission)}\n`);
  const known = { store, queued: earlier.queued, submitted: await submittedJobs(run) };
  const cells: Cell[] = await readCells(arrays, known);
  const decisions = decide(arrays, cells, study);
  if (!options.submit) {
    return { ...summary, arrays: arraySummary(decisions, new Map(), context), cancelled: [] };
  }
  const doomed = decisions.flatMap((decision) => decision.cancel);
  await cancel(doomed);
  const made = await submitArrays(decisions, context, study);
  return {
    ...summary,
    arrays: arraySummary(decisions, made, context),
    cancelled: [...earlier.cancelled, ...doomed],
  };
}
