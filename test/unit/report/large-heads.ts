// Made-up profiles of all heads of the large study's last checkpoints, with attention maps of prompts
// that are longer than what is drawn.
import { headProfile } from '../../../lib/heads/profile.js';
import { headPropertyNames, type HeadPropertyName } from '../../../lib/heads/properties.js';
import type { AttentionMap, HeadRow, HeadTable } from '../../../lib/heads/types.js';
import type { RunData } from '../../../lib/report/run-data.js';
import { Random } from '../../../lib/stats/random.js';

const record = <T>(value: (name: HeadPropertyName) => T) =>
  Object.fromEntries(headPropertyNames.map((name) => [name, value(name)])) as Record<
    HeadPropertyName,
    T
  >;

function rowsOf(random: Random): HeadRow[] {
  return Array.from({ length: 36 * 32 }, (_, index) => {
    const [layer, head] = [Math.floor(index / 32), index % 32];
    const value = () => {
      const estimate = random.uniform();
      return { estimate, low: estimate - 0.05, high: estimate + 0.05, prompts: 100 };
    };
    return { name: `a${layer}.h${head}`, layer, head, values: record(value) };
  });
}

/** Attention that is spread over many keys, which makes the largest drawings. */
function mapOf(head: string, random: Random, length: number): AttentionMap {
  const rows = Array.from({ length }, (_, query) => {
    const weights = Array.from({ length: query + 1 }, () => random.uniform() ** 4);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => Number((weight / sum).toFixed(4)));
  });
  return { head, prompt: 0, tokens: rows.map((_, index) => ` token${index}`), rows };
}

export function largeHeads(): Pick<RunData, 'heads'> {
  const random = new Random(11);
  const heads = ['SFT-step500', 'GRPO-step500'].flatMap((checkpoint) =>
    ['direct', 'thinking'].map((form) => {
      const rows = rowsOf(random);
      const table: HeadTable = {
        format: 'headspark-heads',
        version: 1,
        settings: {
          headspark: '0',
          model: checkpoint,
          modelFingerprint: '0',
          device: 'cpu',
          isa: 'portable',
          precision: 'exact',
          prompts: 100,
          promptsHash: '0',
          queries: 'all',
          markers: [],
          confidence: 0.95,
          resamples: 2000,
          seed: 0,
        },
        tokens: null,
        uniform: record(() => 0.1),
        heads: rows,
        maps: [0, 1].map((index) => mapOf(rows[index].name, random, 120)),
        notes: [],
      };
      const effects = new Map(rows.map(({ name }) => [name, random.uniform()]));
      const measured = { settings: { metric: 'logit-diff', ablation: 'zero' }, effects };
      const profile = headProfile(
        table,
        { effects: measured },
        { resamples: 20, permutations: 20 },
      );
      return {
        format: 'headspark-heads-stage' as const,
        name: 'all heads',
        checkpoint,
        task: 'sums',
        form,
        profile,
      };
    }),
  );
  return { heads };
}
