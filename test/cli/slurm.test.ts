// `headspark study run --slurm` on a real Slurm on loopback, which this test starts: job arrays
// over 4 tasks, tasks that are killed, requeued and submitted again, and the same bytes as on one
// machine. Skips, saying so, where Slurm is not installed.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digest, smallStudy } from '../native/study/small-study.js';
import { newFolder } from './bin.js';
import { SlurmCluster } from './slurm-cluster.js';
import { lacksSlurm, SlurmStudy } from './slurm-study.js';

const skips = lacksSlurm('studies are not tried on Slurm');

let cluster: SlurmCluster;
let cwd: string;
let reference: Record<string, string>;
let small: SlurmStudy;

/** Long enough ablations that a task can be caught at work. */
const study = smallStudy.replace('controls: 4', 'controls: 60').replace('limit: 12', 'limit: 16');

beforeAll(async () => {
  if (skips) return;
  cwd = await newFolder();
  await writeFile(join(cwd, 'study.yaml'), study);
  cluster = await SlurmCluster.start();
  small = new SlurmStudy({ cluster, cwd, file: 'study.yaml' });
  expect((await small.call(['study', 'run', 'study.yaml', '--out', 'whole'])).code).toBe(0);
  reference = await digest(join(cwd, 'whole'));
}, 240_000);

afterAll(async () => {
  await cluster?.stop();
}, 60_000);

