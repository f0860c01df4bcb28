// Stage `pairs`: the pairs of a task under a prompt form, tokenized by the base's tokenizer and
// stored, so that every checkpoint reads exactly the same tokens. Pairs of openings are stored twice:
// clean is what the base wrote for the base, and what the post-trained model wrote for the others.

import { join } from 'node:path';
import { HeadsparkError } from '../../errors.js';
import { pairsHash, readPairs, tokenizePair, writePairs, type TokenizedPair } from '../../pairs.js';
import { pairsKey, type Facts } from '../facts.js';
import {
  littleWork,
  placeId,
  places,
  type Need,
  type Place,
  type StageContext,
  type StageInstance,
  type StageKind,
} from '../stage.js';
import type { Study } from '../study.js';
import { writeResult } from './files.js';
import { hasOpenings, neededOpenings } from './openings.js';

export const pairsFile = 'pairs.jsonl';

export interface PairsSummary {
  readonly format: 'headspark-pairs';
  readonly base: string;
  readonly task: string;
  readonly form: string;
  readonly pairs: number;
  readonly hash: string;
  readonly tokens: number;
  /** Of openings: problems that both models begin alike, so that they make no pair. */
  readonly alike?: number;
}

/** The base of a place's checkpoint, as far as ids go. */
export function baseOf({ checkpoint }: Place): Place['checkpoint'] {
  return { ...checkpoint, name: checkpoint.base };
}

/** The pairs that a place's checkpoint reads. */
export function pairsNeed(place: Place, study: Study): Need {
  const id = placeId({ ...place, checkpoint: baseOf(place) });
  const isPost = place.checkpoint.base !== place.checkpoint.name;
  return { kind: 'pairs', id: isPost && hasOpenings(study, place) ? `${id}.post` : id };
}

/** The stored pairs that an instance needs under the role `pairs`. */
export function neededPairs(context: StageContext): Promise<TokenizedPair[]> {
  return readPairs(context.needed('pairs', pairsFile), {
    metric: context.study.attribution.metric,
  });
}

function instanceOf(place: Place, clean: 'base' | 'post' | undefined, facts: Facts): StageInstance {
  const { checkpoint, task, form } = place;
  const { hash, tokens, pairs } = facts.pairs.get(pairsKey(checkpoint.name, task, form))!;
  return {
    kind: 'pairs',
    id: placeId(place) + (clean === 'post' ? '.post' : ''),
    settings: {
      pairs: hash,
      base: checkpoint.name,
      task,
      form,
      ...(clean ? { clean } : {}),
    },
    needs: clean ? { openings: { kind: 'openings', id: placeId(place) } } : {},
    weights: [],
    work: { ...littleWork, diskBytes: 16 * tokens + 200 * pairs.length },
  };
}

/** Pairs of stored openings, cut to one length where their next tokens differ. */
async function pairsOfOpenings(
  context: StageContext,
  of: { base: string; clean: string; length: number; writer: string },
): Promise<{ pairs: TokenizedPair[]; alike: number }> {
  const { base, clean, length, writer } = of;
  const { tokenizer, info } = await context.model(base);
  const openings = await neededOpenings(context);
  const pairs: TokenizedPair[] = [];
  for (const { prompt, base: own, post } of openings) {
    const index = pairs.length;
    const [opening, other] = clean === 'post' ? [post, own] : [own, post];
    const raw = { clean: prompt, corrupted: prompt, opening, corrupted_opening: other };
    try {
      const pair = tokenizePair(
        raw,
        { file: 'openings', line: index + 1, index },
        {
          ...(tokenizer ? { tokenizer } : {}),
          vocabSize: info.vocab,
          metric: context.study.attribution.metric,
          openingLength: length,
        },
      );
      pairs.push(pair);
    } catch (error) {
      const alike = error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_PAIR_FORMAT';
      if (!alike) throw error;
    }
  }
  if (pairs.length > 0) return { pairs, alike: openings.length - pairs.length };
  throw new HeadsparkError(
    'ERR_HEADSPARK_PAIR_FORMAT',
    `${base} and ${writer} begin every one of the ${openings.length} answers alike, so that their ` +
      'openings make no pair; ask other problems, or name another model with by.',
  );
}

export const pairsStage: StageKind = {
  kind: 'pairs',
  title: 'pairs, tokenized and stored',
  revision: 1,
  instances: (study, facts) =>
    places(study)
      .filter(({ checkpoint }) => checkpoint.base === checkpoint.name)
      .flatMap((place) =>
        hasOpenings(study, place)
          ? [instanceOf(place, 'base', facts), instanceOf(place, 'post', facts)]
          : [instanceOf(place, undefined, facts)],
      ),
  async run({ settings }, context) {
    const { base, task, form, clean } = settings as Record<'base' | 'task' | 'form', string> & {
      clean?: string;
    };
    const known = context.facts.pairs.get(pairsKey(base, task, form))!;
    const { length, by } = known.openings ?? {};
    const made =
      clean === undefined
        ? undefined
        : await pairsOfOpenings(context, { base, clean, length: length!, writer: by! });
    const pairs = made?.pairs ?? known.pairs;
    await writePairs(join(context.folder, pairsFile), pairs);
    const summary: PairsSummary = {
      format: 'headspark-pairs',
      base,
      task,
      form,
      pairs: pairs.length,
      hash: made ? pairsHash(pairs) : known.hash,
      tokens: made ? pairs.reduce((sum, pair) => sum + pair.clean.length, 0) : known.tokens,
      ...(made ? { alike: made.alike } : {}),
    };
    await writeResult(context.folder, 'summary.json', summary);
  },
};
