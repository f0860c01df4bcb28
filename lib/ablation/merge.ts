// Joining the journals of shards of an ablation: same settings and plan, every shard once and whole. All
// statistics are made here, over all variants, so that the table has the bytes of one run.

import { ablationKinds } from '../ablation-kinds.js';
import { isObject } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { gatePositions, parseHeads, type HeadShape } from '../head-gate.js';
import { readJournal, refuseUnlike } from '../journal.js';
import { parseShard, type Shard } from '../shard.js';
import { checkConfidence } from '../stats/quantile.js';
import { plannedVariants, withStatistics, type RunSettings } from './ablate.js';
import type { PlannedAblation, PlannedSet } from './plan.js';
import { fromRecord, variantKey, type VariantResults } from './run.js';
import { differentVariants, shareVariants } from './share.js';
import { buildTable } from './table.js';
import { controlMatches, type AblationTable, type MergeAblationsOptions } from './types.js';

/** The journal of one shard. */
interface Part {
  readonly path: string;
  readonly shard: Shard;
  /** All but the shard. */
  readonly settings: Record<string, unknown>;
  readonly results: ReadonlyMap<string, VariantResults>;
}

/** What the headers of all shards say. */
interface Whole {
  readonly run: RunSettings;
  readonly shape: HeadShape;
  readonly planned: PlannedAblation;
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

const corrupt = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_FILE_CORRUPT', message);

const misfit = (path: string, cause?: unknown): HeadsparkError =>
  new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${path} has a header that does not fit; it was changed or is of another version.`,
    { cause },
  );

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isWhole = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isCount = (value: unknown): value is number => isWhole(value) && value > 0;
const isListOf =
  <T>(isItem: (item: unknown) => item is T) =>
  (value: unknown): value is T[] =>
    Array.isArray(value) && value.every(isItem);
const isOneOf =
  (...allowed: readonly string[]) =>
  (value: unknown): boolean =>
    isText(value) && allowed.includes(value);

/** The settings in the order that tables have them in, and what each may be. */
const settingChecks: Readonly<Record<keyof RunSettings, (value: unknown) => boolean>> = {
  headspark: isText,
  model: isText,
  modelFingerprint: isText,
  device: isText,
  isa: isText,
  precision: isText,
  pairs: isCount,
  pairsHash: isText,
  metric: isText,
  worse: isOneOf('lower', 'higher'),
  ablation: isOneOf(...ablationKinds),
  factors: isListOf(isNumber),
  positions: isOneOf(...gatePositions),
  plan: isOneOf('single', 'sets', 'top-k'),
  match: isOneOf(...controlMatches),
  controls: isWhole,
  seed: isWhole,
};

function rowOf(value: unknown, kind: PlannedSet['kind'], shape: HeadShape): PlannedSet | undefined {
  const { name, heads, factor, controls } = isObject(value) ? value : {};
  const areTexts = isText(name) && isText(heads) && isListOf(isText)(controls);
  if (!areTexts || !isNumber(factor)) return undefined;
  return {
    name,
    kind,
    heads: parseHeads(heads, shape),
    factor,
    controls: controls.map((control, index) => ({
      name: `${name} control ${index + 1}`,
      heads: parseHeads(control, shape),
    })),
  };
}

/** Undefined for a header that headspark did not write. */
function wholeOf(settings: Record<string, unknown>): Whole | undefined {
  const checks = Object.entries(settingChecks);
  if (!checks.every(([name, fits]) => fits(settings[name]))) return undefined;
  const run = Object.fromEntries(
    checks.map(([name]) => [name, settings[name]]),
  ) as unknown as RunSettings;
  const { layers, heads } = isObject(settings['shape']) ? settings['shape'] : {};
  const { rows, notes } = isObject(settings['planned']) ? settings['planned'] : {};
  if (!isCount(layers) || !isCount(heads) || !Array.isArray(rows)) return undefined;
  if (rows.length === 0 || !isListOf(isText)(notes)) return undefined;
  const shape = { layers, heads };
  const sets = rows.map((row) => rowOf(row, run.plan, shape));
  const complete = sets.every((set) => set !== undefined);
  return complete ? { run, shape, planned: { rows: sets, notes } } : undefined;
}

function readWhole({ path, settings }: Part): Whole {
  let whole: Whole | undefined;
  try {
    whole = wholeOf(settings);
  } catch (error) {
    throw misfit(path, error); // of heads that are none
  }
  if (!whole) throw misfit(path);
  return whole;
}

async function readPart(path: string): Promise<Part> {
  const { settings, records } = await readJournal(path);
  const { shard, ...rest } = settings;
  if (rest['verb'] !== 'ablate') {
    throw corrupt(`${path} is no journal of an ablation (it is of "${String(rest['verb'])}").`);
  }
  if (!isText(shard)) {
    throw invalid(
      `${path} is the journal of a whole run, not of a shard; give it to the run that it is of, which ` +
        'takes from it what is finished.',
    );
  }
  const { pairs } = rest;
  if (!isCount(pairs)) throw misfit(path);
  const results = new Map<string, VariantResults>();
  for (const [key, record] of records) {
    results.set(key, fromRecord(record, key, { pairs, journal: path }));
  }
  return { path, shard: parseShard(shard), settings: rest, results };
}

/** What two journals of one run share. */
const common = ({ path, settings, shard }: Part) => ({
  path,
  settings: { ...settings, shards: shard.count },
});

/** In the order of the shards. @throws where one is missing or there twice. */
function inOrder(parts: readonly Part[]): Part[] {
  const { count } = parts[0].shard;
  return Array.from({ length: count }, (_, part) => {
    const name = `${part + 1}/${count}`;
    const [own, again] = parts.filter(({ shard }) => shard.index === part + 1);
    if (!own) throw invalid(`the journal of shard ${name} is missing.`);
    if (again) throw invalid(`${own.path} and ${again.path} are both of shard ${name}.`);
    return own;
  });
}

function checkFinished({ path, shard, results }: Part, keys: readonly string[]): void {
  const held = keys.filter((key) => results.has(key)).length;
  if (held < keys.length) {
    throw invalid(
      `${path} holds ${held} of the ${keys.length} variants of shard ${shard.index}/${shard.count}; ` +
        'run its command again to finish it.',
    );
  }
}

/**
 * The table of an ablation from the journals of its shards.
 * @throws as `mergeAblations`.
 */
export async function mergeShards(
  paths: readonly string[],
  { signal, ...statistics }: MergeAblationsOptions,
): Promise<AblationTable> {
  if (statistics.confidence !== undefined) checkConfidence(statistics.confidence);
  if (paths.length === 0) throw invalid('there are no journals to merge.');
  const parts: Part[] = [];
  for (const path of paths) {
    const part = await readPart(path);
    if (parts.length > 0) refuseUnlike(common(parts[0]), common(part));
    parts.push(part);
  }
  const { run, shape, planned } = readWhole(parts[0]);
  const ordered = inOrder(parts);
  const all = differentVariants(plannedVariants(planned));
  const shares = shareVariants(all, ordered[0].shard, shape.layers);
  const results = new Map<string, VariantResults>();
  for (const [index, part] of ordered.entries()) {
    const keys = shares[index].map(variantKey);
    checkFinished(part, keys);
    for (const key of keys) results.set(key, part.results.get(key)!);
  }
  const settings = withStatistics(run, planned.rows.length, statistics);
  return buildTable({ settings, planned, results, signal });
}
