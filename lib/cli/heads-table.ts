// Head properties and their correlations as a person reads them.

import { byEffect, type HeadProfile } from '../heads/profile.js';
import { headPropertyTexts, type HeadPropertyName } from '../heads/properties.js';
import type { HeadValue } from '../heads/types.js';
import { correlationName, noIntervalText } from '../heads/correlation.js';
import type { SpearmanResult } from '../stats/spearman.js';
import { formatFixed } from '../format-number.js';
import type { Context } from './context.js';
import {
  formatBounds,
  formatNumber,
  formatP,
  formatPercent,
  formatSigned,
  plural,
  type TableColumn,
} from './output.js';

const right = (title: string): TableColumn => ({ title, align: 'right' });

/** Short enough for a line of 100 signs with all of them. */
const columns: readonly { property: HeadPropertyName; title: string; digits: number }[] = [
  { property: 'previous', title: 'prev', digits: 2 },
  { property: 'first', title: '1st', digits: 2 },
  { property: 'duplicate', title: 'copy', digits: 2 },
  { property: 'induction', title: 'next', digits: 2 },
  { property: 'digits', title: 'digs', digits: 2 },
  { property: 'operators', title: 'oper', digits: 2 },
  { property: 'delimiters', title: 'delim', digits: 2 },
  { property: 'think', title: 'think', digits: 2 },
  { property: 'entropy', title: 'entr', digits: 2 },
  { property: 'distance', title: 'dist', digits: 1 },
  { property: 'directEffect', title: 'logit', digits: 2 },
  { property: 'copying', title: 'OV', digits: 2 },
  { property: 'writeNorm', title: 'norm', digits: 2 },
];

/** A number of a fixed number of digits, so that columns can be compared at a glance. */
const fixed = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? '–' : formatFixed(value, digits);

/** Half of the interval, `±.02`; empty where it has no width, as that of the weights alone. */
function halfWidth(value: HeadValue | null, digits: number): string {
  const half = value ? (value.high - value.low) / 2 : 0;
  return half > 0 ? `±${half.toFixed(digits).replace(/^0/, '')}` : '';
}

/** What the short titles mean: shares of attention, then the others with their units. */
function legendOf(shown: typeof columns): string[] {
  const texts = shown.map(({ property, title: short }) => {
    const { title, unit } = headPropertyTexts.find(({ name }) => name === property)!;
    const inUnit = unit === 'nats' || unit === 'tokens' || unit === 'logits' ? ` (${unit})` : '';
    return { isShare: unit === 'share', text: `${short}: ${title}${inUnit}` };
  });
  const [shares, others] = [true, false].map((wanted) =>
    texts.filter(({ isShare }) => isShare === wanted).map(({ text }) => text),
  );
  return [`share of attention, ${shares.join('; ')}`, others.join('; ')];
}

function printHeads(profile: HeadProfile, context: Context, top: number): void {
  const { table, effects, groups } = profile;
  const shown = columns.filter(({ property }) =>
    table.heads.some(({ values }) => values[property] !== null),
  );
  const heads = byEffect(profile).slice(0, top);
  const harm = (text: string): string[] => (effects ? [text] : []);
  context.table(
    [{ title: 'head' }, ...harm('harm').map(right), ...shown.map(({ title }) => right(title))],
    [
      ...heads.flatMap(({ name, values }) => [
        [
          name,
          ...harm(formatSigned(effects?.heads[name] ?? NaN, 2)),
          ...shown.map(({ property, digits }) => fixed(values[property]?.estimate, digits)),
        ],
        [
          groups?.[name] ?? '',
          ...harm(''),
          ...shown.map(({ property, digits }) =>
            context.paint('dim', halfWidth(values[property], digits)),
          ),
        ],
      ]),
      [
        'uniform',
        ...harm(''),
        ...shown.map(({ property, digits }) =>
          table.uniform[property] === null ? '' : fixed(table.uniform[property], digits),
        ),
      ],
    ],
  );
  const left = table.heads.length - heads.length;
  if (left > 0) {
    context.print(`  … and ${plural(left, 'more head')}; --top shows more, --out and --csv all.`);
  }
  for (const line of legendOf(shown)) context.print(`  ${line}`);
}

/** The interval, or why there is none. */
const rhoBounds = (result: SpearmanResult): string =>
  noIntervalText(result) ?? formatBounds(result.rho, 2);

function printCorrelations({ correlations, effects }: HeadProfile, context: Context): void {
  if (!correlations || !effects) return;
  const { metric, ablation } = effects.settings;
  context.heading(`Rank correlation with the harm of ablation (${ablation}, ${metric})`);
  const rows = correlations.filter(({ result }) => result !== null);
  if (rows.length === 0) {
    context.print('  Too few heads: correlations need 4 that differ.');
    return;
  }
  context.table(
    [
      { title: 'property' },
      right('heads'),
      right('rho'),
      right('interval'),
      right('p (Holm)'),
      right('within layers'),
      right('p (Holm)'),
    ],
    rows.map(({ property, points, result, adjusted, withinLayers }) => [
      correlationName(property),
      String(points),
      formatSigned(result!.rho.estimate, 2),
      rhoBounds(result!),
      adjusted! < 0.05 ? context.paint('green', formatP(adjusted!)) : formatP(adjusted!),
      withinLayers ? formatSigned(withinLayers.rho, 2) : '–',
      withinLayers ? formatP(withinLayers.adjusted) : '–',
    ]),
  );
}

/** The strongest heads, uniform attention below them, and the correlations. */
export function printProfile(
  profile: HeadProfile,
  context: Context,
  { top, title }: { top: number; title: string },
): void {
  const { settings, notes } = profile.table;
  const where = settings.queries === 'all' ? 'all queries' : 'queries before an answer';
  context.heading(`${title}: means over ${plural(settings.prompts, 'prompt')}, ${where}`);
  context.print(`  ±: half of the ${formatPercent(settings.confidence, 0)} interval`);
  printHeads(profile, context, top);
  for (const note of notes) context.print(`  ${note}.`);
  printCorrelations(profile, context);
  if (profile.effects) {
    const value = Object.values(profile.effects.heads).reduce((sum, effect) => sum + effect, 0);
    const mean = value / Object.keys(profile.effects.heads).length;
    context.print(
      `  Harm: how much worse the metric gets without the head; mean ${formatNumber(mean)}.`,
    );
  }
}
