// The report in a real headless Chromium: no console message, no request leaves the page, axe-core
// finds nothing in light and dark, every section can be clicked, tables sort and filter, hover
// shows numbers, a figure is saved. Skips, saying so, where there is no chromium.
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStudy, runStudy, writeReport } from '../../lib/index.js';
import { smallStudy, writeStudy } from '../native/study/small-study.js';
import { axePath, chromiumPath, launchChromium, warnWithoutChromium } from './chromium.js';

warnWithoutChromium('the report');

/** Pictures for people to look at, where CI asks for them. */
const screenshots = process.env['HEADSPARK_SCREENSHOTS'];

let browser: Browser;
let folder: string;
let report: string;

beforeAll(async () => {
  if (chromiumPath === undefined) return;
  folder = await mkdtemp(join(tmpdir(), 'headspark-browser-'));
  const run = join(folder, 'run');
  await runStudy(await readStudy(await writeStudy(smallStudy)), { out: run });
  report = join(folder, 'report.html');
  await writeReport(run, { out: report });
  browser = await launchChromium();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

interface Opened {
  context: BrowserContext;
  page: Page;
  messages: string[];
  requests: string[];
}

async function open(colorScheme: 'light' | 'dark'): Promise<Opened> {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width: 1100, height: 900 },
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const [messages, requests]: [string[], string[]] = [[], []];
  page.on('console', (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`error: ${error.message}`));
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(report).href);
  return { context, page, messages, requests };
}

