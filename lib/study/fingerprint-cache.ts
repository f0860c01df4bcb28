// Fingerprints of weights by what the file system says of their files, so that a study of many
// large checkpoints does not read them all again at every command. A file that changed in size or
// time is read again; a damaged cache is thrown away.

import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../atomic-file.js';
import { resolveCheckpoint } from '../checkpoint-source.js';
import { canonicalJson } from '../canonical-json.js';
import { checkShape, type KvEdges } from '../circuit/shape.js';
import { makeFolder } from '../file-errors.js';
import { readJsonIfExists } from '../json-file.js';
import { version } from '../version.js';
import type { CheckpointFacts } from './facts.js';
import { textFiles } from './text-hash.js';
import type { Checkpoint } from './study.js';

const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'];
/** Of an adapter's own tokenizer, where it has one. */
const absent = { size: -1, mtimeMs: 0, ino: 0 };

/** Sizes, times and inodes of every file that makes the weights. */
async function stampOf({ model, adapter }: Checkpoint): Promise<string | undefined> {
  try {
    const places = await resolveCheckpoint({
      model,
      ...(adapter === undefined ? {} : { adapter }),
      hub: { offline: true },
    });
    const paths = [
      ...places.files.map((file) => join(places.folder, file)),
      ...(places.adapterFolder === undefined
        ? []
        : adapterFiles.map((file) => join(places.adapterFolder!, file))),
    ];
    const optional = textFiles.flatMap((file) =>
      places.adapterFolder === undefined ? [] : [join(places.adapterFolder, file)],
    );
    const stamps = await Promise.all([
      ...paths.map(async (path) => ({ path, file: await stat(path) })),
      ...optional.map(async (path) => ({ path, file: await stat(path).catch(() => absent) })),
    ]);
    return canonicalJson(stamps.map(({ path, file }) => [path, file.size, file.mtimeMs, file.ino]));
  } catch {
    return undefined; // whatever is wrong with it, loading says it better
  }
}

function isFacts(value: unknown): value is CheckpointFacts {
  const facts = value as Partial<CheckpointFacts> | null;
  if (typeof facts?.fingerprint !== 'string' || typeof facts.shape !== 'object') return false;
  try {
    checkShape(facts.shape);
  } catch {
    return false;
  }
  const { hidden, vocab, parameterCount, mappedBytes, headDim, maxPositions } = facts;
  return (
    typeof facts.textHash === 'string' &&
    [hidden, vocab, parameterCount, mappedBytes, headDim, maxPositions].every(
      (number) => typeof number === 'number',
    )
  );
}

export class FingerprintCache {
  readonly #file: string | undefined;
  readonly #kvEdges: KvEdges;
  readonly #old: Record<string, unknown>;
  readonly #entries: Record<string, CheckpointFacts> = {};

  private constructor(file: string | undefined, kvEdges: KvEdges, old: Record<string, unknown>) {
    this.#file = file;
    this.#kvEdges = kvEdges;
    this.#old = old;
  }

  static async open(file: string | undefined, kvEdges: KvEdges): Promise<FingerprintCache> {
    const content =
      file === undefined ? undefined : await readJsonIfExists(file).catch(() => undefined);
    const entries = content?.['version'] === version ? content['entries'] : undefined;
    const usable = typeof entries === 'object' && entries !== null;
    return new FingerprintCache(file, kvEdges, usable ? (entries as Record<string, unknown>) : {});
  }

  /** The stored facts of unchanged weights, else those that `read` gives. */
  async facts(
    checkpoint: Checkpoint,
    read: () => Promise<CheckpointFacts>,
  ): Promise<CheckpointFacts> {
    const stamp = this.#file === undefined ? undefined : await stampOf(checkpoint);
    if (stamp === undefined) return read();
    const key = `${this.#kvEdges} ${stamp}`;
    const stored = this.#old[key];
    const facts = isFacts(stored) ? stored : await read();
    this.#entries[key] = facts;
    return facts;
  }

  async save(): Promise<void> {
    if (this.#file === undefined || Object.keys(this.#entries).length === 0) return;
    const entries = { ...this.#old, ...this.#entries };
    await makeFolder(dirname(this.#file));
    await writeFileAtomic(this.#file, `${JSON.stringify({ version, entries })}\n`);
  }
}
