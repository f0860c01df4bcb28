// The journal of `attribute`: how many pairs are done, their metrics and the sums of their scores, in one
// line that is replaced as a whole. Where the scores of every pair are wanted, they lie in a second
// file (`PATH.scores`, float32 [pairs, edges]), which is written and synced before the line counts them
// and knows the CRC-32 of every pair's: from the first pair on that is damaged they are computed again.
// A pair that takes long, as those of exact patching do, has a third one (`PATH.pair`) while it is at work.
import { existsSync } from 'node:fs';
import { open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { writeFileAtomic } from '../atomic-file.js';
import type { CallbackResult } from '../callbacks.js';
import type { ScoreMeta } from '../circuit/score-table.js';
import type { GraphShape } from '../circuit/shape.js';
import { HeadsparkError } from '../errors.js';
import { systemCode, writeError, writingTo } from '../file-errors.js';
import { refuseOtherSettings } from '../journal.js';
import { decodeLine, encodeLine } from '../journal-line.js';
import { lockFile, type FileLock } from '../lock-file.js';
import { Turns } from '../turns.js';

const formatName = 'headspark-score-journal';
const pairFormatName = 'headspark-unfinished-pair';
const formatVersion = 1;

/** Scores of some pairs, and their metrics. */
export interface PairPart {
  /** [pairs, edges] */
  readonly pairScores: Float32Array;
  /** [pairs] each. */
  readonly clean: Float32Array;
  readonly corrupted: Float32Array;
}

/** The pair after the finished ones, whose edges into destinations from `column` on are scored. */
export interface UnfinishedPair extends PairPart {
  readonly column: number;
}

export interface ScoreJournalOptions {
  readonly path: string;
  /** Everything that decides the scores; a journal made with other settings is refused. */
  readonly settings: Record<string, unknown>;
  readonly pairs: number;
  readonly edges: number;
  /** In the file beside the journal. */
  readonly keepPairScores: boolean;
  /** In memory as well, for the result. */
  readonly holdPairScores: boolean;
  /** What a table of these scores says of itself; of a shard, whose journal is read by itself. */
  readonly about?: ScoresAbout | undefined;
  /** Called where kept scores are damaged and therefore computed again. */
  readonly onRemark?: ((remark: string) => CallbackResult) | undefined;
}

/** Of all pairs together. */
export interface ScoresAbout {
  readonly shape: GraphShape;
  readonly meta: ScoreMeta;
}

/** In a line, which sorts names: with the entries of `meta` in their order, as files have them. */
const toLine = ({ shape, meta }: ScoresAbout) => ({ shape, meta: Object.entries(meta) });

interface State {
  readonly clean: number[];
  readonly corrupted: number[];
  /** Where the scores of every pair are kept, their sums follow from those. */
  readonly totals: Float64Array | undefined;
  /** Of the scores of every pair; journals of earlier versions have none. */
  readonly scoreCrcs: readonly number[] | undefined;
}

const bytesOf = (array: Float32Array | Float64Array): Buffer =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** Where the scores of every pair lie. */
export const scoresPath = (path: string): string => `${path}.scores`;

/** Where the pair at work lies. */
const pairPath = (path: string): string => `${path}.pair`;

export function corruptJournal(path: string): HeadsparkError {
  return new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${path} is no whole journal of attribute; remove it to start over.`,
  );
}

/** Scores that are read at once. */
const MOST_READ = 1 << 24;

/** The scores of some pairs that a journal counts. */
export interface CountedScores {
  readonly pairs: number;
  readonly edges: number;
  readonly crcs: readonly number[] | undefined;
}

/** CRC-32 of each pair's scores, as they lie in the file. */
function crcsOf(pairScores: Float32Array, edges: number): number[] {
  const bytes = bytesOf(pairScores);
  return Array.from({ length: pairScores.length / edges }, (_, pair) =>
    crc32(bytes.subarray(4 * edges * pair, 4 * edges * (pair + 1))),
  );
}

/** Bytes from `place` on, as many as the file has. */
async function readBytes(file: FileHandle, bytes: Buffer, place: number): Promise<number> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, place + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

/**
 * Some pairs' scores after the others' of the file beside a journal, in order. Ends before the first
 * pair whose scores are damaged or not there.
 */
export async function* readPairScores(
  file: FileHandle,
  { pairs, edges, crcs }: CountedScores,
): AsyncGenerator<Float32Array> {
  const most = Math.max(1, Math.floor(MOST_READ / edges)); // pairs
  for (let pair = 0; pair < pairs; pair += most) {
    const part = new Float32Array(Math.min(most, pairs - pair) * edges);
    const read = await readBytes(file, bytesOf(part), pair * edges * 4);
    const there = part.subarray(0, Math.floor(read / (4 * edges)) * edges);
    const found = crcs && crcsOf(there, edges);
    const bad = found?.findIndex((crc, index) => crc !== crcs![pair + index]) ?? -1;
    const whole = bad < 0 ? there : there.subarray(0, bad * edges);
    if (whole.length > 0) yield whole;
    if (whole.length < part.length) return;
  }
}

/** Adds the scores of some pairs, one after the other. */
export async function addPairScores(
  totals: Float64Array,
  pairScores: Float32Array,
  turns: Turns,
): Promise<void> {
  const edges = totals.length;
  for (let begin = 0; begin < pairScores.length; begin += edges) {
    for (let edge = 0; edge < edges; edge++) totals[edge] += pairScores[begin + edge];
    await turns.give();
  }
}

/** [edges] means of sums over so many pairs. */
export const meansOf = (totals: Float64Array, pairs: number): Float32Array =>
  Float32Array.from(totals, (total) => total / pairs);

/** Fills an array from base64. */
function fill<Values extends Float32Array | Float64Array>(
  values: Values,
  text: unknown,
  path: string,
): Values {
  const bytes = Buffer.from(typeof text === 'string' ? text : '', 'base64');
  if (bytes.length !== values.byteLength) throw corruptJournal(path);
  bytes.copy(bytesOf(values));
  return values;
}

const areNumbers = (values: unknown, count: number): values is number[] =>
  Array.isArray(values) &&
  values.length <= count &&
  values.every((value) => Number.isFinite(value));

/** The metrics in a line, of `pairs` pairs at most. @throws ERR_HEADSPARK_FILE_CORRUPT */
export function readMetrics(
  { clean, corrupted }: Record<string, unknown>,
  pairs: number,
  path: string,
): { clean: number[]; corrupted: number[] } {
  if (!areNumbers(clean, pairs) || !areNumbers(corrupted, pairs)) throw corruptJournal(path);
  if (clean.length !== corrupted.length) throw corruptJournal(path);
  return { clean, corrupted };
}

/** What a line says of the scores of `pairs` pairs. @throws ERR_HEADSPARK_FILE_CORRUPT */
export function readScoreCrcs(
  { scoreCrcs }: Record<string, unknown>,
  pairs: number,
  path: string,
): number[] | undefined {
  if (scoreCrcs === undefined) return undefined;
  if (!areNumbers(scoreCrcs, pairs) || scoreCrcs.length < pairs) throw corruptJournal(path);
  return scoreCrcs;
}

/** The line of a whole journal; undefined where there is no file. @throws ERR_HEADSPARK_FILE_CORRUPT */
export async function readJournalLine(
  path: string,
  format = formatName,
): Promise<Record<string, unknown> | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const line = bytes.at(-1) === 0x0a ? decodeLine(bytes.subarray(0, -1)) : undefined;
  if (line?.format !== format || line.version !== formatVersion) throw corruptJournal(path);
  return line;
}

/** Undefined where there is no journal yet. */
async function readState(options: ScoreJournalOptions): Promise<State | undefined> {
  const { path, settings, pairs, edges, keepPairScores } = options;
  const line = await readJournalLine(path);
  if (!line) return undefined;
  refuseOtherSettings(path, line.settings, settings);
  const metrics = readMetrics(line, pairs, path);
  const totals = keepPairScores ? undefined : fill(new Float64Array(edges), line.totals, path);
  return { ...metrics, totals, scoreCrcs: readScoreCrcs(line, metrics.clean.length, path) };
}

/** The pair at work, after `done` others; undefined where the file is of one that is finished. */
async function readUnfinished(
  { path, settings, edges }: ScoreJournalOptions,
  done: number,
): Promise<UnfinishedPair | undefined> {
  const place = pairPath(path);
  const line = await readJournalLine(place, pairFormatName);
  if (!line) return undefined;
  refuseOtherSettings(place, line.settings, settings);
  const { clean, corrupted } = readMetrics(line, 1, place);
  const { column } = line;
  const isColumn = typeof column === 'number' && Number.isSafeInteger(column) && column > 0;
  if (clean.length !== 1 || !isColumn) throw corruptJournal(place);
  if (line.done !== done) return undefined;
  return {
    column,
    pairScores: fill(new Float32Array(edges), line.scores, place),
    clean: Float32Array.from(clean),
    corrupted: Float32Array.from(corrupted),
  };
}

/** Removes what a journal at this path left. */
export async function removeScoreJournal(path: string): Promise<void> {
  for (const file of [path, scoresPath(path), pairPath(path)]) await rm(file, { force: true });
}

/** The finished pairs of this run and of those before it. */
export class ScoreJournal {
  readonly path: string;
  /** [edges] sums over the finished pairs, in their order. */
  readonly totals: Float64Array;
  /** [pairs, edges], of which the finished are filled; undefined where they are not held. */
  readonly pairScores: Float32Array | undefined;
  readonly clean: number[] = [];
  readonly corrupted: number[] = [];
  readonly #options: ScoreJournalOptions;
  readonly #lock: FileLock;
  /** Made by the first pairs that are saved. */
  #scores: FileHandle | undefined;
  /** Of every finished pair, where scores are kept. */
  readonly #crcs: number[] = [];
  #saved = 0;
  /** Whether there is a line. */
  #hasLine = false;
  /** Scores of the pairs from #saved on, where they are kept. */
  #unsaved: Float32Array[] = [];
  #unfinished: UnfinishedPair | undefined;
  /** Whether the file of the pair at work is not as #unfinished says. */
  #pairChanged = false;

  private constructor(options: ScoreJournalOptions, lock: FileLock) {
    this.path = options.path;
    this.totals = new Float64Array(options.edges);
    if (options.holdPairScores) this.pairScores = new Float32Array(options.pairs * options.edges);
    this.#options = options;
    this.#lock = lock;
  }

  /**
   * Opens or creates the journal and takes its lock file (`PATH.lock`).
   * @throws ERR_HEADSPARK_SETTINGS_MISMATCH naming the settings that differ,
   *   ERR_HEADSPARK_FILE_CORRUPT for another kind of file or one that lacks what it counts,
   *   ERR_HEADSPARK_INVALID_ARGUMENT when another process has it open, ERR_HEADSPARK_FILE_WRITE.
   */
  static async open(options: ScoreJournalOptions): Promise<ScoreJournal> {
    const { path } = options;
    let journal: ScoreJournal | undefined;
    try {
      journal = new ScoreJournal(options, await lockFile(`${path}.lock`, `the journal ${path}`));
      await journal.#restore(await readState(options));
      journal.#unfinished = await readUnfinished(options, journal.done);
      journal.#pairChanged = !journal.#unfinished && existsSync(pairPath(path)); // of a finished one
      return journal;
    } catch (error) {
      await journal?.close();
      throw writeError(path, error, { resumes: true });
    }
  }

  /** The pairs that are finished: the first ones. */
  get done(): number {
    return this.clean.length;
  }

  /** Whether there is a file. */
  get written(): boolean {
    return this.#hasLine || existsSync(pairPath(this.path));
  }

  /** What is done of the next pair. */
  get unfinished(): UnfinishedPair | undefined {
    return this.#unfinished;
  }

  /** Says what is done of the next pair by now; `save` keeps it. */
  progressTo(pair: UnfinishedPair): void {
    this.#unfinished = pair;
    this.#pairChanged = true;
  }

  /** Adds the pairs that follow; `save` keeps them. */
  async add(part: PairPart): Promise<void> {
    const begin = this.done * this.#options.edges;
    await this.#sum(part.pairScores);
    this.pairScores?.set(part.pairScores, begin);
    if (this.#options.keepPairScores) {
      this.#unsaved.push(part.pairScores);
      crcsOf(part.pairScores, this.#options.edges).forEach((crc) => this.#crcs.push(crc));
    }
    part.clean.forEach((value) => this.clean.push(value));
    part.corrupted.forEach((value) => this.corrupted.push(value));
    if (this.#unfinished) this.#pairChanged = true;
    this.#unfinished = undefined;
  }

  /** Resolves when all that is done so far is on disk. @throws ERR_HEADSPARK_FILE_WRITE. */
  async save(): Promise<void> {
    if (this.#saved !== this.done) {
      if (this.#options.keepPairScores) await this.#writeScores();
      await writeFileAtomic(this.path, this.#line(), { resumes: true });
      this.#saved = this.done;
      this.#hasLine = true;
      this.#unsaved = [];
    }
    if (this.#pairChanged) await this.#writePair();
    this.#pairChanged = false;
  }

  async close(): Promise<void> {
    try {
      await this.#scores?.close();
    } finally {
      await this.#lock.release();
    }
  }

  #line(): string {
    const { settings, keepPairScores, about } = this.#options;
    const { clean, corrupted } = this;
    const totals = keepPairScores ? undefined : bytesOf(this.totals).toString('base64');
    return encodeLine({
      format: formatName,
      version: formatVersion,
      settings,
      about: about && toLine(about),
      clean,
      corrupted,
      totals,
      scoreCrcs: keepPairScores ? this.#crcs : undefined,
    });
  }

  async #writePair(): Promise<void> {
    const place = pairPath(this.path);
    if (!this.#unfinished) return rm(place, { force: true });
    const { column, clean, corrupted, pairScores } = this.#unfinished;
    const line = encodeLine({
      format: pairFormatName,
      version: formatVersion,
      settings: this.#options.settings,
      done: this.done,
      column,
      clean: [...clean],
      corrupted: [...corrupted],
      scores: bytesOf(pairScores).toString('base64'),
    });
    await writeFileAtomic(place, line, { resumes: true });
  }

  async #writeScores(): Promise<void> {
    let place = this.#saved * this.#options.edges * 4;
    const write = async (): Promise<void> => {
      // Without a line that counts them, scores are of a run that ended before it.
      this.#scores ??= await open(scoresPath(this.path), 'w+');
      for (const bytes of this.#unsaved.map(bytesOf)) {
        for (let at = 0; at < bytes.length;) {
          const { bytesWritten } = await this.#scores.write(bytes, at, undefined, place);
          at += bytesWritten;
          place += bytesWritten;
        }
      }
      await this.#scores.datasync();
    };
    await writingTo(scoresPath(this.path), write, { resumes: true });
  }

  #sum(pairScores: Float32Array): Promise<void> {
    return addPairScores(this.totals, pairScores, new Turns('the sum of scores', undefined));
  }

  async #restore(state: State | undefined): Promise<void> {
    if (!state) return;
    this.#hasLine = true;
    if (state.totals) this.totals.set(state.totals);
    const done = state.totals ? state.clean.length : await this.#readScores(state);
    state.clean.slice(0, done).forEach((value) => this.clean.push(value));
    state.corrupted.slice(0, done).forEach((value) => this.corrupted.push(value));
    this.#saved = this.done;
    if (done === state.clean.length) return;
    this.#options.onRemark?.(
      `${scoresPath(this.path)} is damaged: the scores of ${done} of ${state.clean.length} finished ` +
        'pairs are whole and kept, those after them are computed again.',
    );
  }

  /** The pairs up to the first whose scores are damaged or not there. */
  async #readScores({ clean, scoreCrcs }: State): Promise<number> {
    const path = scoresPath(this.path);
    this.#scores = await open(path, 'r+').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw writeError(path, error);
    });
    if (!this.#scores) return 0;
    const { edges } = this.#options;
    let place = 0;
    for await (const part of readPairScores(this.#scores, {
      pairs: clean.length,
      edges,
      crcs: scoreCrcs,
    })) {
      await this.#sum(part);
      crcsOf(part, edges).forEach((crc) => this.#crcs.push(crc));
      this.pairScores?.set(part, place);
      place += part.length;
    }
    return place / edges;
  }
}
