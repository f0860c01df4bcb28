// Outputs that are inputs, or each other, by any spelling and through links.
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Arguments } from '../../../lib/cli/arguments.js';
import { checkOutputs } from '../../../lib/cli/outputs.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-clashes-'));
  await mkdir(join(folder, 'model'));
  await mkdir(join(folder, 'data'));
  await writeFile(join(folder, 'p.json'), '');
  await symlink('p.json', join(folder, 'link.json'));
  await symlink('.', join(folder, 'here'));
  await symlink('made.json', join(folder, 'later.json'));
});

type Raw = Record<string, string | string[]>;

/** Checks outputs `--out`, `--csv` and so on beside what else is given, paths in the folder. */
function check(raw: Raw, outputs: Record<string, string>, positionals: string[] = []) {
  const at = (path: string) => join(folder, path);
  const own = Object.entries(raw).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(at) : name === 'benchmark' ? value : at(value),
  ]);
  return checkOutputs(
    new Arguments(Object.fromEntries(own), { positionals }),
    Object.entries(outputs).map(([name, path]) => ({
      option: `--${name}`,
      path: at(path),
      kind: 'file',
    })),
  );
}

describe('an output that is', () => {
  it.each<[Raw, Record<string, string>, string, string]>([
    [{ pairs: 'p.json' }, { out: 'p.json' }, '--out', '--pairs'],
    [{ pairs: 'p.json' }, { out: 'here/../data/../p.json' }, '--out', '--pairs'],
    [{ prompts: 'link.json' }, { journal: 'p.json' }, '--journal', '--prompts'],
    [{ diff: 'p.json' }, { csv: 'here/here/link.json' }, '--csv', '--diff'],
    [{ config: 'p.json' }, { out: 'here/p.json' }, '--out', '--config'],
    [{ benchmark: 'gpqa', data: 'data' }, { csv: 'data/gpqa.csv' }, '--csv', '--benchmark'],
    [{ adapter: 'model' }, { out: 'model/adapter_config.json' }, '--out', '--adapter'],
  ])('an input: %j, %j', async (raw, outputs, option, read) => {
    await expect(check(raw, outputs)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(
        new RegExp(`^${option} \\S+ would overwrite ${read} \\S+, which is read; name another fi`),
      ),
    });
  });

  it('an argument, also of several and of the name of an option', async () => {
    const raw = { base: 'a.json', more: ['b.json', 'p.json'], post: 'c.json' };
    const run = check(raw, { out: 'link.json' }, ['base', 'post', 'more']);
    await expect(run).rejects.toThrow(/^--out \S+ would overwrite <more> \S+p\.json, which/);
    const base = check(raw, { out: 'a.json' }, ['base', 'post', 'more']);
    await expect(base).rejects.toThrow(/^--out \S+ would overwrite <base> \S+a\.json, which/);
  });

  it('another output, also where neither is there yet', async () => {
    const run = check({}, { out: 'new.json', csv: 'c.csv', journal: 'here/new.json' });
    await expect(run).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: expect.stringMatching(
        /^--out \S+new\.json and --journal \S+here\/new\.json are one place; name another for one\.$/,
      ),
    });
    const linked = check({}, { out: 'made.json', csv: 'here/later.json' });
    await expect(linked).rejects.toThrow(/^--out \S+ and --csv \S+ are one place/);
  });
});

it('lets results lie beside what is read', async () => {
  const raw = { pairs: 'p.json', model: 'model', diff: 'd.json', benchmark: 'demo' };
  await expect(check(raw, { out: 'model/scores.json', csv: 'p.csv' })).resolves.toBeUndefined();
  await expect(check(raw, { out: 'other.json' }, ['action'])).resolves.toBeUndefined();
});
