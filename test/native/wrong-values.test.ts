// What callers without TypeScript give the functions that only compute: a sentence, never a TypeError.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';
import { any, expectRefusal, type Case } from './refusals.js';

let model: Model;
let pair: TokenizedPair;
beforeAll(async () => {
  model = await headspark.loadModel(join(packageRoot, 'lib', 'demo', 'models', 'base'));
  [pair] = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 1 });
});
afterAll(() => model.dispose());

const file = join(tmpdir(), 'headspark-never-written');
const cyclic: Record<string, unknown> = {};
cyclic['self'] = cyclic;
const place = { file: 'x.jsonl', line: 1, index: 0 };
const one = [1];
const npy = new Float32Array(1);

describe('answers', () => {
  const cases: Case[] = [
    ['extractAnswer', () => headspark.extractAnswer(any(null)), /^extractAnswer takes a text, not null\.$/],
    ['extractAnswer', () => headspark.extractAnswer('a', any({ choic: true })), /Did you mean choice\?$/],
    ['extractAnswer', () => headspark.extractAnswer('a', any({ sources: ['x'] })), /^a source is "x"; it/],
    ['stripThinking', () => headspark.stripThinking(any(5)), /^stripThinking takes a text, not 5\.$/],
    ['statedAnswers', () => headspark.statedAnswers(any(undefined)), /^statedAnswers takes a text, not/],
    ['checkAnswer', () => headspark.checkAnswer(any(5), any(null)), /^checkAnswer takes a text, not 5\.$/],
    ['checkAnswer', () => headspark.checkAnswer('5', any(null)), /^checkAnswer takes a text, not null\.$/],
    ['checkAnswer', () => headspark.checkAnswer('5', 'A', any({ choices: 5 })), /takes choices as a list/],
    ['groupAnswers', () => headspark.groupAnswers(any(null)), /^groupAnswers takes answers as a list, not/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('statistics', () => {
  const cases: Case[] = [
    ['bootstrapMean', () => headspark.bootstrapMean(any(null)), /^bootstrapMean takes a list of numbers/],
    ['bootstrapMean', () => headspark.bootstrapMean(one, any(null)), /^bootstrap takes its options as an/],
    ['bootstrapShare', () => headspark.bootstrapShare(any(null)), /^bootstrapShare takes a list of numb/],
    ['bootstrapStatistic', () => headspark.bootstrapStatistic(3, any(5)), /^bootstrap takes the statistic/],
    ['holmAdjust', () => headspark.holmAdjust(any(null)), /^holmAdjust takes a list of numbers, not null/],
    ['holmAdjust', () => headspark.holmAdjust(any(['x'])), /^holmAdjust takes a list of numbers, not a l/],
    ['mean', () => headspark.mean(any(null)), /^mean takes numbers as a list, not null\.$/],
    ['quantile', () => headspark.quantile(any({}), 0.5), /^quantile takes numbers as a list, not anothe/],
    ['mcnemarExact', () => headspark.mcnemarExact(one, any(null)), /^mcnemarExact takes the outcomes af/],
    ['signTest', () => headspark.signTest(any(null), one), /^paired differences takes a list of numbers/],
    ['permutation', () => headspark.pairedPermutationTest(one, one, any(null)), /options as an object/],
    ['majorityVote', () => headspark.majorityVote(any(null)), /^majorityVote takes groups as a list, not/],
    ['successAtK', () => headspark.successAtK(any(null), 1), /^successAtK takes the samples of a problem/],
    ['spearman', () => headspark.spearman(any(null), one), /^spearman takes a list of numbers, not null/],
    ['averageRanks', () => headspark.averageRanks(any(null)), /^averageRanks takes numbers as a list/],
    ['wasserstein', () => headspark.wasserstein(any(null), one), /^wasserstein takes numbers as a list/],
    ['kaplanMeier', () => headspark.kaplanMeier(any([null])), /^kaplanMeier takes lifetimes as a list of/],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});

describe('texts, pairs and files', () => {
  const cases: Case[] = [
    ['parseShard', () => headspark.parseShard(any(null)), /^parseShard takes a text, not null\.$/],
    ['encodeNpy', () => headspark.encodeNpy(any({}), [1]), /^encodeNpy takes its values as one of Float32/],
    ['encodeNpy', () => headspark.encodeNpy(npy, any(null)), /^encodeNpy takes the shape as a list of si/],
    ['writeNpy', () => headspark.writeNpy(file, any([1]), [1]), /^writeNpy takes its values as one of Flo/],
    ['writeNpy', () => headspark.writeNpy(any(5), npy, [1]), /^writeNpy takes a path as a text, not 5\.$/],
    ['tokenizePair', () => headspark.tokenizePair(any(null), place), /^tokenizePair takes a pair as an obje/],
    ['tokenizePair', () => headspark.tokenizePair({}, any(null)), /^tokenizePair takes the place as \{ file/],
    ['tokenizePair', () => headspark.tokenizePair({}, place, any(null)), /options as an object, not null\.$/],
    ['encode', () => model.tokenizer!.encode('a', any(null)), /^encode takes its options as an object, no/],
    ['encode', () => model.tokenizer!.encode('a', any({ addSpecial: 1 })), /^encode has no option addSpecia/],
    ['decode', () => model.tokenizer!.decode([1], any(null)), /^decode takes its options as an object, no/],
    ['promptOf', () => headspark.promptOf(any(null), 'a'), /^promptOf takes a model of loadModel, not null/],
    ['promptOf', () => headspark.promptOf(model, 'a', any({ cht: true })), /Did you mean chat\?$/],
    ['readPrompts', () => headspark.readPrompts(any({}), file), /^readPrompts takes a model of loadModel/],
    ['readPrompts', () => headspark.readPrompts(model, any(5)), /^readPrompts takes a path as a text, not/],
    [
      'writePairs',
      () => headspark.writePairs(file, [{ ...pair, text: any(cyclic) }]),
      /^pairToJson takes a text, not another object\.$/,
    ],
  ];
  it.each(cases)('%s: case %#', (_, run, message) => expectRefusal(run, message));
});
