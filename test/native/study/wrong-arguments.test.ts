// What callers without TypeScript get wrong with studies and reports: refused before anything is read or
// written, where a slip in an option would otherwise run another part of the study than was meant.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as headspark from '../../../lib/index.js';
import type { Study } from '../../../lib/index.js';
import { packageRoot } from '../../../lib/version.js';
import { any, expectRefusal, type Case } from '../refusals.js';

let study: Study;
let out: string;
beforeAll(async () => {
  study = await headspark.readStudy(join(packageRoot, 'lib', 'demo', 'models', 'study.yaml'));
  out = join(mkdtempSync(join(tmpdir(), 'headspark-arguments-')), 'run');
});
afterAll(() => rmSync(join(out, '..'), { recursive: true, force: true }));

const run = (options: object) => headspark.runStudy(study, any({ out, ...options }));

const submit = (options: object) =>
  headspark.submitStudy(study, any({ out, taskOptions: [], submit: false, ...options }));

const cases: Case[] = [
  ['readStudy', () => headspark.readStudy(any(undefined)), /^readStudy takes a path as a text, not un/],
  ['initStudy', () => headspark.initStudy(any(5)), /^initStudy takes a path as a text, not 5\.$/],
  ['runStudy', () => headspark.runStudy(any(null), { out }), /^runStudy takes a study of readStudy, not/],
  ['runStudy', () => headspark.runStudy(study, any({})), /^runStudy takes the folder out as a text, not/],
  ['runStudy', () => run({ ony: ['pairs'] }), /^runStudy has no option ony\. Did you mean only\?$/],
  ['runStudy', () => run({ only: 'pairs' }), /^runStudy takes only as a list of texts, not "pairs"\.$/],
  ['runStudy', () => run({ shard: { index: 9, count: 2 } }), /^shard must be \{ index, count \} with/],
  ['runStudy', () => run({ shard: '1/2' }), /^shard must be \{ index, count \} with index from 1/],
  ['runStudy', () => run({ signal: {} }), /^signal is another object; it must be an AbortSignal\.$/],
  ['runStudy', () => run({ threads: Number.NaN }), /^threads is NaN; it must be a whole number from 0/],
  ['runStudy', () => run({ strict: 'yes' }), /^strict is "yes"; it must be true or false\.$/],
  ['planStudy', () => headspark.planStudy(study, any({ ou: out })), /Did you mean out\?$/],
  ['studyStatus', () => headspark.studyStatus(study, any({ out: 5 })), /^studyStatus takes the folder o/],
  ['slurmStatus', () => headspark.slurmStatus(study, any({})), /^slurmStatus takes the folder out as a/],
  ['slurmStatus', () => headspark.slurmStatus(any(5), { out }), /^slurmStatus takes a study of readStudy/],
  ['submitStudy', () => submit({ only: 'pairs' }), /^submitStudy takes only as a list of texts, not "p/],
  ['submitStudy', () => submit({ submitt: false }), /^submitStudy has no option submitt\. Did you mean/],
  ['submitStudy', () => submit({ submit: undefined }), /^submit is undefined; it must be true or false/],
  ['submitStudy', () => submit({ taskOptions: 'x' }), /^submitStudy takes taskOptions as a list of tex/],
  ['mergeRuns', () => headspark.mergeRuns(any(5), out), /^mergeRuns takes folders of runs as a list/],
  ['writeReport', () => headspark.writeReport(out, any({})), /^writeReport takes the page out as a tex/],
  [
    'writeReport',
    () => headspark.writeReport(out, { out: `${out}.html`, formats: any(['gif']) }),
    /^a format is "gif"; it must be one of svg, png, csv, parquet, latex\.$/,
  ],
  [
    'watchReport',
    () => headspark.watchReport(out, { out: `${out}.html`, pollMs: Number.NaN }),
    /^pollMs is NaN; it must be a whole number from 1 to /,
  ],
];

it.each(cases)('%s: case %#', async (_, call, message) => {
  await expectRefusal(call, message);
  expect(existsSync(out)).toBe(false);
});
