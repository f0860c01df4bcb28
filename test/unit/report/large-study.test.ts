// A report of 20 checkpoints of a model of 36 x 32 heads stays well under 5 MB.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageHtml } from '../../../lib/report/page.js';
import { sectionsOf } from '../../../lib/report/sections.js';
import { largeStudy } from './large-study.js';

describe('the report of a large study', () => {
  it('is under 5 MB, and says what it leaves to the exported files', async () => {
    const data = largeStudy();
    const sections = sectionsOf(data);
    const html = pageHtml(data, sections);
    expect(Buffer.byteLength(html)).toBeLessThan(4e6);
    expect(Buffer.byteLength(html)).toBeGreaterThan(2e5);
    const figures = sections.flatMap((section) => section.figures);
    const heads = figures.find(({ id }) => id === 'heads-sums-direct')!;
    expect(heads.table.rows.length).toBeGreaterThan(1500);
    expect(heads.pageTable!.rows.length).toBeLessThanOrEqual(1000);
    expect(heads.caption).toContain('the files of headspark report --figures have all');
    expect(new Set(figures.map(({ id }) => id)).size).toBe(figures.length);
    const folder = process.env['HEADSPARK_SCREENSHOTS'];
    if (folder === undefined) return;
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'large-study.html'), html);
  }, 120_000);
});