describe.skipIf(skips)('a study on Slurm', () => {
  it('runs as job arrays over 4 tasks and gives the same bytes', async () => {
    // A blank in the path goes through scripts, queue and status.
    const out = 'a run';
    const { code, stdout, stderr } = await small.submit(out, '--json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { arrays } = JSON.parse(stdout) as {
      arrays: { stage: string; tasks: number[]; job: number; dependency: string | null }[];
    };
    const jobs = new Map(arrays.map(({ stage, job }) => [stage, job]));
    const of = (stage: string) => arrays.find((array) => array.stage === stage)!;
    expect(of('pairs')).toMatchObject({ tasks: [1], dependency: null });
    expect(of('attribution').tasks).toEqual([1, 2, 3, 4]);
    expect(of('attribution').dependency).toBe(`afterok:${jobs.get('pairs')}`);
    expect(of('circuit').dependency).toBe(`aftercorr:${jobs.get('attribution')}`);
    expect(of('diff').dependency).toBe(
      `afterok:${jobs.get('attribution')},afterok:${jobs.get('null-diff')}`,
    );
    const during = await small.status(out);
    expect(during.slurm).toMatchObject({ parts: 4, problem: null });
    expect(during.slurm.tasks.some(({ state }) => state === 'queued')).toBe(true);
    // Follows the run from the queue to its end.
    const watching = small.call(['report', out, '--out', 'watched.html', '--watch', '--json']);
    // Nothing is submitted twice while it is in the queue.
    const again = JSON.parse((await small.submit(out, '--json')).stdout) as {
      arrays: { job: null }[];
    };
    expect(again.arrays.map(({ job }) => job)).toEqual(arrays.map(() => null));
    await small.queueIsEmpty();
    const watched = JSON.parse((await watching).stdout) as { complete: boolean };
    expect(watched.complete).toBe(true);
    const after = await small.status(out);
    expect(await small.logs(out)).not.toContain('ERR_');
    expect(after.complete).toBe(true);
    expect(after.slurm.tasks.every(({ state }) => state === 'done')).toBe(true);
    expect(await digest(join(cwd, out))).toEqual(reference);
    expect(await readdir(join(cwd, out, 'work')).catch(() => [])).toEqual([]);
  }, 240_000);

  it('goes on after a task was killed and submitted again, and after one was requeued', async () => {
    expect((await small.submit('killed')).code).toBe(0);
    const killed = await small.kill('small.attribution', 3);
    // What waits for the killed task leaves the queue by itself; the others run to their end.
    await small.queueIsEmpty();
    const between = await small.status('killed');
    expect(between.complete).toBe(false);
    const task = (stage: string, id: number) =>
      between.slurm.tasks.find((one) => one.stage === stage && one.task === id)!;
    expect(task('attribution', 3)).toMatchObject({ state: 'ended', job: `${killed}_3` });
    expect(task('attribution', 2).state).toBe('done');
    expect(task('circuit', 3)).toMatchObject({ state: 'ended', slurm: 'CANCELLED' });
    const text = await small.call(['study', 'status', 'study.yaml', '--out', 'killed']);
    expect(text.stdout).toMatch(/attribution, task 3 of 4 \(job \d+_3\) ended as/);
    expect(text.stdout).toContain('study run study.yaml --out killed --slurm');

    const { stdout } = await small.submit('killed', '--json');
    const { arrays } = JSON.parse(stdout) as {
      arrays: { stage: string; submitted: number[]; done: number[] }[];
    };
    const of = (stage: string) => arrays.find((array) => array.stage === stage)!;
    expect(of('attribution')).toMatchObject({ submitted: [3], done: [1, 2, 4] });
    expect(of('circuit')).toMatchObject({ submitted: [3], done: [1, 2, 4] });
    expect(of('diff')).toMatchObject({ submitted: [1, 2, 3, 4] });
    // As a preemption does: the same job once more, on whatever node.
    const variants = await small.until('an ablation had stored a variant', async () => {
      const work = join(cwd, 'killed', 'work');
      const names = await readdir(work, { recursive: true }).catch(() => []);
      if (!names.some((name) => /^variants.*journal\.jsonl$/.test(name))) return undefined;
      return (await cluster.tasks()).find(
        ({ name, state }) => name === 'small.variants' && state === 'RUNNING',
      );
    });
    await cluster.call('scontrol', ['requeue', `${variants.job}_${variants.task}`]);
    // A requeued task waits two minutes for a node unless it is let go; within the second that its
    // first start was taken back in, the node would refuse it ("Job credential revoked").
    const letGoFrom = Date.now() + 3000;
    await small.until('the requeued task was over', async () => {
      const rows = await cluster.tasks();
      const own = rows.find(({ job, task: id }) => job === variants.job && id === variants.task);
      if (own?.state === 'PENDING' && Date.now() > letGoFrom) {
        const now = ['update', `jobid=${variants.job}_${variants.task}`, 'starttime=now'];
        await cluster.call('scontrol', now).catch(() => undefined);
      }
      return own?.state === 'COMPLETED' ? true : undefined;
    });
    await small.queueIsEmpty();
    expect((await small.status('killed')).complete).toBe(true);
    expect(await digest(join(cwd, 'killed'))).toEqual(reference);
    expect(await readdir(join(cwd, 'killed', 'work')).catch(() => [])).toEqual([]);
  }, 300_000);

  it('is submitted by hand from the scripts beside the run', async () => {
    const written = await small.submit('hand', '--no-submit', '--only', 'circuit');
    expect(written.stdout).toMatch(/Nothing was submitted\. By hand: sh .*slurm\/submit\.sh/);
    expect((await readdir(join(cwd, 'hand', 'slurm'))).sort()).toContain('attribution.sbatch');
    const said = await cluster.call('sh', [join(cwd, 'hand', 'slurm', 'submit.sh')]);
    expect(said).toMatch(/^pairs: job \d+\nattribution: job \d+\ncircuit: job \d+\n$/);
    await small.queueIsEmpty();
    const { tasks } = (await small.status('hand')).slurm;
    const own = tasks.filter(({ stage }) => ['pairs', 'attribution', 'circuit'].includes(stage));
    expect(own.map(({ state }) => state)).toEqual(own.map(() => 'done'));
    const files = await digest(join(cwd, 'hand'));
    expect(Object.keys(files).filter((name) => name.includes('/circuit/')).length).toBeGreaterThan(
      9,
    );
    expect(reference).toMatchObject(files);
  }, 240_000);

  it('says what Slurm refuses, in its words, and leaves nothing behind', async () => {
    const before = (await cluster.tasks()).length;
    const { code, stderr } = await small.submit('refused', '--partition', 'nowhere');
    expect(stderr).toMatch(
      /sbatch refused slurm\/pairs\.sbatch: sbatch: error: invalid partition specified: nowhere.*Nothing stays submitted/,
    );
    expect(code).toBe(1);
    expect((await cluster.tasks()).length).toBe(before);
    // Refused half-way: what was submitted before is taken back.
    const half = study.replace(
      'statistics:',
      'slurm: { stages: { circuit: { partition: nowhere } } }\nstatistics:',
    );
    await mkdir(join(cwd, 'half'));
    await writeFile(join(cwd, 'half', 'study.yaml'), half);
    const args = ['study', 'run', 'half/study.yaml', '--out', 'half/run', '--slurm'];
    const ended = await small.call(args);
    expect(ended.stderr).toMatch(/sbatch refused slurm\/circuit\.sbatch: .*nowhere/);
    // A task that had begun takes a moment to end.
    await small.queueIsEmpty();
  }, 120_000);

  it('takes tasks out of the queue when the study changed', async () => {
    await mkdir(join(cwd, 'changed'));
    const path = join(cwd, 'changed', 'study.yaml');
    const run = ['study', 'run', 'changed/study.yaml', '--only', 'circuit', '--out'];
    const args = [...run, 'changed/run', '--slurm', '--tasks', '2'];
    // Nothing of the first submission begins before the second one.
    await writeFile(path, `${study}slurm: { options: [--begin=now+600] }\n`);
    expect((await small.call(args)).code).toBe(0);
    const changed = study.replace('tau: 0.1', 'tau: 0.12');
    expect(changed).not.toBe(study);
    await writeFile(path, changed);
    const { stdout } = await small.call([...args, '--json']);
    const { cancelled } = JSON.parse(stdout) as { cancelled: string[] };
    expect(cancelled.length).toBe(5);
    await small.queueIsEmpty();
    expect((await small.call([...run, 'changed/whole'])).code).toBe(0);
    const [one, other] = [
      await digest(join(cwd, 'changed/run')),
      await digest(join(cwd, 'changed/whole')),
    ];
    // The run may hold results of the earlier file too.
    expect(one).toMatchObject(other);
  }, 240_000);
});
