// The real Chromium of the browser tests, and axe-core; both are looked for in one place.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser } from 'playwright-core';

/** Undefined where there is none: the tests skip. */
export const chromiumPath =
  process.env['HEADSPARK_CHROMIUM'] ??
  ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

export const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Says what is not tried where there is no Chromium. */
export function warnWithoutChromium(what: string): void {
  if (chromiumPath !== undefined) return;
  console.warn(`no chromium: ${what} is not tried in a browser; apt-get install chromium.`);
}

/** A headless one that asks nothing of the network by itself. */
export async function launchChromium(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: chromiumPath!,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
