// Ablations of a study in parts: what is run again, and parts that no variant is left for.
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Sweep } from '../../../lib/ablation-sweep.js';
import { readManifest } from '../../../lib/study/manifest.js';
import { newFolder, run, smallStudy } from './small-study.js';

let whole: string;

beforeAll(async () => {
  whole = (await run(smallStudy)).out;
}, 240_000);

async function copyOfWhole(): Promise<string> {
  const out = join(await newFolder(), 'run');
  await cp(whole, out, { recursive: true });
  return out;
}

describe('an ablation in parts', () => {
  it('runs no variant again that it has in another part or with other random sets', async () => {
    const out = await copyOfWhole();
    const ran = vi.spyOn(Sweep, 'create');
    try {
      const parts = await run(smallStudy.replaceAll('parts: 2', 'parts: 3'), { out });
      expect(parts.counts).toMatchObject({ variants: 6, ablation: 2 });
      expect(ran).not.toHaveBeenCalled();
      const fewer = smallStudy.replace('controls: 4, parts: 2', 'controls: 3');
      expect((await run(fewer, { out })).counts).toMatchObject({ variants: 2, ablation: 2 });
      expect(ran).not.toHaveBeenCalled();
    } finally {
      ran.mockRestore();
    }
  });

  it('leaves parts empty that the heads of a diff are too few for', async () => {
    const [most, out] = ['controls: 4, parts: 11', join(await newFolder(), 'run')];
    const { counts } = await run(smallStudy.replace('controls: 4, parts: 2', most), { out });
    expect(counts['variants']).toBe(28);
    const tables = async (run: string) => {
      const { stages } = await readManifest(run);
      const own = stages.filter(({ kind, id }) => kind === 'ablation' && id.startsWith('emergent'));
      const paths = own.map(({ id, key }) => join(run, 'results/ablation', `${id}@${key}`));
      return Promise.all(paths.map((path) => readFile(join(path, 'ablation.json'), 'utf8')));
    };
    expect(await tables(out)).toEqual(await tables(whole));
  });
});
