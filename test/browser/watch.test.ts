// `report --watch` seen in a real headless Chromium: the page of a going run takes up newer pages by
// itself, keeps the reader's place, says how far the run is, and is an ordinary page in the end.
// Skips, saying so, where there is no chromium.
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStudy, runStudy, watchReport, writeReport } from '../../lib/index.js';
import { Announcement } from '../../lib/study/running.js';
import { smallStudy, writeStudy } from '../native/study/small-study.js';
import { axePath, chromiumPath, launchChromium, warnWithoutChromium } from './chromium.js';

warnWithoutChromium('report --watch');

let browser: Browser;
let folder: string;
/** A finished run, of which stages are taken away and given back. */
let whole: string;

beforeAll(async () => {
  if (chromiumPath === undefined) return;
  folder = await mkdtemp(join(tmpdir(), 'headspark-watch-'));
  whole = join(folder, 'whole');
  await runStudy(await readStudy(await writeStudy(smallStudy)), { out: whole });
  browser = await launchChromium();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A run without the results of some kinds, that a process says it works on. */
async function goingRun(name: string, without: readonly string[]) {
  const run = join(folder, name);
  await cp(whole, run, { recursive: true });
  for (const kind of without) await rm(join(run, 'results', kind), { recursive: true });
  const announcement = new Announcement(run);
  announcement.update('ablation', 'emergent.grpo-step120', 0.25);
  const give = (kind: string) =>
    cp(join(whole, 'results', kind), join(run, 'results', kind), { recursive: true });
  return { run, announcement, give };
}

interface Opened {
  page: Page;
  messages: string[];
  requests: string[];
}

async function open(report: string): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 } });
  const page = await context.newPage();
  const [messages, requests]: [string[], string[]] = [[], []];
  page.on('console', (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`error: ${error.message}`));
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(report).href);
  return { page, messages, requests };
}

/** Where an element stands in the window. */
const topOf = async (page: Page, selector: string): Promise<number> =>
  (await page.locator(selector).boundingBox())!.y;

describe.skipIf(chromiumPath === undefined)('the page of a going run', () => {
  it('takes up newer pages and keeps the place of its reader', async () => {
    const { run, announcement, give } = await goingRun('going', ['ablation', 'evaluation']);
    const out = join(folder, 'going.html');
    const watching = watchReport(run, { out, pollMs: 100, graceMs: 2000 });
    await expect.poll(() => existsSync(out), { timeout: 20_000 }).toBe(true);
    const { page, messages, requests } = await open(out);
    const live = page.locator('#live');
    expect(await live.textContent()).toMatch(/This page follows the run\. \d+ of \d+ stages/);
    await expect
      .poll(() => live.textContent(), { timeout: 40_000 })
      .toContain('Running: ablation emergent.grpo-step120, 25 %');
    await page.evaluate(await readFile(axePath, 'utf8'));
    const violations = await page.evaluate<string[]>(
      `axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => v.id))`,
    );
    expect(violations).toEqual([]);

    // A reader: deep in the page, a table open, sorted and filtered, the dark theme, a focus.
    await page.locator('#theme').click();
    const theme = await page.locator('html').getAttribute('data-theme');
    const figure = '#heads-sums-thinking';
    const table = page.locator('#table-heads-sums-thinking');
    await table.locator('thead button').nth(2).click();
    await page.locator('#table-heads-sums-thinking-filter').fill('retained');
    await page.locator('#cohorts-sums-thinking summary').click();
    await page.locator('#cohorts-sums-thinking').evaluate('(one) => one.scrollIntoView()');
    await page.locator('#cohorts-sums-thinking summary').focus();
    await page.evaluate('scrollBy(0, 37)');
    const before = await topOf(page, '#cohorts-sums-thinking');
    const shown = await table.locator('tbody tr:visible').allTextContents();
    await page.evaluate('window.sameDocument = true');
    expect(await page.locator('#scores').count()).toBe(0);

    // Results of a section above: the page grows over the reader's place.
    await give('evaluation');
    await expect.poll(() => page.locator('#scores').count(), { timeout: 40_000 }).toBe(1);
    expect(await page.evaluate('window.sameDocument')).toBeUndefined();
    expect(Math.abs((await topOf(page, '#cohorts-sums-thinking')) - before)).toBeLessThan(2);
    expect(await page.locator('html').getAttribute('data-theme')).toBe(theme);
    expect(await page.locator(`${figure} th[aria-sort=ascending]`).count()).toBe(1);
    expect(await page.locator('#table-heads-sums-thinking-filter').inputValue()).toBe('retained');
    expect(await table.locator('tbody tr:visible').allTextContents()).toEqual(shown);
    expect(
      await page.evaluate(
        `document.activeElement === document.querySelector('#cohorts-sums-thinking summary')`,
      ),
    ).toBe(true);
    expect(await page.locator('#cohorts-sums-thinking details').getAttribute('open')).toBe('');

    // The last results: the run is complete, and so is the page.
    await give('ablation');
    await announcement.end();
    const { complete, drawings } = await watching;
    expect(complete).toBe(true);
    expect(drawings).toBeGreaterThanOrEqual(2);
    await expect.poll(() => page.locator('#live').count(), { timeout: 40_000 }).toBe(0);
    expect(messages).toEqual([]);
    expect(requests.filter((url) => !/^(file|data):/.test(url))).toEqual([]);
    await page.context().close();
    // The same bytes as a report that nobody watched.
    const plain = join(folder, 'plain.html');
    await writeReport(run, { out: plain });
    expect(await readFile(out, 'utf8')).toBe(await readFile(plain, 'utf8'));
  }, 180_000);

  it('stays as it is while it is paused, and tells progress without loading again', async () => {
    const { run, announcement, give } = await goingRun('paused', ['ablation', 'evaluation']);
    const out = join(folder, 'paused.html');
    const stop = new AbortController();
    const watching = watchReport(run, { out, pollMs: 100, signal: stop.signal });
    await expect.poll(() => existsSync(out), { timeout: 20_000 }).toBe(true);
    const { page, messages } = await open(out);
    await page.evaluate('window.sameDocument = true');
    announcement.update('ablation', 'emergent.grpo-step120', 0.75);
    await expect
      .poll(() => page.locator('#live').textContent(), { timeout: 40_000 })
      .toContain('75 %');
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    const pause = page.locator('#live-pause');
    await pause.click();
    expect(await pause.getAttribute('aria-pressed')).toBe('true');
    await give('evaluation');
    await expect
      .poll(() => readFile(out, 'utf8').then((html) => html.includes('id="scores"')), {
        timeout: 20_000,
      })
      .toBe(true);
    await new Promise((wait) => setTimeout(wait, 7000));
    expect(await page.locator('#scores').count()).toBe(0);
    await pause.click();
    await expect.poll(() => page.locator('#scores').count(), { timeout: 40_000 }).toBe(1);
    expect(await pause.getAttribute('aria-pressed')).toBe('false');
    stop.abort();
    await expect(watching).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
    // Nobody draws this page any more, so it is no longer one that waits.
    await expect.poll(() => page.locator('#live').count(), { timeout: 40_000 }).toBe(0);
    const ablations = (await readdir(join(whole, 'results', 'ablation'))).length;
    const notice = await page.locator('.notice').textContent();
    expect(notice).toContain(`${ablations} of ablation`);
    expect(messages).toEqual([]);
    await announcement.end();
    await page.context().close();
  }, 180_000);
});
