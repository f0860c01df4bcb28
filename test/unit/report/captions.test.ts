// What captions, legends and tables say of how numbers were made is what the run says.
import { expect, it } from 'vitest';
import { sectionsOf } from '../../../lib/report/sections.js';
import type { RunData } from '../../../lib/report/run-data.js';
import { largeStudy } from './large-study.js';

const data = largeStudy();

function figuresWith(confidence: number, of: RunData = data) {
  const settings = { ...of.manifest.settings, statistics: { confidence } };
  const sections = sectionsOf({ ...of, manifest: { ...of.manifest, settings } });
  return sections.flatMap((section) => section.figures);
}

it('intervals and certainty are those of the study', () => {
  // Without the hover texts, which have all sorts of shares.
  const claims = figuresWith(0.87).map(({ id, caption, picture }) => ({
    kind: id.replace(/-sums-.*/, ''),
    text: caption + (picture?.body ?? '').replaceAll(/<title>[^<]*<.title>/g, ''),
  }));
  const saying = (share: RegExp): string[] =>
    [...new Set(claims.filter(({ text }) => share.test(text)).map(({ kind }) => kind))].sort();
  expect(saying(/87 %/)).toEqual([
    'circuits',
    'cohort-survival',
    'effects',
    'emergent',
    'heads',
    'scores',
    'survival',
  ]);
  // Of noise the 95th percentile is drawn, whatever the confidence.
  expect(saying(/95 %/)).toEqual(['emergent']);
  expect(saying(/95 % (?!of splits)/)).toEqual([]);
});

it('heads that vanished again and cohorts are counted as tracking has them', () => {
  const figures = figuresWith(0.95);
  const [{ tracking, task, form }] = data.tracking;
  const rowsOf = (id: string) =>
    figures
      .find((figure) => figure.id === `${id}-${task}-${form}`)!
      .table.rows.filter(({ series }) => series === tracking.label);
  expect(rowsOf('ever')).toEqual([
    expect.objectContaining({
      ever: tracking.everActive.total,
      emergent: tracking.everActive.emergent,
      vanished: tracking.vanishedAgain.length,
      which: tracking.vanishedAgain.join(' '),
    }),
  ]);
  const kept = rowsOf('cohort-survival');
  const cohorts = tracking.cohorts.filter(({ survival }) => survival !== null);
  expect(cohorts.length).toBeGreaterThan(2);
  expect(kept.map(({ step, heads, kept: share }) => [step, heads, share])).toEqual(
    cohorts.map(({ step, heads, survival }) => [step, heads.length, survival!.estimate]),
  );
});
