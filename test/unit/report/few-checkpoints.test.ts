// A series of few checkpoints can show little: correlations and survival say how little.
import { expect, it } from 'vitest';
import { correlationFigures, survivalFigures } from '../../../lib/report/figures/series.js';
import type { RunData } from '../../../lib/report/run-data.js';
import { kaplanMeier } from '../../../lib/stats/index.js';
import { largeStudy } from './large-study.js';

const study = largeStudy();
const [view] = study.views;

/** The study's correlations, said to be over as many checkpoints for the first series. */
function captionWith(points: number): string {
  const tracking = study.tracking.map((file) =>
    file.tracking.label === study.manifest.series[0].label
      ? { ...file, correlations: file.correlations.map((row) => ({ ...row, points })) }
      : file,
  );
  const data: RunData = { ...study, tracking };
  return correlationFigures(data, view)[0].caption;
}

it('says which p so few checkpoints can reach', () => {
  const [{ label }] = study.manifest.series;
  expect(captionWith(2)).toContain(`${label} (2 checkpoints, p at least 1)`);
  expect(captionWith(3)).toContain(`${label} (3 checkpoints, p at least 0.333)`);
  expect(captionWith(4)).toContain(`${label} (4 checkpoints, p at least 0.083)`);
  expect(captionWith(5)).not.toContain('Too few');
});

it('has a band of survival where no head has ended', () => {
  const [file] = study.tracking;
  const lifetimes = Array.from({ length: 8 }, (_, i) => ({ duration: 1 + (i % 2), ended: false }));
  const tracking = { ...file.tracking, survival: kaplanMeier(lifetimes) };
  const [{ picture, table }] = survivalFigures(
    { ...study, tracking: [{ ...file, tracking }] },
    view,
  );
  expect(table.rows.map(({ survival, low }) => [survival, low])).toEqual([
    [1, null],
    [1, expect.closeTo(0.6756, 4)],
    [1, expect.closeTo(0.5101, 4)],
  ]);
  const area = /fill-opacity="0.15"[^>]*><path d="([^"]*)"/.exec(picture!.body);
  expect(area?.[1].length).toBeGreaterThan(10);
});
