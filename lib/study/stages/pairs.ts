// Stage `pairs`: the pairs of a task under a prompt form, tokenized by the base's tokenizer and
// stored, so that every checkpoint reads exactly the same tokens.

import { join } from 'node:path';
import { readPairs, writePairs, type TokenizedPair } from '../../pairs.js';
import { pairsKey } from '../facts.js';
import { littleWork, placeId, places, type StageContext, type StageKind } from '../stage.js';
import { writeResult } from './files.js';

export const pairsFile = 'pairs.jsonl';

export interface PairsSummary {
  readonly format: 'headspark-pairs';
  readonly base: string;
  readonly task: string;
  readonly form: string;
  readonly pairs: number;
  readonly hash: string;
  readonly tokens: number;
}

/** The stored pairs that an instance needs under the role `pairs`. */
export function neededPairs(context: StageContext): Promise<TokenizedPair[]> {
  return readPairs(context.needed('pairs', pairsFile), {
    metric: context.study.attribution.metric,
  });
}

export const pairsStage: StageKind = {
  kind: 'pairs',
  title: 'pairs, tokenized and stored',
  revision: 1,
  instances: (study, facts) =>
    places(study)
      .filter(({ checkpoint }) => checkpoint.base === checkpoint.name)
      .map((place) => {
        const { checkpoint, task, form } = place;
        const { hash, tokens, pairs } = facts.pairs.get(pairsKey(checkpoint.name, task, form))!;
        return {
          kind: 'pairs',
          id: placeId(place),
          settings: { pairs: hash, base: checkpoint.name, task, form },
          needs: {},
          weights: [],
          work: { ...littleWork, diskBytes: 16 * tokens + 200 * pairs.length },
        };
      }),
  async run({ settings }, { facts, folder }) {
    const { base, task, form } = settings as Record<'base' | 'task' | 'form', string>;
    const { pairs, hash, tokens } = facts.pairs.get(pairsKey(base, task, form))!;
    await writePairs(join(folder, pairsFile), pairs);
    const summary: PairsSummary = {
      format: 'headspark-pairs',
      base,
      task,
      form,
      pairs: pairs.length,
      hash,
      tokens,
    };
    await writeResult(folder, 'summary.json', summary);
  },
};
