// Where the package lies and which version it is. Works from lib/ (tests) and from dist/ (users):
// both are one level below the root.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Absolute path of the package's root folder, with a trailing separator. */
export const packageRoot: string = fileURLToPath(new URL('..', import.meta.url));

/** The version in package.json, for instance `0.1.0`. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;
