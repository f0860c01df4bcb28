// `headspark heads` on an embedded checkpoint: tables, files and drawings, independence of batches,
// the same effects as `ablate`, and mistakes.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parquetReadObjects } from 'hyparquet';
import type { HeadProfile } from '../../lib/heads/profile.js';
import type { AblationTable } from '../../lib/ablation/types.js';
import { headspark, newFolder, pairs, sft, type Ended } from './bin.js';

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
});

const run = (...args: string[]): Promise<Ended> => headspark(['heads', sft, ...args], { cwd });

async function done(...args: string[]): Promise<Ended> {
  const ended = await run(...args);
  expect(ended.stderr).not.toContain('ERR_');
  expect(ended.code).toBe(0);
  return ended;
}

const someSums = ['--pairs', pairs, '--metric', 'prob-diff', '--count', '6'];

describe('heads', () => {
  it('measures all heads and correlates with the harm of their ablation, as ablate measures it', async () => {
    const { stdout } = await done(...someSums, '--resamples', '200', '--json');
    const profile = JSON.parse(stdout) as HeadProfile;
    expect(profile.format).toBe('headspark-head-profile');
    expect(profile.table.heads).toHaveLength(24);
    expect(profile.table.settings).toMatchObject({ prompts: 6, queries: 'all', resamples: 200 });
    expect(profile.correlations).toHaveLength(14);
    const ablated = await headspark(['ablate', sft, ...someSums, '--single', '--json'], { cwd });
    const { variants } = JSON.parse(ablated.stdout) as AblationTable;
    expect(variants).toHaveLength(24);
    for (const { heads, change } of variants) {
      const harm = profile.effects!.heads[heads[0]];
      expect(Math.abs(harm + change.estimate)).toBeLessThanOrEqual(1e-6);
    }
  });

  it('prints tables for a person', async () => {
    const { stdout } = await done(...someSums, '--top', '3', '--resamples', '100');
    expect(stdout).toMatch(/means over 6 prompts, all queries/);
    expect(stdout).toMatch(/head +harm +prev +1st/);
    expect(stdout).toMatch(/±: half of the 95 % interval/);
    // Below every head the intervals of all but its weights.
    const table = stdout.split('\n').filter((line) => / ±\.\d\d /.test(line));
    expect(table).toHaveLength(3);
    for (const line of table) expect(line.match(/±/g)).toHaveLength(12);
    const widths = table.map((line) => line.length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(100);
    expect(stdout).toMatch(/uniform/);
    expect(stdout).toMatch(/share of attention, prev: to previous token; 1st: to first token; /);
    expect(stdout).toMatch(
      /entr: entropy \(nats\); dist: distance \(tokens\); logit: direct effect/,
    );
    expect(stdout).toMatch(/and 21 more heads/);
    expect(stdout).toMatch(/Rank correlation with the harm of ablation \(zero, prob-diff\)/);
    expect(stdout).toMatch(/layer \(depth alone\)/);
  });

  it('draws maps and writes the same bytes for any batch size and thread count', async () => {
    const drawing = [
      '--draw',
      '2.3,0.4',
      '--draw-prompts',
      '1,3',
      '--formats',
      'svg,csv',
      '--quiet',
    ];
    const fast = ['--resamples', '100', ...drawing];
    await done(...someSums, '--heads', '2.*', ...fast, '--out', 'a');
    await done(
      ...someSums,
      '--heads',
      '2.*',
      ...fast,
      '--out',
      'b',
      '--batch-tokens',
      '1',
      '--threads',
      '1',
    );
    const files = (await readdir(join(cwd, 'a'))).sort();
    expect(files).toEqual([
      'attention-maps-heads.csv',
      'attention-maps-heads.svg',
      'head-correlations-heads.csv',
      'head-correlations-heads.svg',
      'head-properties-heads.csv',
      'head-properties-heads.svg',
      'heads.json',
    ]);
    for (const file of files) {
      const [a, b] = await Promise.all(
        ['a', 'b'].map((folder) => readFile(join(cwd, folder, file))),
      );
      expect(b.equals(a)).toBe(true);
    }
    const profile = JSON.parse(await readFile(join(cwd, 'a/heads.json'), 'utf8')) as HeadProfile;
    expect(profile.table.heads.map(({ name }) => name)).toContain('a0.h4');
    const maps = profile.table.maps.map(({ head, prompt }) => `${head} ${prompt}`);
    expect(maps).toEqual(['a0.h4 0', 'a0.h4 2', 'a2.h3 0', 'a2.h3 2']);
    const svg = await readFile(join(cwd, 'a/attention-maps-heads.svg'), 'utf8');
    expect(svg.match(/· prompt 1/g)).toHaveLength(2);
    expect(svg).toMatch(/&#60;think&#62;/);
  });

  it('looks at prompts without answers, and writes CSV and Parquet', async () => {
    const lines = [
      { prompt: '3+4=' },
      { messages: [{ role: 'user', content: '3 + 4 =' }] },
      { prompt: [4, 5, 6] },
    ];
    await writeFile(join(cwd, 'p.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
    const files = ['--csv', 'h.csv', '--parquet', 'h.parquet'];
    const { stdout } = await done('--prompts', 'p.jsonl', '--queries', 'answer', ...files);
    expect(stdout).toMatch(/no prompt has an answer/);
    expect(stdout).not.toMatch(/harm/);
    const csv = (await readFile(join(cwd, 'h.csv'), 'utf8')).trim().split('\n');
    expect(csv).toHaveLength(25);
    expect(csv[0]).toMatch(/^head,layer,previous,previous_low,previous_high,first/);
    expect(csv[0]).not.toMatch(/direct_effect/);
    const bytes = await readFile(join(cwd, 'h.parquet'));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const rows = await parquetReadObjects({ file });
    expect(rows).toHaveLength(24);
    expect(String(rows[7]['entropy'])).toBe(
      csv[8].split(',')[csv[0].split(',').indexOf('entropy')],
    );
  });

  it.each([
    [[], /say what to look at/],
    [['--pairs', pairs, '--task', 'arithmetic'], /--pairs and --task, not both/],
    [[...someSums, '--heads', '9.1'], /no layer 9/],
    [[...someSums, '--draw', '1.1'], /--draw needs --out/],
    [
      [...someSums, '--draw', '1.1', '--out', 'x', '--draw-prompts', '7'],
      /"7" is not a number from 1 to 6/,
    ],
    [[...someSums, '--formats', 'svg'], /--formats needs --out/],
    [[...someSums, '--formats', 'gif', '--out', 'x'], /"gif" is unknown/],
    [[...someSums, '--csv', 'h.txt'], /must end in \.csv/],
    [[...someSums, '--chat'], /are for --prompts/],
    [[...someSums, '--post', 'x'], /--post needs --diff/],
    [[...someSums, '--queries', 'some'], /queries/],
    [[...someSums, '--diff', 'none.json'], /none\.json/],
  ])('refuses %j', async (args, message) => {
    const { code, stderr, stdout } = await run(...args);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toContain('ERR_HEADSPARK_');
    expect(stdout).toBe('');
  });
});
