// Sentences of the library are right for its callers and for the command line: they name no option that
// only one of them has, unless they say where it stands.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../lib/version.js';

/** What is the command line itself, or writes commands and style sheets. */
const outside =
  /^lib\/(cli|demo|report)\/|^lib\/(study\/slurm\/(queue|script|submit)|slurm-job)\.ts$/;
const places =
  /on the command line|in a study|make one with: headspark|headspark study run|Did you mean/;

it('no sentence of the library speaks of options of the command line alone', () => {
  const lines = readdirSync(join(packageRoot, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `lib/${file}`)
    .filter((file) => !outside.test(file))
    .flatMap((file) =>
      readFileSync(join(packageRoot, file), 'utf8')
        .split('\n')
        .map((text, index) => ({ text, place: `${file}:${index + 1}` })),
    )
    .filter(({ text }) => !/^\s*(\/\/|\*|\/\*\*)/.test(text));
  const suspects = lines.filter(
    ({ text }) => /['`][^'`]*(?:^|[\s'`(])(--[a-z]|MODEL\b)/.test(text) && !places.test(text),
  );
  expect(suspects).toEqual([]);
});
