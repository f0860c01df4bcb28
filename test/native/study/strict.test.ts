// Tasks of a scheduler (`strict`): what another shard has not stored, and what a run was begun
// with, are errors; stage by stage they give the bytes of a whole run.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  initStudy,
  readStudy,
  runStudy,
  studyStatus,
  type RunStudyOptions,
} from '../../../lib/study/index.js';
import { digest, newFolder, smallStudy, writeStudy } from './small-study.js';

const parts = 2;
let file: string;
let out: string;

async function task(options: Partial<RunStudyOptions>) {
  const study = await readStudy(file);
  return runStudy(study, { out, strict: true, patienceMs: 0, ...options });
}

beforeAll(async () => {
  file = await writeStudy(smallStudy);
  out = join(await newFolder(), 'run');
});

describe('a task of a scheduler', () => {
  it('fails where another one has not stored what it reads', async () => {
    await task({ only: ['attribution'], shard: { index: 2, count: parts } });
    const diff = task({ only: ['diff'], shard: { index: 2, count: parts } });
    await expect(diff).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message: expect.stringMatching(
        /^diff sft-step10\.sums\.direct needs the result of \S+ base\.sums\.direct, which is not in/,
      ) as string,
    });
  }, 60_000);

  it('waits for what a slow file system shows late', async () => {
    const waiting = task({
      only: ['diff'],
      shard: { index: 2, count: parts },
      patienceMs: 60_000,
    });
    await task({ only: ['null-diff'], shard: { index: 1, count: parts } });
    expect((await waiting).computed.map(({ kind }) => kind)).toContain('diff');
  }, 120_000);

  it('fails where the study, the kernels or the device are others', async () => {
    const begun = await readFile(join(out, 'manifest.json'), 'utf8');
    const { isa } = JSON.parse(begun) as { isa: string };
    await writeFile(join(out, 'manifest.json'), begun.replace(`"isa": "${isa}"`, '"isa": "none"'));
    const other = task({ only: ['pairs'] });
    await expect(other).rejects.toMatchObject({ code: 'ERR_HEADSPARK_SETTINGS_MISMATCH' });
    await expect(other).rejects.toThrow(/begun with isa none, and \S+ has .*HEADSPARK_ISA/);
    // Seen from another machine, the run's own kernels count.
    const status = await studyStatus(await readStudy(file), { out });
    expect(status.kinds.find(({ kind }) => kind === 'attribution')).toMatchObject({ done: 0 });
    await writeFile(join(out, 'manifest.json'), begun);
    const same = await studyStatus(await readStudy(file), { out });
    expect(same.kinds.find(({ kind }) => kind === 'attribution')).toMatchObject({ done: 6 });

    await writeFile(file, smallStudy.replace('tau: 0.1', 'tau: 0.2'));
    await expect(task({ only: ['pairs'] })).rejects.toThrow(
      /the study file changed since .* was begun .*submit the study again/,
    );
    await writeFile(file, smallStudy);
  }, 60_000);

  it('gives the bytes of a whole run, stage by stage', async () => {
    await rm(out, { recursive: true });
    const study = await readStudy(file);
    const whole = join(await newFolder(), 'whole');
    await runStudy(study, { out: whole });
    const kinds = [...new Set((await studyStatus(study, { out: whole })).kinds.map((k) => k.kind))];
    for (const kind of kinds) {
      for (let index = 1; index <= parts; index++) {
        await task({ only: [kind], shard: { index, count: parts } });
      }
    }
    expect(await digest(out)).toEqual(await digest(whole));
  }, 120_000);
});

describe('the slurm section', () => {
  it('of the template is what the schema takes', async () => {
    const path = join(await newFolder(), 'study.yaml');
    await initStudy(path);
    const text = await readFile(path, 'utf8');
    const from = text.indexOf('# slurm:');
    await writeFile(path, text.slice(0, from) + text.slice(from).replace(/^# ?/gm, ''));
    expect((await readStudy(path)).slurm).toMatchObject({
      time: '04:00:00',
      gpus: '1',
      tasks: 4,
      options: ['--mail-type=FAIL'],
      stages: { diff: { partition: 'cpu' } },
    });
  });
});
