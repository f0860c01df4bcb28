// A run whose disk is full: one sentence that names the run, and the next call goes on.
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readStudy, runStudy } from '../../../lib/study/index.js';
import { newFolder, smallStudy, writeStudy } from './small-study.js';

/** Lets nothing be written that holds `text`. */
async function refuseWriting(text: string) {
  const handle = await open(join(await newFolder(), 'any'), 'w');
  const handles = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const write = handles.writeFile;
  return vi.spyOn(handles, 'writeFile').mockImplementation(function (this: unknown, data, options) {
    if (typeof data !== 'string' || !data.includes(text)) return write.call(this, data, options);
    return Promise.reject(Object.assign(new Error('raw'), { code: 'ENOSPC', errno: -28 }));
  });
}

describe('a run on a full disk', () => {
  it('says so in one sentence, and goes on', async () => {
    const study = await readStudy(await writeStudy(smallStudy));
    const out = join(await newFolder(), 'run');
    const options = { out, only: ['pairs'] };
    const full = await refuseWriting('headspark-result');
    await expect(runStudy(study, options)).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_WRITE',
      message: `${out} cannot be written (no space left on the disk); free some space and run again to go on.`,
    });
    full.mockRestore();
    expect(await readdir(join(out, 'results'))).toEqual([]);
    const { computed } = await runStudy(study, options);
    expect(computed.map(({ kind }) => kind)).toEqual(['pairs', 'pairs']);
  }, 60_000);
});
