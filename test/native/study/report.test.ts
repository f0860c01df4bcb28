// The report of a run: what it holds, the same bytes again, runs that are not finished, and its
// figures as files.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { beforeAll, describe, expect, it } from 'vitest';
import { readStudy, runStudy, writeReport } from '../../../lib/index.js';
import type { BenchmarkAblationFile } from '../../../lib/study/stages/benchmark-ablation.js';
import { newFolder, smallStudy, writeStudy } from './small-study.js';

let run: string;
let folder: string;

beforeAll(async () => {
  folder = await newFolder();
  run = join(folder, 'run');
  await runStudy(await readStudy(await writeStudy(smallStudy)), { out: run });
}, 240_000);

/** The stored table of the first ablation that answered a benchmark and had heads. */
async function benchmarkAblation(): Promise<BenchmarkAblationFile> {
  const root = join(run, 'results', 'benchmark-ablation');
  for (const entry of (await readdir(root)).sort()) {
    const text = await readFile(join(root, entry, 'benchmark-ablation.json'), 'utf8');
    const file = JSON.parse(text) as BenchmarkAblationFile;
    if (file.table && (file.table.rows[1].flips ?? []).length > 0) return file;
  }
  throw new Error('nothing flipped in the small study');
}

describe('writeReport', () => {
  it('draws every kind of figure that the stages give', async () => {
    const { sections, missing, bytes } = await writeReport(run, {
      out: join(folder, 'report.html'),
    });
    expect(missing).toBe(0);
    expect(bytes).toBeLessThan(5e6);
    const kinds = new Set(
      sections.flatMap(({ figures }) => figures).map((id) => id.replace(/-.*/, '')),
    );
    expect([...kinds].sort()).toEqual([
      'ablation',
      'activation',
      'attention',
      'benchmark',
      'circuits',
      ...(kinds.has('survival') ? ['cohort'] : []),
      'cohorts',
      'correlations',
      'depth',
      'effects',
      'emergent',
      'ever',
      'failures',
      'flips',
      'head',
      'heads',
      'overlap',
      'pass',
      'prompt',
      'rewards',
      'scores',
      'solving',
      ...(kinds.has('survival') ? ['survival'] : []),
    ]);
    const html = await readFile(join(folder, 'report.html'), 'utf8');
    // Settings and hashes, and what a figure claims, stand in the page.
    const manifest = JSON.parse(await readFile(join(run, 'manifest.json'), 'utf8'));
    expect(html).toContain(manifest.hash);
    for (const { fingerprint } of manifest.checkpoints) expect(html).toContain(fingerprint);
    for (const { hash } of manifest.settings.benchmarks) expect(html).toContain(hash.slice(0, 16));
    expect(html).toContain('<dt>device</dt><dd>cpu</dd>');
    expect(html).toContain('headspark study run study.yaml');
    expect(html).toContain('class="uncertain"');
    const drawn = html.slice(0, html.indexOf('<script>'));
    expect(drawn).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('says what the answers came to, as the stages have it', async () => {
    const file = await benchmarkAblation();
    const [unablated, set] = file.table!.rows;
    const { sections } = await writeReport(run, { out: join(folder, 'report.html') });
    const solving = sections.find(({ id }) => id === 'solving')!;
    expect(solving.figures).toContain('solving-solving-chains-sums-thinking');
    const html = await readFile(join(folder, 'report.html'), 'utf8');
    const own = html.slice(html.indexOf('<figure id="solving-'), html.indexOf('<figure id="flips"'));
    expect(own).toContain(`<td>${file.checkpoint}</td><td>${set.name}</td>`);
    const cell = (share: number): string => `data-value="${Number(share.toPrecision(8))}"`;
    expect(own).toContain(cell(unablated.accuracy.estimate));
    const { low, high } = set.change!.accuracy;
    const [from, to] = [low, high].map((share) => (100 * share).toFixed(1).replace('-', '−'));
    expect(own).toContain(`[${from}, ${to}]</span></td>`);
    expect(html).toContain('with 6 problems × 3 samples this contrast could show');
    // Every flip with both texts, what they share set apart.
    const flips = html.slice(html.indexOf('<figure id="flips"'));
    const [flip] = set.flips!;
    expect(flips).toContain(`problem ${flip.problem}, sample ${flip.sample + 1}`);
    expect(flips).toContain(`Right answer: <b>${file.problems[flip.problem].answer}</b>`);
    expect(flips.match(/<details class="flip/g)).toHaveLength(
      Number(/All (\d+) flips\./.exec(flips)![1]),
    );
    expect(flips).toMatch(/<pre><span class="faint">&#60;think&#62;\n[^<]*<\/span><mark>/);
  });

  it('gives the same bytes again', async () => {
    const [one, two] = ['one.html', 'two.html'].map((name) => join(folder, name));
    await writeReport(run, { out: one });
    await writeReport(run, { out: two });
    expect(await readFile(one, 'utf8')).toBe(await readFile(two, 'utf8'));
  });

  it('shows what an unfinished run has, and says what is missing', async () => {
    const half = join(folder, 'half');
    await runStudy(await readStudy(await writeStudy(smallStudy)), { out: half, only: ['diff'] });
    const { missing, sections } = await writeReport(half, { out: join(folder, 'half.html') });
    expect(missing).toBeGreaterThan(20);
    expect(sections.map(({ id }) => id)).toEqual(['differences']);
    const html = await readFile(join(folder, 'half.html'), 'utf8');
    expect(html).toContain('This run is not finished.');
    expect(html).toContain('10 of circuit');
  });

  it('writes pictures and tables as files that agree', async () => {
    const figures = join(folder, 'figures');
    const { files } = await writeReport(run, { out: join(folder, 'r.html'), figures });
    expect((await readdir(figures)).sort()).toEqual([...files].sort());
    const count = (extension: string): number =>
      files.filter((name) => name.endsWith(extension)).length;
    expect(count('.svg')).toBe(count('.png'));
    expect(count('.csv')).toBe(count('.parquet'));
    expect(count('.csv')).toBe(count('.tex'));
    expect(count('.csv')).toBeGreaterThan(count('.svg'));

    const png = await readFile(join(figures, 'circuits-sums-thinking.png'));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    const svg = await readFile(join(figures, 'circuits-sums-thinking.svg'), 'utf8');
    expect(svg).not.toMatch(/var\(--|currentColor/);

    const bytes = await readFile(join(figures, 'heads-sums-thinking.parquet'));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const rows = await parquetReadObjects({ file: file });
    const lines = (await readFile(join(figures, 'heads-sums-thinking.csv'), 'utf8'))
      .trim()
      .split('\n');
    expect(rows.length).toBe(lines.length - 1);
    const [titles, first] = lines.map((line) => line.split(','));
    for (const key of ['checkpoint', 'head', 'status', 'importance', 'emergence']) {
      expect(String(rows[0][key]), key).toBe(first[titles.indexOf(key)]);
    }
  }, 120_000);

  it('refuses folders that are no runs, and damaged results', async () => {
    const out = join(folder, 'x.html');
    await expect(writeReport(folder, { out })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
    });
    const [entry] = await readdir(join(run, 'results', 'tracking'));
    const path = join(run, 'results', 'tracking', entry, 'tracking.json');
    const text = await readFile(path, 'utf8');
    await writeFile(
      path,
      text.replace(/[1-8](?!.*[1-8])/s, (digit) => `${Number(digit) + 1}`),
    );
    await expect(writeReport(run, { out })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
      message: `${path} does not have the hash that it was stored with; run the study again, which computes that result again.`,
    });
    await rm(join(run, 'results', 'tracking', entry, 'tracking.json'));
    await expect(writeReport(run, { out })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_CORRUPT',
    });
  });
});
