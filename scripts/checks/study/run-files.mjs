// What a study's run leaves on the disk, for checks that compare runs.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** Files of a folder and all below, relative to it, sorted; none where it is not there. */
async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Name and SHA-256 of every file of a run's results, and of its manifest and study file. */
export async function digestOfRun(run) {
  const results = await filesBelow(path.join(run, 'results'));
  const names = [
    'manifest.json',
    ...results.map((name) => path.join('results', name)),
    'study.yaml',
  ];
  const digests = {};
  for (const name of names) {
    const bytes = await readFile(path.join(run, name));
    digests[name] = createHash('sha256').update(bytes).digest('hex');
  }
  return digests;
}

/** One sentence for every file that is missing, added or different. */
export function differences(expected, actual) {
  const names = [...new Set([...Object.keys(expected), ...Object.keys(actual)])].sort();
  return names.flatMap((name) => {
    if (!(name in actual)) return [`${name} is missing`];
    if (!(name in expected)) return [`${name} is not in the other run`];
    return expected[name] === actual[name] ? [] : [`${name} has other bytes`];
  });
}

/** `KIND/ID@KEY` of every stored result. */
export async function storedResults(run) {
  const files = await filesBelow(path.join(run, 'results'));
  return files
    .filter((name) => path.basename(name) === 'done.json')
    .map((name) => path.dirname(name));
}

/** What a run may keep beside its results. */
const kept = [
  'fingerprints.json',
  'manifest.json',
  'rates.json',
  'results',
  'study.yaml',
  'timings.jsonl',
];

/** What killed processes left behind, and their successors should have cleared away. */
export async function leftovers(run) {
  const empty = ['work', 'running'];
  const inside = await Promise.all(
    empty.map(async (name) =>
      (await readdir(path.join(run, name)).catch(() => [])).map((file) => path.join(name, file)),
    ),
  );
  const beside = (await readdir(run)).filter((name) => ![...kept, ...empty].includes(name));
  return [...beside, ...inside.flat()];
}

/** Results that were computed more than once, by the run's own notes of times. */
export async function computedAgain(run) {
  const text = await readFile(path.join(run, 'timings.jsonl'), 'utf8').catch(() => '');
  const seen = new Set();
  const again = [];
  for (const line of text.split('\n')) {
    // A kill may have torn a line.
    if (!line.startsWith('{') || !line.endsWith('}')) continue;
    const { kind, id, key } = JSON.parse(line);
    const name = `${kind}/${id}@${key}`;
    if (seen.has(name)) again.push(name);
    seen.add(name);
  }
  return again;
}
