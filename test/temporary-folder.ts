// All temporary folders of a test run lie in one, which is removed when the run ends. It lies in
// memory where there is room: studies and journals wait for the disk at every stage they store.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'headspark-tests-';
const memory = '/dev/shm';
const room = 2 * 1024 ** 3; // bytes; a run has needed 150 MB at most

/** Whether programs written there can be run, which containers often forbid. */
function runsPrograms(folder: string): boolean {
  const program = join(folder, 'program');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  return spawnSync(program).status === 0;
}

function inMemory(): string | undefined {
  if (process.env['TMPDIR'] !== undefined) return undefined;
  try {
    const { bavail, bsize } = statfsSync(memory);
    if (bavail * bsize < room) return undefined;
    const folder = mkdtempSync(join(memory, prefix));
    if (runsPrograms(folder)) return folder;
    rmSync(folder, { recursive: true });
  } catch {
    // No such folder, or none to write in.
  }
  return undefined;
}

export default function setup(): () => void {
  const folder = inMemory() ?? mkdtempSync(join(tmpdir(), prefix));
  process.env['TMPDIR'] = folder;
  return () => {
    rmSync(folder, { recursive: true, force: true });
  };
}
