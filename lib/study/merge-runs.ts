// Puts the results of several runs of one study (shards, other machines) into one folder. Results
// of one key must have the same bytes everywhere; anything else is an error, never a choice.

import { randomBytes } from 'node:crypto';
import { cp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkText, checkTexts } from '../argument-checks.js';
import { differingKeys } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { makeFolder, writingTo } from '../file-errors.js';
import { readManifest, writeManifest, type Manifest } from './manifest.js';
import { ResultStore, type ResultName } from './store.js';

export interface MergeSummary {
  readonly out: string;
  readonly copied: number;
  /** Results that were there already, with the same bytes. */
  readonly equal: number;
  /** Nodes of the study that still have no result. */
  readonly missing: number;
}

const mismatch = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_SETTINGS_MISMATCH', message);

function checkSame(first: Manifest, other: Manifest, runs: { first: string; other: string }): void {
  const pick = ({ headspark, isa, device, gpu, hash }: Manifest) => ({
    headspark,
    isa,
    device,
    // A shard may have seen none.
    ...(first.gpu && other.gpu ? { gpu } : {}),
    hash,
  });
  const [difference] = differingKeys(pick(first), pick(other));
  if (!difference) return;
  const { key, left, right } = difference;
  const what = key === 'hash' ? 'studies, settings or weights' : key;
  throw mismatch(
    `${runs.first} and ${runs.other} are runs of different ${what} (${left} and ${right}); ` +
      'merge runs of one study file, one version and one processor level.',
  );
}

const temporaryPrefix = 'merging-';

/** Half-copied results that a killed merge left behind. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(temporaryPrefix));
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
}

async function copyResult(from: ResultStore, to: ResultStore, name: ResultName): Promise<void> {
  const place = to.folderOf(name);
  const parent = join(to.run, 'results', name.kind);
  await makeFolder(parent);
  const temporary = join(to.run, `${temporaryPrefix}${randomBytes(6).toString('hex')}`);
  try {
    await writingTo(
      place,
      async () => {
        await cp(from.folderOf(name), temporary, { recursive: true });
        await rename(temporary, place);
      },
      { resumes: true },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * Merges runs into `out`, which may be one of them or an earlier merge.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH for runs of different studies, or results of one key
 *   with different bytes; ERR_HEADSPARK_FILE_CORRUPT, ERR_HEADSPARK_FILE_NOT_FOUND.
 */
export async function mergeRuns(runs: readonly string[], out: string): Promise<MergeSummary> {
  checkTexts('mergeRuns', 'folders of runs', runs);
  checkText('mergeRuns', 'a folder for what is merged', out);
  const folders = runs.map((run) => resolve(run));
  const manifests = await Promise.all(folders.map((run) => readManifest(run)));
  manifests.slice(1).forEach((manifest, index) => {
    checkSame(manifests[0], manifest, { first: runs[0], other: runs[index + 1] });
  });
  const target = new ResultStore(resolve(out));
  await makeFolder(join(target.run, 'results'));
  await removeLeftovers(target.run);
  const text = await readFile(join(folders[0], 'study.yaml'), 'utf8');
  await writeManifest(target.run, manifests[0], text);
  let [copied, equal] = [0, 0];
  for (const folder of folders.filter((run) => run !== target.run)) {
    const source = new ResultStore(folder);
    for (const name of await source.list()) {
      const stored = await source.verify(name);
      if (!stored) continue;
      const present = await target.verify(name);
      if (!present) {
        await copyResult(source, target, name);
        copied++;
      } else if (JSON.stringify(present.files) === JSON.stringify(stored.files)) {
        equal++;
      } else {
        throw mismatch(
          `${source.folderOf(name)} and ${target.folderOf(name)} are the same stage with other ` +
            'bytes; one of the machines computes differently.',
        );
      }
    }
  }
  let missing = 0;
  for (const stage of manifests[0].stages) if (!(await target.has(stage))) missing++;
  return { out: target.run, copied, equal, missing };
}
