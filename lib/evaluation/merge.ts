// Joining the journals of shards: same settings, disjoint problems, nothing missing.
import { HeadsparkError } from '../errors.js';
import { readJournal, refuseUnlike } from '../journal.js';
import { parseShard } from '../shard.js';
import { keyText, sampleKeys, shardProblems } from './plan.js';
import { checkRecord } from './record.js';
import type { Samples } from './run.js';
import type { EvaluationSettings, SampleRecord } from './types.js';

interface Part {
  readonly path: string;
  readonly shard: string | null;
  readonly settings: EvaluationSettings;
  readonly records: ReadonlyMap<string, unknown>;
}

const corrupt = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_FILE_CORRUPT', message);

function isVariant(value: unknown): boolean {
  const { heads, factor } = (value ?? {}) as { heads?: unknown; factor?: unknown };
  return Array.isArray(heads) && Number.isFinite(factor);
}

/** What the statistics read; the rest of the header only has to be equal. */
function isSettings(value: Record<string, unknown>): boolean {
  const { problems, variants, samples, sampling, seed, planNotes } = value;
  return (
    Array.isArray(problems) &&
    problems.length > 0 &&
    problems.every((id) => typeof id === 'string') &&
    Array.isArray(variants) &&
    variants.length > 0 &&
    variants.every(isVariant) &&
    Number.isSafeInteger(samples) &&
    (samples as number) > 0 &&
    Number.isSafeInteger(seed) &&
    Array.isArray(planNotes) &&
    typeof sampling === 'object' &&
    sampling !== null
  );
}

async function readPart(path: string): Promise<Part> {
  const { settings, records } = await readJournal(path);
  const { shard, ...rest } = settings;
  if (rest['verb'] !== 'evaluate') {
    throw corrupt(`${path} is no journal of an evaluation (it is of "${String(rest['verb'])}").`);
  }
  if ((shard !== null && typeof shard !== 'string') || !isSettings(rest)) {
    throw corrupt(
      `${path} has a header that does not fit; it was changed or is of another version.`,
    );
  }
  return { path, shard, settings: rest as unknown as EvaluationSettings, records };
}

const isSame = (a: SampleRecord, b: SampleRecord): boolean =>
  a.text === b.text && a.finish === b.finish && a.tokens.join() === b.tokens.join();

function addRecords(part: Part, samples: Map<string, SampleRecord>): void {
  const { settings, shard, path } = part;
  const own = shardProblems(
    settings.problems.length,
    shard === null ? undefined : parseShard(shard),
  );
  const expected = new Set<string>();
  for (const key of sampleKeys(own, settings.variants.length, settings.samples)) {
    expected.add(keyText(key));
  }
  for (const [key, value] of part.records) {
    const place = `${path}: record "${key}"`;
    if (!expected.has(key))
      throw corrupt(`${place} does not belong to its shard ${shard ?? '1/1'}.`);
    const record = checkRecord(value, place);
    const other = samples.get(key);
    if (other && !isSame(other, record)) {
      throw corrupt(`${place} differs from the same sample in another journal.`);
    }
    samples.set(key, record);
  }
}

export interface MergedSamples {
  readonly settings: EvaluationSettings;
  /** Indexes of all problems. */
  readonly own: readonly number[];
  readonly samples: Samples;
}

/**
 * The samples of several journals of one evaluation.
 * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ, _INVALID_ARGUMENT when
 *   samples are missing (and how many, of which shards), _FILE_CORRUPT, _FILE_NOT_FOUND.
 */
export async function mergeJournals(paths: readonly string[]): Promise<MergedSamples> {
  if (paths.length === 0) {
    throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', 'there are no journals to merge.');
  }
  const parts: Part[] = [];
  for (const path of paths) parts.push(await readPart(path));
  for (const part of parts.slice(1)) refuseUnlike(parts[0], part);
  const samples = new Map<string, SampleRecord>();
  for (const part of parts) addRecords(part, samples);
  const { settings } = parts[0];
  const own = shardProblems(settings.problems.length, undefined);
  const expected = own.length * settings.variants.length * settings.samples;
  if (samples.size < expected) {
    const shards = parts.map(({ shard, path }) => `${path} (${shard ?? 'all'})`).join(', ');
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${expected - samples.size} of ${expected} samples are missing from ${shards}; ` +
        'finish or add the other shards.',
    );
  }
  return { settings, own, samples };
}
