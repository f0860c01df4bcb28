// Stage `openings`: how a base and a post-trained model each begin to answer the same problems.
// Greedy, stored as tokens; the stage `pairs` makes pairs of them (the paper's way).

import { join } from 'node:path';
import { writeFileAtomic } from '../../atomic-file.js';
import { generateGreedy } from '../../generate.js';
import { readLines } from '../../pairs/lines.js';
import { pairsKey } from '../facts.js';
import { placeId, places, type Place, type StageContext, type StageKind } from '../stage.js';
import type { Study } from '../study.js';

export const openingsFile = 'openings.jsonl';

/** One problem with both beginnings; one token more than an opening has, which is the answer. */
export interface Opening {
  readonly id: string;
  readonly prompt: number[];
  readonly base: number[];
  readonly post: number[];
  readonly baseText: string;
  readonly postText: string;
}

/** True where the pairs of a place are made of openings. */
export function hasOpenings(study: Study, { task, form }: Pick<Place, 'task' | 'form'>): boolean {
  const own = study.tasks.find(({ name }) => name === task);
  return own?.forms.find((one) => one.form.name === form)?.input.kind === 'openings';
}

/** The openings that an instance needs under the role `openings`. */
export async function neededOpenings(context: StageContext): Promise<Opening[]> {
  const openings: Opening[] = [];
  for await (const { text } of readLines(context.needed('openings', openingsFile))) {
    if (text.trim() !== '') openings.push(JSON.parse(text) as Opening);
  }
  return openings;
}

export const openingsStage: StageKind = {
  kind: 'openings',
  title: 'how base and post-trained model begin their answers',
  revision: 1,
  instances: (study, facts) =>
    places(study)
      .filter(({ checkpoint }) => checkpoint.base === checkpoint.name)
      .filter((place) => hasOpenings(study, place))
      .map((place) => {
        const { checkpoint, task, form } = place;
        const key = pairsKey(checkpoint.name, task, form);
        const { hash, tokens, openings } = facts.pairs.get(key)!;
        const { by, length, prompts } = openings!;
        const { textHash } = facts.checkpoints.get(by)!;
        return {
          kind: 'openings',
          id: placeId(place),
          settings: {
            prompts: hash,
            length,
            base: checkpoint.name,
            by,
            text: textHash,
            task,
            form,
          },
          needs: {},
          weights: [checkpoint.name, by],
          checkpoint: checkpoint.name,
          work: {
            // Of both models.
            forwards: 2 * prompts.length,
            backwards: 0,
            rate: 'openings' as const,
            units: 2 * prompts.length,
            newTokens: 2 * prompts.length * (length + 1),
            memoryBytes: 0,
            diskBytes: 8 * tokens + 400 * prompts.length,
          },
        };
      }),
  async run({ settings }, context) {
    const { base, by, task, form } = settings as Record<'base' | 'by' | 'task' | 'form', string>;
    const { prompts, length } = context.facts.pairs.get(pairsKey(base, task, form))!.openings!;
    const rows = prompts.map(({ tokens }) => ({ prompt: tokens }));
    const written: { tokens: number[]; text: string }[][] = [];
    for (const name of [base, by]) {
      const model = await context.model(name);
      const all = await generateGreedy(model, rows, {
        maxNewTokens: length + 1,
        ...(context.signal ? { signal: context.signal } : {}),
      });
      const decode = (tokens: number[]): string =>
        model.tokenizer!.decode(tokens, { skipSpecialTokens: false });
      written.push(all.map((tokens) => ({ tokens, text: decode(tokens) })));
      context.onProgress(written.length / 2);
    }
    const lines = prompts.map(({ id, tokens }, index): string => {
      const [own, other] = [written[0][index], written[1][index]];
      const opening: Opening = {
        id,
        prompt: [...tokens],
        base: own.tokens,
        post: other.tokens,
        baseText: own.text,
        postText: other.text,
      };
      return `${JSON.stringify(opening)}\n`;
    });
    await writeFileAtomic(join(context.folder, openingsFile), lines.join(''));
  },
};