describe.skipIf(chromiumPath === undefined)('the report', () => {
  it.each(['light', 'dark'] as const)(
    'has no violation that axe-core finds, %s',
    async (scheme) => {
      const { context, page, messages } = await open(scheme);
      // Axe only looks at what is open.
      await page.evaluate(
        `document.querySelectorAll('details').forEach((d) => { d.open = true; })`,
      );
      await page.evaluate(await readFile(axePath, 'utf8'));
      const violations = await page.evaluate<string[]>(
        `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
        violations.map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')))`,
      );
      expect(violations).toEqual([]);
      expect(messages).toEqual([]);
      if (screenshots !== undefined) {
        await mkdir(screenshots, { recursive: true });
        const path = join(screenshots, `report-${scheme}.png`);
        await page.screenshot({ path, fullPage: true });
      }
      const shot = await page.screenshot({ fullPage: true });
      expect(shot.byteLength).toBeGreaterThan(50_000);
      await context.close();
    },
    120_000,
  );

  it('takes a click through every section without a message or a request', async () => {
    const { context, page, messages, requests } = await open('light');
    const links = await page.locator('nav a').all();
    expect(links.length).toBeGreaterThanOrEqual(6);
    for (const link of links) {
      await link.click();
      const target = (await link.getAttribute('href'))!;
      await expect
        .poll(async () => (await page.locator(target).boundingBox())?.y ?? Infinity)
        .toBeLessThan(400);
      const heading = page.locator(`${target} > h2`);
      expect(await heading.isVisible()).toBe(true);
    }
    for (const summary of await page.locator('summary').all()) await summary.click();
    expect(messages).toEqual([]);
    expect(requests.filter((url) => !/^(file|data|blob):/.test(url))).toEqual([]);
    await context.close();
  }, 120_000);

  it('sorts and filters its tables', async () => {
    const { context, page } = await open('light');
    const table = page.locator('#table-heads-sums-thinking');
    const column = async (index: number): Promise<number[]> => {
      const cells = await table.locator(`tbody tr:visible td:nth-child(${index})`).all();
      return Promise.all(cells.map(async (cell) => Number(await cell.getAttribute('data-value'))));
    };
    const head = table.locator('thead th', { hasText: /^effect$/ });
    await head.locator('button').click();
    expect(await head.getAttribute('aria-sort')).toBe('ascending');
    const rising = await column(7);
    expect(rising.length).toBeGreaterThan(8);
    expect(rising).toEqual([...rising].sort((a, b) => a - b));
    await head.locator('button').press('Enter');
    expect(await head.getAttribute('aria-sort')).toBe('descending');
    expect(await column(7)).toEqual([...rising].sort((a, b) => b - a));
    await page.getByLabel('Filter').locator('visible=true').first().waitFor();
    const filter = page.locator('#table-heads-sums-thinking-filter');
    await filter.fill('grpo-step120 retained');
    const rows = await table.locator('tbody tr:visible').allTextContents();
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toMatch(/grpo-step120.*retained/);
    expect(await page.locator('#table-heads-sums-thinking-count').textContent()).toBe(
      `${rows.length} of ${rising.length} rows`,
    );
    await context.close();
  }, 60_000);

  it('opens, filters and walks through flipped answers by keyboard', async () => {
    const { context, page, messages } = await open('light');
    const flips = page.locator('#flips details');
    const all = await flips.count();
    expect(all).toBeGreaterThan(2);
    await flips.nth(0).locator('summary').focus();
    await page.keyboard.press('Enter');
    expect(await flips.nth(0).getAttribute('open')).not.toBeNull();
    const sides = flips.nth(0).locator('.sides > div');
    const [one, two] = [await sides.nth(0).boundingBox(), await sides.nth(1).boundingBox()];
    // Side by side: the same height, one to the right of the other.
    expect(one!.y).toBe(two!.y);
    expect(two!.x).toBeGreaterThan(one!.x + one!.width - 1);
    expect(await sides.nth(0).locator('h4').textContent()).toMatch(/^Unablated: /);
    expect(await sides.nth(1).locator('mark').isVisible()).toBe(true);
    await page.keyboard.press('ArrowDown');
    expect(
      await page.evaluate(
        `[...document.querySelectorAll('#flips summary')].indexOf(document.activeElement)`,
      ),
    ).toBe(1);
    const set = (await flips.nth(0).getAttribute('data-set'))!;
    await page.getByLabel('Heads', { exact: true }).selectOption(set);
    const shown = await page.locator('#flips details:visible').count();
    expect(shown).toBeGreaterThan(0);
    expect(await page.locator('#flips-count').textContent()).toBe(`${shown} of ${all} flips`);
    await page.locator('#flips-filter').fill('no such answer');
    expect(await page.locator('#flips details:visible').count()).toBe(0);
    expect(messages).toEqual([]);
    await context.close();
  }, 60_000);

  it('shows the numbers of a mark on hover and saves a figure', async () => {
    const { context, page, messages } = await open('dark');
    const mark = page.locator('#cohorts-sums-thinking [data-tip]').first();
    await mark.scrollIntoViewIfNeeded();
    await mark.hover();
    await expect.poll(() => page.locator('#tip').textContent()).toMatch(/base heads retained/);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('button[data-save="cohorts-sums-thinking"]').click(),
    ]);
    expect(download.suggestedFilename()).toBe('cohorts-sums-thinking.svg');
    const saved = await readFile(await download.path(), 'utf8');
    expect(saved).toMatch(/^<svg /);
    expect(saved).toContain('retained base heads');
    expect(saved).not.toMatch(/var\(--|currentColor|data-tip/);
    await page.locator('#theme').click();
    expect(await page.locator('html').getAttribute('data-theme')).toBe('light');
    expect(messages).toEqual([]);
    await context.close();
  }, 60_000);

  it('prints', async () => {
    const { context, page } = await open('dark');
    const path = join(folder, 'report.pdf');
    await page.pdf({ path, format: 'A4' });
    expect((await stat(path)).size).toBeGreaterThan(20_000);
    await page.emulateMedia({ media: 'print' });
    expect(await page.locator('nav').isVisible()).toBe(false);
    const background = await page.evaluate(`getComputedStyle(document.body).backgroundColor`);
    expect(background).toBe('rgb(255, 255, 255)');
    // Of a long table the first rows, and how many there are; a table that fits is whole.
    const long = page.locator('figure:has(tbody tr:nth-child(41))').first();
    await page.evaluate(`document.querySelectorAll('details').forEach((d) => { d.open = true; })`);
    const all = await long.locator('tbody tr').count();
    expect(all).toBeGreaterThan(40);
    expect(await long.locator('tbody tr:visible').count()).toBe(40);
    expect(await long.locator('p.paper').textContent()).toContain(`first 40 of ${all} rows`);
    await page.emulateMedia({ media: 'screen' });
    expect(await long.locator('tbody tr:visible').count()).toBe(all);
    expect(await long.locator('p.paper').isVisible()).toBe(false);
    await context.close();
  }, 60_000);

  it('keeps its sections on one line of a narrow screen, and its tables within it', async () => {
    const { context, page } = await open('light');
    await page.setViewportSize({ width: 400, height: 800 });
    expect((await page.locator('nav').boundingBox())!.height).toBeLessThan(70);
    const width = await page.evaluate<number>('document.documentElement.scrollWidth');
    expect(width).toBe(400);
    await page.locator('nav a').last().focus();
    const { x } = (await page.locator('nav a').last().boundingBox())!;
    expect(x).toBeLessThan(400);
    await context.close();
  }, 60_000);

  it('fits its tables into a usual window, and shades what is cut on a narrow one', async () => {
    const { context, page } = await open('light');
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.evaluate(`document.querySelectorAll('details').forEach((d) => { d.open = true; })`);
    const cut = await page.evaluate<string[]>(
      `[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth)
        .map((box) => box.getAttribute('aria-label'))`,
    );
    expect(cut).toEqual([]);
    await page.setViewportSize({ width: 420, height: 900 });
    const boxes = await page.evaluate<{ overflow: string; background: string }[]>(
      `[...document.querySelectorAll('.picture')].filter((box) => box.scrollWidth > box.clientWidth)
        .map(getComputedStyle)
        .map(({ overflowX, backgroundAttachment }) => ({ overflow: overflowX, background: backgroundAttachment }))`,
    );
    expect(boxes.length).toBeGreaterThan(0);
    for (const box of boxes) {
      expect(box).toEqual({ overflow: 'auto', background: 'local, local, scroll, scroll' });
    }
    await context.close();
  }, 60_000);

  it('is small and asks for nothing', async () => {
    const html = await readFile(report, 'utf8');
    expect(Buffer.byteLength(html)).toBeLessThan(5e6);
    expect(html).not.toMatch(/(?:src|href)="https?:/);
    expect(html).toContain("default-src 'none'");
  });
});
