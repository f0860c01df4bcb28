// `headspark report --watch` beside a run, from the real binary: it draws while the run goes, says
// what runs in plain lines, waits for a run that was killed, and stops when it is complete or on Ctrl-C.
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { smallStudy } from '../native/study/small-study.js';
import { headspark, newFolder } from './bin.js';

let cwd: string;
/** Long enough to be watched. */
const study = smallStudy.replace('controls: 4', 'controls: 300').replace('limit: 12', 'limit: 32');

beforeAll(async () => {
  cwd = await newFolder();
  await writeFile(join(cwd, 'study.yaml'), study);
});

async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (await isSo()) return;
    await new Promise((wait) => setTimeout(wait, 100));
  }
  throw new Error('two minutes went by');
}

const html = (name: string): Promise<string> => readFile(join(cwd, name), 'utf8').catch(() => '');

function start(out: string): { child: ChildProcess; ended: ReturnType<typeof headspark> } {
  let child: ChildProcess | undefined;
  const args = ['study', 'run', 'study.yaml', '--out', out, '--quiet'];
  const ended = headspark(args, { cwd, onStart: (started) => (child = started) });
  return { child: child!, ended };
}

describe('report --watch', () => {
  it('follows a run to its end', async () => {
    // It may be started before the run.
    const watching = headspark(['report', 'run', '--out', 'r.html', '--watch', '--json'], { cwd });
    const { ended } = start('run');
    let live = '';
    await until(async () => {
      const page = await html('r.html');
      if (page.includes('id="live"')) live = page;
      return live !== '';
    });
    expect(live).toMatch(/<span id="live-count">\d+ of \d+<\/span>/);
    // Every page that is seen is a whole one.
    expect(live.trimEnd().endsWith('</html>')).toBe(true);
    expect((await ended).code).toBe(0);
    const { code, stdout, stderr } = await watching;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ complete: true, missing: 0 });
    expect(stderr).toMatch(/^watch: \d+ of \d+ stages, running .*; wrote r\.html$/m);
    // No colours and no carriage returns where nobody looks at a terminal.
    // eslint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/[\r\u001b]/);
    await headspark(['report', 'run', '--out', 'plain.html'], { cwd });
    expect(await html('r.html')).toBe(await html('plain.html'));
    expect(await readdir(join(cwd, 'run', 'running'))).toEqual([]);
  }, 240_000);

  it('goes on when the run is killed and goes on later', async () => {
    const { child, ended } = start('killed');
    const args = ['report', 'killed', '--out', 'k.html', '--watch', '--json'];
    const watching = headspark(args, { cwd });
    await until(async () => (await html('k.html')).includes('id="live"'));
    child.kill('SIGKILL');
    await ended;
    await until(async () => (await html('k.html')).includes('Nothing works on the run now.'));
    expect(await html('k.html')).toContain('This page follows the run.');
    expect((await start('killed').ended).code).toBe(0);
    const { code, stdout, stderr } = await watching;
    expect(JSON.parse(stdout)).toMatchObject({ complete: true, missing: 0 });
    expect(stderr).toMatch(/^watch: \d+ of \d+ stages, nothing works on the run now/m);
    expect(code).toBe(0);
    expect(await html('k.html')).not.toContain('id="live"');
  }, 240_000);

  it('stops on Ctrl-C, and leaves a page that waits for nothing', async () => {
    const { child, ended } = start('left');
    let watcher: ChildProcess | undefined;
    const watching = headspark(['report', 'left', '--out', 'l.html', '--watch'], {
      cwd,
      onStart: (started) => (watcher = started),
    });
    await until(async () => (await html('l.html')).includes('id="live"'));
    watcher!.kill('SIGINT');
    const { code, stderr } = await watching;
    expect(stderr).toContain('l.html shows the run as it stands');
    expect(code).toBe(130);
    expect(await html('l.html')).not.toContain('id="live"');
    child.kill('SIGKILL');
    await ended;
  }, 240_000);

  it('says so where no run begins', async () => {
    const { code, stderr } = await headspark(['report', 'none', '--watch'], { cwd });
    expect(stderr).toMatch(/none is not the folder of a study run/);
    expect(code).toBe(1);
    expect(existsSync(join(cwd, 'none'))).toBe(false);
  }, 60_000);
});
