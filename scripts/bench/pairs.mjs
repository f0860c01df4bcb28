// Pairs of random token ids for benchmarks, the same for a seed, as JSON lines: `mixed` pairs differ
// from the first token on, and so do `long`, `deep` and `prompts`, which fill a GPU; `paper` pairs share a
// long prompt and differ in their openings only.
import { writeFile } from 'node:fs/promises';
import { randomBits } from './checkpoint/random.mjs';

export const KINDS = {
  mixed: { pairs: 16, prompt: 0, opening: [27, 35], text: '27 to 35 tokens, nothing shared' },
  long: { pairs: 64, prompt: 0, opening: [128, 128], text: '128 tokens, nothing shared' },
  deep: { pairs: 4, prompt: 0, opening: [512, 512], text: '512 tokens, nothing shared' },
  prompts: { pairs: 100, prompt: 0, opening: [128, 128], text: '128 tokens, nothing shared' },
  paper: { pairs: 8, prompt: 150, opening: [16, 16], text: '150 shared tokens, openings of 16' },
};

/** Pairs { clean, corrupted, correct, incorrect } of one of KINDS. */
export function makePairs(kind, vocab, { pairs = KINDS[kind].pairs, seed = 1 } = {}) {
  const { prompt, opening } = KINDS[kind];
  const next = randomBits(seed, `pairs ${kind}`);
  const token = () => next() % vocab;
  const tokens = (length) => Array.from({ length }, token);
  return Array.from({ length: pairs }, (_, index) => {
    // Lengths run evenly through their range, so that their mean is exact.
    const span = opening[1] - opening[0] + 1;
    const length = opening[0] + (index % span);
    const shared = tokens(prompt);
    const [clean, corrupted] = [tokens(length), tokens(length)];
    if (clean[0] === corrupted[0]) corrupted[0] = (corrupted[0] + 1) % vocab;
    const correct = token();
    const incorrect = (correct + 1 + (next() % (vocab - 1))) % vocab;
    return {
      clean: [...shared, ...clean],
      corrupted: [...shared, ...corrupted],
      correct: [correct],
      incorrect: [incorrect],
    };
  });
}

export async function writePairs(file, pairs) {
  await writeFile(file, pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(''));
}
