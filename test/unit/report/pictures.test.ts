// What pictures are made of: legends that fit, and a line of text where there is nothing to draw.
import { expect, it } from 'vitest';
import type { Figure } from '../../../lib/report/figure.js';
import { circuitFigures } from '../../../lib/report/figures/circuits.js';
import { noiseFigures } from '../../../lib/report/figures/differences.js';
import { effectFigures, frequencyFigures } from '../../../lib/report/figures/maps.js';
import { regimeFigures } from '../../../lib/report/figures/regimes.js';
import { cohortFigures } from '../../../lib/report/figures/series.js';
import { flipBrowser, type FlipEntry } from '../../../lib/report/flip-browser.js';
import { pageHtml } from '../../../lib/report/page.js';
import { resultId } from '../../../lib/report/run-data.js';
import { swatch, withLegend } from '../../../lib/report/svg.js';
import { largeStudy } from './large-study.js';

it('withLegend makes a narrow picture as wide as its longest label', () => {
  const picture = { body: '<g/>', width: 120, height: 80 };
  const label = 'more important than in the base';
  const items = [label, 'less', 'uncertain'].map((text) => ({ label: text, mark: swatch('red') }));
  const { width, height, body } = withLegend(picture, items);
  expect(width).toBeGreaterThan(4 + 18 + 6 * label.length);
  // The short labels share the second line.
  expect(body.match(/translate\(\d+(?:\.\d+)?,22\)/g)).toHaveLength(2);
  expect(height).toBe(80 + 22 + 24);
  expect(withLegend({ ...picture, width: 900 }, items).width).toBe(900);
});

/** Of the made-up run, with circuits of such a share of the heads. */
const drawn = (share: number): Figure[] => {
  const data = largeStudy(share);
  const draws = [circuitFigures, effectFigures, cohortFigures, frequencyFigures, regimeFigures];
  return draws.flatMap((draw) => draw(data, data.views[0]));
};

it('says why there is nothing to draw instead of drawing empty frames', () => {
  const empty = drawn(0);
  expect(empty.map(({ title }) => title.replace(/[:(].*/, '').trim())).toEqual([
    'Circuits',
    'Effect on importance',
    'Cohorts',
    'Activation frequency',
    'Overlap of emergent heads',
    'Depth of emergent heads',
  ]);
  for (const { picture } of empty) expect(picture === undefined).toBe(true);
  const [circuits, ...heads] = empty;
  expect(circuits.caption).toMatch(/^Every circuit is empty: no .* Select more edges/);
  expect(heads.map(({ caption }) => caption)).toEqual([
    'Neither the base’s circuit nor that of the last checkpoint of any series has a head.',
    'No circuit has a head.',
    'No circuit has a head.',
    'No head emerged: no circuit of a last checkpoint has one that the base’s lacks.',
    'No head emerged: no circuit has one that the base’s lacks.',
  ]);
  for (const { picture } of drawn(0.35)) expect(picture === undefined).toBe(false);
});

it('speaks of the training log below cohorts only where there is one', () => {
  const data = largeStudy(0.35);
  const [logged] = cohortFigures(data, data.views[0]);
  expect(logged.caption).toMatch(/base circuit\. Below: the training log; dots are its values at/);
  const tracking = data.tracking.map((file) => ({ ...file, logs: [] }));
  const [bare] = cohortFigures({ ...data, tracking }, data.views[0]);
  expect(bare.picture === undefined).toBe(false);
  expect(bare.caption).toMatch(/The dashed line is the base circuit\.$/);
});

it('says which circuit is empty beside those that are drawn', () => {
  const data = largeStudy(0.35);
  const id = resultId('base', data.views[0]);
  const circuit = data.circuits.get(id)!;
  const bare = { ...circuit, edges: 0, heads: [], mlps: [], strongest: [] };
  const circuits = new Map(data.circuits).set(id, bare);
  const [whole] = circuitFigures(data, data.views[0]);
  const [figure] = circuitFigures({ ...data, circuits }, data.views[0]);
  expect(whole.caption).not.toContain('empty');
  expect(figure.picture === undefined).toBe(false);
  expect(figure.caption).toMatch(/logits\. The circuit of base is empty: .* `rule: greedy`\.$/);
});

it('calls no circuit empty that is not drawn and has edges', () => {
  const data = largeStudy(0);
  const [view] = data.views;
  const [{ checkpoints }] = data.manifest.series;
  const id = resultId(checkpoints[0], view);
  const circuits = new Map(data.circuits).set(id, { ...data.circuits.get(id)!, edges: 10 });
  const [{ caption }] = circuitFigures({ ...data, circuits }, view);
  expect(caption).toMatch(/^The circuit of base, .*, .* is empty: no /);
  const others = data.manifest.checkpoints.length - 1 - data.manifest.series.length;
  expect(caption).toContain(
    ` 1 of ${others} other circuits, of checkpoints in between, have edges.`,
  );
});

it('shows no overlap of heads where there are none, and Holm’s p above bars', () => {
  const [empty, full] = [largeStudy(0), largeStudy(0.35)];
  const jaccards = (data: typeof full) =>
    noiseFigures(data, data.views[0])[0].table.rows.map(({ jaccard }) => jaccard);
  expect(new Set(jaccards(empty))).toEqual(new Set([null]));
  expect(jaccards(full).every((value) => typeof value === 'number')).toBe(true);
  const regimes = full.regimes.map((file) => ({
    ...file,
    overlaps: file.overlaps.map((one) => ({
      ...one,
      overlap: {
        ...one.overlap,
        combinations: one.overlap.combinations.map((row) => ({
          ...row,
          pValue: 0.123,
          adjusted: 0.456,
        })),
      },
    })),
  }));
  const [{ picture, caption, table }] = regimeFigures({ ...full, regimes }, full.views[0]);
  expect(picture!.body).toContain('>p = 0.456<');
  expect(picture!.body).not.toContain('>p = 0.123<');
  expect(caption).toContain('Above the bars: p by these draws, corrected by Holm.');
  expect(table.rows[0]).toMatchObject({ p: 0.123, p_holm: 0.456 });
});

it('has no folded table of no rows on the page', () => {
  const data = largeStudy();
  const table = { columns: [{ key: 'a', title: 'a', kind: 'text' }], rows: [] } as const;
  const figure = { id: 'empty', title: 'Empty', caption: 'Nothing.', table };
  const html = pageHtml(data, [{ id: 's', title: 'S', text: '', figures: [figure] }]);
  expect(html).toContain('Nothing.');
  expect(html).not.toContain('Numbers: Empty');
});

it('counts one flip as one', () => {
  const side = { answer: '1', text: 'so 1' };
  const entry: FlipEntry = {
    plan: 'p',
    set: 's',
    heads: 'a0.h0',
    problem: '1',
    question: 'q',
    right: '1',
    sample: 0,
    direction: 'right-to-wrong',
    before: side,
    after: side,
  };
  expect(flipBrowser('flips', [entry], 1000)).toContain('>1 flip</span>');
  // As in flips.csv and samples.parquet.
  expect(flipBrowser('flips', [entry], 1000)).toContain('problem 1, sample 0<');
  expect(flipBrowser('flips', [entry, entry], 1000)).toContain('>2 flips</span>');
});
