// A report of 20 checkpoints of a model of 36 x 32 heads stays under 5 MB.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { benchmarkScoreFigures } from '../../../lib/report/figures/benchmarks.js';
import { checkpointFailureFigures } from '../../../lib/report/figures/failures.js';
import { pageHtml } from '../../../lib/report/page.js';
import type { RunData } from '../../../lib/report/run-data.js';
import { sectionsOf } from '../../../lib/report/sections.js';
import { largeBenchmarks } from './large-benchmarks.js';
import { largeHeads } from './large-heads.js';
import { largeStudy } from './large-study.js';

let data: RunData;
beforeAll(async () => {
  const study = largeStudy();
  data = { ...study, ...largeHeads(), ...(await largeBenchmarks(study.manifest)) };
}, 300_000);

describe('the report of a large study', () => {
  it('is under 5 MB, and says what it leaves to the exported files', async () => {
    const sections = sectionsOf(data);
    const html = pageHtml(data, sections);
    expect(Buffer.byteLength(html)).toBeLessThan(5e6);
    expect(Buffer.byteLength(html)).toBeGreaterThan(2e5);
    const figures = sections.flatMap((section) => section.figures);
    const heads = figures.find(({ id }) => id === 'heads-sums-direct')!;
    expect(heads.table.rows.length).toBeGreaterThan(1500);
    expect(heads.pageTable!.rows.length).toBeLessThanOrEqual(600);
    expect(heads.caption).toContain('the files of headspark report --figures have all');
    // About 2,400 flips of 9,000 characters and more on each side: the page has some of every set.
    const flips = figures.find(({ id }) => id === 'flips')!;
    const [, shown, total] = /(\d+) of (\d+) flips/.exec(flips.caption)!;
    expect(Number(total)).toBeGreaterThan(2000);
    expect(Number(shown)).toBeGreaterThan(60);
    // At most 50 of each of 40 sets are kept.
    expect(flips.table.rows.length).toBeGreaterThan(1900);
    expect(flips.table.rows.length).toBeLessThanOrEqual(4 * 10 * 50);
    expect(flips.caption).toContain(`the exported table has ${flips.table.rows.length}`);
    expect(Buffer.byteLength(flips.pageContent!)).toBeLessThan(1.2e6);
    // Heads: 24 of 1152 on the page, maps of 64 of 120 tokens; the files have all.
    const properties = figures.find(({ id }) => id.startsWith('head-properties-'))!;
    expect(properties.table.rows).toHaveLength(1152);
    expect(properties.pageTable!.rows).toHaveLength(24);
    expect(properties.caption).toContain('24 of 1152 heads are drawn');
    const groups = new Set(flips.pageContent!.match(/data-direction="[^"]*" data-set="[^"]*"/g));
    expect(groups.size).toBe(2 * 2 * 10);
    expect(flips.pageContent).toContain('characters left out');
    expect(flips.pageContent).not.toMatch(/step <\d/);
    expect(new Set(figures.map(({ id }) => id)).size).toBe(figures.length);
    const folder = process.env['HEADSPARK_SCREENSHOTS'];
    if (folder === undefined) return;
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'large-study.html'), html);
  }, 120_000);
});

describe('scores', () => {
  const ticksOf = (checkpoints: readonly string[]): string[] => {
    const benchmarks = data.benchmarks.filter(({ checkpoint }) => checkpoints.includes(checkpoint));
    const [{ picture }] = benchmarkScoreFigures({ ...data, benchmarks });
    // Labels below their place are of the x axis.
    const labels = picture!.body.matchAll(/<text [^>]*y="0\.71em">([\d.,]+)<\/text>/g);
    return [...new Set([...labels].map((match) => match[1]))];
  };

  it('of one step alone have its tick', () => {
    const { name, step } = data.manifest.checkpoints.at(-1)!;
    expect(ticksOf([name])).toEqual([step.toLocaleString('en-US')]);
  });

  it('of several steps have round ones', () => {
    const ticks = ticksOf(data.manifest.checkpoints.map(({ name }) => name));
    expect(ticks.length).toBeGreaterThan(3);
    expect(ticks.every((tick) => /^[\d,]*0$/.test(tick))).toBe(true);
  });
});

describe('failures', () => {
  /** The study's answers, of which so many state a right answer and lose it. */
  function figureWith(estimate: number) {
    const rate = { estimate, low: estimate, high: estimate + 0.04 };
    const benchmarks = data.benchmarks.map((file) => {
      const [whole, ...others] = file.table.rows;
      const modes = { ...whole.failures.modes, lost: { rate } };
      const row = { ...whole, failures: { ...whole.failures, modes } };
      return { ...file, table: { ...file.table, rows: [row, ...others] } };
    });
    return checkpointFailureFigures({ ...data, benchmarks })[0];
  }

  it('that no answer has are named and not drawn', () => {
    const { caption, picture, table } = figureWith(0);
    expect(caption).toMatch(/In no answer: right, then lost[.;]/);
    // These answers have no other failure either.
    expect(picture).toBeUndefined();
    const one = figureWith(0.01);
    expect(one.picture!.body).toContain('>right, then lost<');
    expect(one.picture!.body).not.toContain('>loops<');
    expect(one.caption).toMatch(/In no answer: loops; /);
    expect(table.rows.some(({ failure }) => failure === 'right, then lost')).toBe(true);
  });
});
