// Which checkpoints an ablation or an entry of `heads` is for.
import { describe, expect, it } from 'vitest';
import { chosenCheckpoints } from '../../../lib/study/benchmark-places.js';
import type { ChosenCheckpoints, Study } from '../../../lib/study/study.js';

const series = (label: string, names: string[]) => ({
  label,
  checkpoints: names.map((name) => ({ name, series: label })),
});

const study = {
  series: [series('SFT', ['sft-10', 'sft-20']), series('GRPO', ['grpo-10', 'SFT', 'grpo-20'])],
} as unknown as Study;

const chosen = (of: ChosenCheckpoints): string[] => [...chosenCheckpoints(of, study)].sort();

describe('chosen checkpoints', () => {
  it('are the last of every series, or all', () => {
    expect(chosen('final')).toEqual(['grpo-20', 'sft-20']);
    expect(chosen('all')).toEqual(['SFT', 'grpo-10', 'grpo-20', 'sft-10', 'sft-20']);
  });

  it('are named ones and those of named series, each once', () => {
    expect(chosen(['sft-10', 'sft-10'])).toEqual(['sft-10']);
    expect(chosen(['GRPO', 'grpo-10'])).toEqual(['SFT', 'grpo-10', 'grpo-20']);
  });

  it('are the checkpoint where a series has its name too', () => {
    expect(chosen(['SFT'])).toEqual(['SFT']);
  });
});
