// Joining the journals of shards of an attribution: same settings, every shard once and whole, and sums in
// the order of all pairs, so that the result has the bits of one run.
import { open, type FileHandle } from 'node:fs/promises';
import { isObject } from '../canonical-json.js';
import { graphOf } from '../circuit/graph.js';
import type { ScoreMeta } from '../circuit/score-table.js';
import { checkShape, type GraphShape } from '../circuit/shape.js';
import { HeadsparkError } from '../errors.js';
import { systemCode } from '../file-errors.js';
import { refuseUnlike } from '../journal.js';
import { parseShard, shardRange, type Shard } from '../shard.js';
import { Turns } from '../turns.js';
import {
  addPairScores,
  corruptJournal,
  meansOf,
  readJournalLine,
  readMetrics,
  readPairScores,
  readScoreCrcs,
  scoresPath,
  type ScoresAbout,
} from './journal.js';

interface ShardJournal {
  readonly path: string;
  readonly shard: Shard;
  /** All but the shard. */
  readonly settings: Record<string, unknown>;
  readonly about: ScoresAbout;
  readonly clean: readonly number[];
  readonly corrupted: readonly number[];
  readonly scoreCrcs: readonly number[] | undefined;
}

/** The journals of all shards, in order. */
export interface Shards {
  readonly journals: readonly ShardJournal[];
  readonly about: ScoresAbout;
  readonly fingerprint: string;
  readonly pairs: number;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

const isEntry = (entry: unknown): entry is [string, ScoreMeta[string]] =>
  Array.isArray(entry) &&
  entry.length === 2 &&
  typeof entry[0] === 'string' &&
  (entry[1] === null || typeof entry[1] !== 'object');

function isShape(shape: unknown): shape is GraphShape {
  if (!isObject(shape)) return false;
  const { parallelBlock, kvEdges } = shape;
  if (typeof parallelBlock !== 'boolean') return false;
  if (kvEdges !== 'grouped' && kvEdges !== 'per-query-head') return false;
  try {
    checkShape(shape as unknown as GraphShape);
    return true;
  } catch {
    return false;
  }
}

function aboutOf(value: unknown, path: string): ScoresAbout {
  const { shape, meta } = isObject(value) ? value : {};
  if (!isShape(shape) || !Array.isArray(meta) || !meta.every(isEntry)) throw corruptJournal(path);
  return { shape, meta: Object.fromEntries(meta) };
}

async function readShard(path: string): Promise<ShardJournal> {
  const line = await readJournalLine(path);
  if (!line) throw new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', `${path} does not exist.`);
  const { settings, about } = line;
  if (!isObject(settings)) throw corruptJournal(path);
  const { shard, ...rest } = settings;
  if (typeof shard !== 'string') {
    throw invalid(
      `${path} is the journal of a whole run, not of a shard; give it to the run that it is of, which ` +
        'takes from it what is finished.',
    );
  }
  const { pairs } = rest;
  if (!Number.isSafeInteger(pairs)) throw corruptJournal(path);
  const own = parseShard(shard);
  const [begin, end] = shardRange(pairs as number, own);
  const { clean, corrupted } = readMetrics(line, end - begin, path);
  if (clean.length < end - begin) {
    throw invalid(
      `${path} holds ${clean.length} of the ${end - begin} pairs of shard ${shard}; run its ` +
        'command again to finish it.',
    );
  }
  const scoreCrcs = readScoreCrcs(line, clean.length, path);
  const kept = { about: aboutOf(about, path), clean, corrupted, scoreCrcs };
  return { path, shard: own, settings: rest, ...kept };
}

/** What two journals of one run share. */
const common = ({ path, settings, shard }: ShardJournal) => ({
  path,
  settings: { ...settings, shards: shard.count },
});

/**
 * The journals of every shard of one attribution.
 * @throws as `mergeAttributions`.
 */
export async function readShards(paths: readonly string[]): Promise<Shards> {
  if (paths.length === 0) throw invalid('there are no journals to merge.');
  const journals: ShardJournal[] = [];
  for (const path of paths) journals.push(await readShard(path));
  const [first] = journals;
  for (const other of journals.slice(1)) refuseUnlike(common(first), common(other));
  journals.sort((a, b) => a.shard.index - b.shard.index);
  const { count } = first.shard;
  for (let index = 1; index <= count; index++) {
    const [own, again] = journals.filter(({ shard }) => shard.index === index);
    if (!own) throw invalid(`the journal of shard ${index}/${count} is missing.`);
    if (again) throw invalid(`${own.path} and ${again.path} are both of shard ${index}/${count}.`);
  }
  const { pairs, modelFingerprint } = first.settings;
  return {
    journals,
    about: first.about,
    fingerprint: String(modelFingerprint),
    pairs: pairs as number,
  };
}

const damagedScores = ({ path, shard }: ShardJournal, problem: string): HeadsparkError =>
  new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${scoresPath(path)} ${problem}; run the command of shard ${shard.index}/${shard.count} again, ` +
      'which computes what is lost again.',
  );

const openScores = (journal: ShardJournal): Promise<FileHandle> =>
  open(scoresPath(journal.path), 'r').catch((error: unknown) => {
    throw systemCode(error) === 'ENOENT' ? damagedScores(journal, 'does not exist') : error;
  });

/** What all shards together give. */
export async function sumShards(
  { journals, about, fingerprint, pairs }: Shards,
  options: { readonly keepPairScores: boolean; readonly signal: AbortSignal | undefined },
) {
  const edges = graphOf(about.shape).edgeCount;
  const totals = new Float64Array(edges);
  const pairScores = options.keepPairScores ? new Float32Array(pairs * edges) : null;
  const turns = new Turns('the merge', options.signal);
  let place = 0;
  for (const journal of journals) {
    const count = journal.clean.length;
    const counted = { pairs: count, edges, crcs: journal.scoreCrcs };
    const begin = place;
    const file = await openScores(journal);
    try {
      for await (const part of readPairScores(file, counted)) {
        await addPairScores(totals, part, turns);
        pairScores?.set(part, place);
        place += part.length;
      }
      const whole = (place - begin) / edges;
      if (whole < count)
        throw damagedScores(journal, `is damaged after ${whole} of ${count} pairs`);
    } finally {
      await file.close();
    }
  }
  return {
    means: meansOf(totals, pairs),
    pairScores,
    clean: Float32Array.from(journals.flatMap(({ clean }) => clean)),
    corrupted: Float32Array.from(journals.flatMap(({ corrupted }) => corrupted)),
    fingerprint,
  };
}
