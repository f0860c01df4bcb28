// The demo's study on a real Slurm as job arrays over 4 tasks, one of them killed and submitted
// again: the same bytes as on one machine. Computes the demo twice, which takes minutes, so it
// runs where it is asked for: npm run check:slurm. The small study of slurm.test.ts runs always.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digest, models } from '../native/study/small-study.js';
import { newFolder } from './bin.js';
import { SlurmCluster } from './slurm-cluster.js';
import { lacksSlurm, SlurmStudy } from './slurm-study.js';

const asked = process.env['HEADSPARK_SLURM_DEMO'] === '1';
if (!asked) console.info('the demo is not tried on Slurm: npm run check:slurm does that.');
const skips = !asked || lacksSlurm('the demo is not tried on Slurm');

const file = join(models, 'study.yaml');
const minutes = 60_000;

let cluster: SlurmCluster;
let cwd: string;
let demo: SlurmStudy;

beforeAll(async () => {
  if (skips) return;
  cwd = await newFolder();
  cluster = await SlurmCluster.start();
  demo = new SlurmStudy({ cluster, cwd, file, patienceMs: 15 * minutes });
}, minutes);

afterAll(async () => {
  await cluster?.stop();
}, minutes);

describe.skipIf(skips)('the demo on Slurm', () => {
  it(
    'over 4 tasks, one of them killed and submitted again, gives the same bytes',
    async () => {
      expect((await demo.call(['study', 'run', file, '--out', 'whole', '--quiet'])).code).toBe(0);
      expect((await demo.submit('run')).code).toBe(0);
      const job = await demo.kill('demo.attribution', 2);
      await demo.queueIsEmpty();
      const between = await demo.status('run');
      expect(between.complete).toBe(false);
      const killed = between.slurm.tasks.find(
        ({ stage, task }) => stage === 'attribution' && task === 2,
      );
      expect(killed).toMatchObject({ state: 'ended', job: `${job}_2` });
      const { code, stdout } = await demo.submit('run', '--json');
      expect(code).toBe(0);
      const { arrays } = JSON.parse(stdout) as {
        arrays: { stage: string; submitted: number[]; done: number[] }[];
      };
      expect(arrays.find(({ stage }) => stage === 'attribution')).toMatchObject({
        submitted: [2],
        done: [1, 3, 4],
      });
      await demo.queueIsEmpty();
      const after = await demo.status('run');
      expect(await demo.logs('run')).not.toContain('ERR_');
      expect(after).toMatchObject({ complete: true, slurm: { parts: 4, problem: null } });
      const whole = await digest(join(cwd, 'whole'));
      expect(Object.keys(whole).length).toBeGreaterThan(500);
      expect(await digest(join(cwd, 'run'))).toEqual(whole);
      expect(await readdir(join(cwd, 'run', 'work')).catch(() => [])).toEqual([]);
    },
    60 * minutes,
  );
});
