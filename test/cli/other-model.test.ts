// Heads of a diff looked for in a model that it does not compare: said before the run and in the result.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { base, headspark, models, newFolder, pairs, sft } from './bin.js';

const third = join(models, 'sft-step60');
const few = ['--pairs', pairs, '--count', '8'];

let cwd: string;
const run = async (...args: string[]) => {
  const ended = await headspark(args, { cwd });
  expect(ended.stderr).not.toContain('ERR_');
  expect(ended.code).toBe(0);
  return ended;
};

beforeAll(async () => {
  cwd = await newFolder();
  for (const [model, file] of [
    [base, 'base.json'],
    [sft, 'sft.json'],
  ]) {
    await run('attribute', model, ...few, '--out', file, '--quiet');
  }
  const selection = ['--tau-all', '0.1', '--resamples', '20', '--null-repeats', '0'];
  await run('diff', 'base.json', 'sft.json', ...selection, '--out', 'diff.json', '--quiet');
}, 60_000);

async function ablated(model: string, ...more: string[]) {
  const args = ['--diff', 'diff.json', '--top-k', '1', '--controls', '2', ...more];
  const { stdout, stderr } = await run('ablate', model, ...few, ...args, '--json');
  const said = stderr.split('\n').filter((line) => line.includes('diff.json'));
  const notes = (JSON.parse(stdout).notes as string[]).filter((note) => note.includes('diff.json'));
  expect(said).toEqual(notes.map((note) => `note: ${note}.`));
  return notes;
}

describe('heads of a diff', () => {
  it('are those of the compared model, or of the base where its circuit has them', async () => {
    expect(await ablated(sft)).toEqual([]);
    expect(await ablated(base, '--group', 'retained')).toEqual([]);
  });

  it('of the base or of another model come with a note', async () => {
    expect(await ablated(base)).toEqual([
      'base is the base of diff.json (base), whose circuit has none of the emergent heads: they are ' +
        'those of sft',
    ]);
    expect(await ablated(third)).toEqual([
      'sft-step60 has other weights than the models that diff.json compares (base and sft): its ' +
        'emergent heads need not matter here',
    ]);
  });

  it('are as good as before where the report does not say whose they are', async () => {
    const report = JSON.parse(await readFile(join(cwd, 'diff.json'), 'utf8'));
    for (const circuit of report.circuits) delete circuit.fingerprint;
    await writeFile(join(cwd, 'old.json'), JSON.stringify(report));
    const args = ['--diff', 'old.json', '--top-k', '1', '--controls', '2', '--json'];
    const { stdout, stderr } = await run('ablate', third, ...few, ...args);
    expect(stderr).not.toContain('old.json');
    expect(JSON.parse(stdout).notes.join()).not.toContain('old.json');
  });

  it('are noted by evaluate and heads, too', async () => {
    const note = /sft-step60 has other weights than the models that diff\.json compares/;
    const answers = ['--benchmark', 'demo', '--count', '2', '--max-new-tokens', '2'];
    const args = ['--diff', 'diff.json', '--json'];
    const evaluated = await run('evaluate', third, ...answers, ...args, '--top-k', '1');
    expect(evaluated.stderr).toMatch(note);
    expect(JSON.parse(evaluated.stdout).notes[0]).toMatch(note);
    const heads = await run('heads', third, ...few, ...args, '--no-effects');
    expect(heads.stderr).toMatch(note);
    expect(JSON.parse(heads.stdout).table.notes.at(-1)).toMatch(/base and sft\): its heads need/);
  });
});
