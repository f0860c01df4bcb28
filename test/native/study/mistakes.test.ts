// Wrong study files of every kind: one clear error each, with file and line, before anything runs.
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { initStudy, readStudy, runStudy } from '../../../lib/study/index.js';
import { ablationMistakes } from './ablation-mistakes.js';
import { headsMistakes, type Mistake } from './heads-mistakes.js';
import { samplingMistakes } from './sampling-mistakes.js';
import { slurmMistakes } from './slurm-mistakes.js';
import { models, newFolder, writeStudy } from './small-study.js';

const tinyArith = 'test/fixtures/reference/qwen2';

const good = `study: good
base: { name: base, model: ${models}/base, step: 0 }
series:
  - label: SFT
    regime: sft
    logs:
      - { name: reward, file: log.json, at: entries, value: reward }
    checkpoints:
      - { name: one, step: 10, model: ${models}/sft-step10 }
      - { name: two, step: 25, model: ${models}/sft-step25 }
  - label: GRPO
    regime: grpo
    corrupted-reward-of: SFT
    checkpoints:
      - { name: three, step: 50, model: ${models}/grpo-step50 }
prompt-forms:
  - { name: direct, thinking: false }
  - { name: thinking, thinking: true }
tasks:
  - name: sums
    limit: 4
    pairs: { direct: direct.jsonl, thinking: thinking.jsonl }
attribution: { metric: prob-diff, ig-steps: 2 }
selection: { rule: threshold, tau: 0.1 }
ablations:
  - { name: named, heads: "0.0", controls: 2 }
statistics: { confidence: 0.95 }
`;

let folder: string;
beforeAll(async () => {
  folder = await newFolder();
  await cp(join(models, 'pairs-direct.jsonl'), join(folder, 'direct.jsonl'));
  await cp(join(models, 'pairs-steps.jsonl'), join(folder, 'thinking.jsonl'));
  await writeFile(join(folder, 'empty.jsonl'), '\n');
  await writeFile(join(folder, 'log.json'), '{"entries":[{"step":1,"reward":0.5}]}');
  await writeFile(join(folder, 'no-answers.jsonl'), '{"clean":[5,6],"corrupted":[5,7]}\n');
  await writeFile(
    join(folder, 'unequal.jsonl'),
    '{"clean":[5,6,7],"corrupted":[5,7],"correct":1,"incorrect":2}\n',
  );
  await writeFile(join(folder, 'open.jsonl'), '{"problem":"1+1"}\n');
  await writeFile(join(folder, 'turns.jsonl'), '{"problem":"1+1<|im_end|>","answer":"2"}\n');
  await mkdir(join(folder, 'empty-folder'));
  await mkdir(join(folder, 'adapter'));
  await writeFile(join(folder, 'adapter', 'adapter_config.json'), '{"peft_type":"LORA"}');
  await writeFile(join(folder, 'adapter', 'adapter_model.safetensors'), '');
});

const mistakes: Record<string, Mistake> = {
  ...headsMistakes,
  ...ablationMistakes,
  ...samplingMistakes,
  'not YAML': { change: ['study: good', 'study: [good'], line: 2, says: /not valid YAML/ },
  'a key twice': {
    change: ['study: good', 'study: good\nstudy: again'],
    line: 2,
    says: /not valid YAML: .*unique/,
  },
  'an unknown key': {
    change: ['ig-steps: 2', 'ig-step: 2'],
    line: 23,
    says: /attribution\.ig-step: unknown key; did you mean "ig-steps"/,
  },
  'an unknown key at the top': {
    change: ['prompt-forms:', 'promptforms:'],
    line: 16,
    says: /promptforms: unknown key; did you mean "prompt-forms"/,
  },
  'a missing key': {
    change: ['    regime: sft\n', ''],
    line: 4,
    says: /series\[1\]\.regime: is missing; expected a text/,
  },
  'no selection': {
    change: ['selection: { rule: threshold, tau: 0.1 }\n', ''],
    line: 1,
    says: /selection: is missing; expected named settings/,
  },
  'a value of another type': {
    change: ['step: 10', 'step: ten'],
    line: 9,
    says: /series\[1\]\.checkpoints\[1\]\.step: expected a number, got "ten"/,
  },
  'a fraction where a whole number is needed': {
    change: ['ig-steps: 2', 'ig-steps: 2.5'],
    line: 23,
    says: /attribution\.ig-steps: expected a whole number, got 2\.5/,
  },
  'an unknown word': {
    change: ['metric: prob-diff', 'metric: accuracy'],
    line: 23,
    says: /attribution\.metric: expected one of logit-diff, kl, nll, prob-diff, got "accuracy"/,
  },
  'a number out of range': {
    change: ['confidence: 0.95', 'confidence: 95'],
    line: 27,
    says: /statistics\.confidence: expected a number below 1, got 95/,
  },
  'KL by gradients at the clean run alone': {
    change: ['metric: prob-diff, ig-steps: 2', 'method: eap, metric: kl'],
    line: 23,
    says: /attribution\.metric: metric kl has the gradient 0 at the clean run.*take method eap-ig, cl/,
  },
  'KL by one step that is the clean run': {
    change: ['prob-diff, ig-steps: 2', 'kl, ig-steps: 1, ig-grid: right'],
    line: 23,
    says: /method eap-ig with ig-steps 1 and ig-grid right takes.*take more ig-steps, ig-grid left or/,
  },
  'steps of a method without any': {
    change: ['metric: prob-diff', 'method: exact, metric: prob-diff'],
    line: 23,
    says: /attribution\.ig-steps: is of integrated gradients, which the method exact does not take/,
  },
  'an empty list': {
    change: [`      - { name: three, step: 50, model: ${models}/grpo-step50 }\n`, '      []\n'],
    line: 15,
    says: /series\[2\]\.checkpoints: expected a list of at least 1 entry/,
  },
  'a name that no folder could have': {
    change: ['name: one', 'name: "../one"'],
    line: 9,
    says: /name: expected a name of letters, digits, spaces/,
  },
  'two checkpoints of one name': {
    change: ['name: two', 'name: one'],
    line: 10,
    says: /checkpoints\[2\]\.name: the name "one" is taken by another checkpoint/,
  },
  'two series of one label': {
    change: ['label: GRPO', 'label: sft'],
    line: 11,
    says: /series\[2\]\.label: the name "sft" is taken by another series/,
  },
  'steps out of order': {
    change: ['step: 25', 'step: 5'],
    line: 10,
    says: /steps must rise: expected a step above 10, got 5/,
  },
  'a step twice': {
    change: ['step: 25', 'step: 10'],
    line: 10,
    says: /steps must rise: expected a step above 10, got 10/,
  },
  'a checkpoint without weights': {
    change: [`{ name: two, step: 25, model: ${models}/sft-step25 }`, '{ name: two, step: 25 }'],
    line: 10,
    says: /expected a model \(folder or hub id\) or an adapter/,
  },
  'a reference to no series': {
    change: ['corrupted-reward-of: SFT', 'corrupted-reward-of: SFTT'],
    line: 13,
    says: /there is no other series "SFTT"; did you mean "SFT"/,
  },
  'pairs for an unknown prompt form': {
    change: ['thinking: thinking.jsonl', 'thinkng: thinking.jsonl'],
    line: 22,
    says: /there is no prompt form "thinkng"; did you mean "thinking"/,
  },
  'a task without pairs': {
    change: ['    pairs: { direct: direct.jsonl, thinking: thinking.jsonl }\n', ''],
    line: 20,
    says: /tasks\[1\]: expected one of pairs, generate or openings, got none of them/,
  },
  'one generator for two prompt forms': {
    change: [
      'pairs: { direct: direct.jsonl, thinking: thinking.jsonl }',
      'generate: { task: arithmetic }',
    ],
    line: 22,
    says: /makes the same pairs under every prompt form \(direct, thinking\)/,
  },
  'a selection without its number': {
    change: ['rule: threshold, tau: 0.1', 'rule: top-n'],
    line: 24,
    says: /selection: rule top-n needs n/,
  },
  'a setting that the rule does not read': {
    change: ['rule: threshold, tau: 0.1', 'rule: threshold, tau: 0.1, n: 5'],
    line: 24,
    says: /selection\.n: rule threshold does not read n/,
  },
  'a factor that changes nothing': {
    change: ['heads: "0.0", controls: 2', 'heads: "0.0", factors: [0, 1]'],
    line: 26,
    says: /factors\[2\]: expected a factor other than 1/,
  },
  'heads that cannot be read': {
    change: ['heads: "0.0"', 'heads: "0-1"'],
    line: 26,
    says: /head "0-1" is not of the form LAYER\.HEAD/,
  },
  'an adapter that stands as a model': {
    change: [`model: ${models}/sft-step25`, 'model: adapter'],
    line: 10,
    says: /checkpoints\[2\]\.model: .*give an adapter as adapter instead of model; it goes with the base of/,
  },
  'an adapter that stands as a base': {
    change: [`model: ${models}/base`, 'model: adapter'],
    line: 2,
    says: /base\.model: .*give the folder or hub id of a whole model/,
  },
  'an ablation of two kinds': {
    change: ['heads: "0.0"', 'heads: "0.0", group: emergent'],
    line: 26,
    says: /expected one of group, heads or single, got group and heads/,
  },
  'an ablation of an unknown task': {
    change: ['controls: 2', 'tasks: [sum]'],
    line: 26,
    says: /tasks\[1\]: there is no task "sum"; did you mean "sums"/,
  },
  'positions that the metric does not have': {
    change: ['controls: 2', 'positions: generated'],
    line: 26,
    says: /positions generated needs the metric nll/,
  },
  'a missing benchmark file': {
    change: ['statistics:', 'benchmarks: [{ name: aime, file: aime.jsonl }]\nstatistics:'],
    line: 27,
    says: /benchmarks\[1\]\.file: the benchmark ".*aime\.jsonl" is neither a file nor one of aime24/,
  },
  'a known benchmark that is not there': {
    change: ['statistics:', 'benchmarks: [{ name: aime, file: aime24, data: . }]\nstatistics:'],
    line: 27,
    says: /the benchmark aime24 is not in .*; say where it lies/,
  },
  'an empty benchmark': {
    change: ['statistics:', 'benchmarks: [{ name: none, file: empty.jsonl }]\nstatistics:'],
    line: 27,
    says: /benchmarks\[1\]\.file: .*empty\.jsonl holds no problems/,
  },
  'a problem without an answer': {
    change: ['statistics:', 'benchmarks: [{ name: open, file: open.jsonl }]\nstatistics:'],
    line: 27,
    says: /open\.jsonl:1: .*answer/,
  },
  'a problem that closes its turn': {
    change: ['statistics:', 'benchmarks: [{ name: turns, file: turns.jsonl }]\nstatistics:'],
    line: 27,
    says: /benchmarks\[1\]: problem "0" contains "<\|im_end\|>", a special token/,
  },
  'two benchmarks of one name': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo }, { name: A, file: demo }]\nstatistics:',
    ],
    line: 27,
    says: /benchmarks\[2\]\.name: the name "A" is taken by another benchmark/,
  },
  'a benchmark under an unknown prompt form': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, prompt-forms: [thinkin] }]\nstatistics:',
    ],
    line: 27,
    says: /prompt-forms\[1\]: there is no prompt form "thinkin"; did you mean "thinking"/,
  },
  'a benchmark for an unknown checkpoint': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, checkpoints: [base, thre] }]\nstatistics:',
    ],
    line: 27,
    says: /checkpoints\[2\]: there is no checkpoint "thre"; did you mean "three"/,
  },
  'a word for checkpoints that is none': {
    change: ['statistics:', 'benchmarks: [{ name: a, file: demo, checkpoints: last }]\nstatistics:'],
    line: 27,
    says: /checkpoints: expected all, final, none, or a list of names of checkpoints, got "last"/,
  },
  'a benchmark that nothing answers': {
    change: ['statistics:', 'benchmarks: [{ name: a, file: demo, checkpoints: none }]\nstatistics:'],
    line: 27,
    says: /no checkpoint and no ablation answers the benchmark "a"/,
  },
  'more parts than problems': {
    change: ['statistics:', 'benchmarks: [{ name: a, file: demo, limit: 3, parts: 4 }]\nstatistics:'],
    line: 27,
    says: /benchmarks\[1\]\.parts: expected at most 3, the problems of "a", got 4/,
  },
  'a thinking switch without a chat template': {
    change: ['statistics:', 'benchmarks: [{ name: a, file: demo, template: plain }]\nstatistics:'],
    line: 27,
    says: /benchmarks\[1\]: the thinking switch needs the chat template, which the template "plain"/,
  },
  'an ablation on an unknown benchmark': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0", benchmarks: [sum] }\nbenchmarks: [{ name: sums, file: demo }]',
    ],
    line: 26,
    says: /ablations\[1\]\.benchmarks\[1\]: there is no benchmark "sum"; did you mean "sums"/,
  },
  'an ablation on benchmarks that a study does not have': {
    change: ['controls: 2', 'benchmarks: [demo]'],
    line: 26,
    says: /ablations\[1\]\.benchmarks: the study has no benchmarks to answer/,
  },
  'a task for named heads on a benchmark': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0", benchmarks: [a], tasks: [sums] }\nbenchmarks: [{ name: a, file: demo }]',
    ],
    line: 26,
    says: /ablations\[1\]\.tasks: tasks say whose heads are ablated/,
  },
  'pairs from openings': {
    change: [
      'pairs: { direct: direct.jsonl, thinking: thinking.jsonl }',
      'openings: { problems: problems.jsonl }',
    ],
    line: 22,
    says: /tasks\[1\]\.openings: the benchmark ".*problems\.jsonl" is neither a file nor one of/,
  },
  'openings by a model that is none': {
    change: [
      'pairs: { direct: direct.jsonl, thinking: thinking.jsonl }',
      'openings: { problems: demo, by: base }',
    ],
    line: 22,
    says: /openings\.by: there is no post-trained checkpoint "base"; there are one, two, three/,
  },
  'openings longer than the model': {
    change: [
      'pairs: { direct: direct.jsonl, thinking: thinking.jsonl }',
      'openings: { problems: demo, opening-length: 4000 }',
    ],
    line: 22,
    says: /openings: an opening of 4000 tokens after problem "0" does not fit the 256 positions/,
  },
  'a missing folder': {
    change: [`${models}/sft-step25`, './sft-step26'],
    line: 10,
    says: /sft-step26" is neither an existing folder nor a Hugging Face id/,
  },
  'a folder without a model': {
    change: [`${models}/sft-step25`, './empty-folder'],
    line: 10,
    says: /has no config\.json/,
  },
  'an adapter that is none': {
    change: [`model: ${models}/sft-step25`, `adapter: ${models}/sft-step25`],
    line: 10,
    says: /checkpoints\[2\]\.adapter: .*has no adapter_config\.json/,
  },
  'unequal shapes': {
    change: [`${models}/sft-step25`, join(process.cwd(), tinyArith)],
    line: 10,
    says: /two has another shape than its base base: expected 4 layers x 6 heads/,
  },
  'a missing pairs file': {
    change: ['thinking: thinking.jsonl', 'thinking: thinkin.jsonl'],
    line: 22,
    says: /thinkin\.jsonl/,
  },
  'empty pairs': {
    change: ['thinking: thinking.jsonl', 'thinking: empty.jsonl'],
    line: 22,
    says: /empty\.jsonl has no pairs/,
  },
  'pairs of unequal length': {
    change: ['thinking: thinking.jsonl', 'thinking: unequal.jsonl'],
    line: 22,
    says: /unequal\.jsonl:1: .*3.*2/,
  },
  'pairs without what the metric reads': {
    change: ['thinking: thinking.jsonl', 'thinking: no-answers.jsonl'],
    line: 22,
    says: /no-answers\.jsonl:1: /,
  },
  'prompt forms with the same pairs': {
    change: ['thinking: thinking.jsonl', 'thinking: direct.jsonl'],
    line: 22,
    says: /the prompt forms direct and thinking give the same pairs/,
  },
  'more edges than there are': {
    change: ['rule: threshold, tau: 0.1', 'rule: top-n, n: 1000000'],
    line: 24,
    says: /selection\.n: expected at most \d+, the edges of base's graph, got 1000000/,
  },
  'a head that is not there': {
    change: ['heads: "0.0"', 'heads: "9.0"'],
    line: 26,
    says: /the model has no layer 9/,
  },
  'a missing log': {
    change: ['file: log.json', 'file: logs.json'],
    line: 7,
    says: /the log .*logs\.json does not exist/,
  },
  'a log without the value': {
    change: ['value: reward', 'value: rewards'],
    line: 7,
    says: /has no entry with numbers "step" and "rewards"/,
  },
  'a log without the list': {
    change: ['at: entries', 'at: entry'],
    line: 7,
    says: /has no list of entries at "entry"/,
  },
  ...slurmMistakes,
};

async function errorOf(text: string): Promise<{ error: unknown; out: string; path: string }> {
  const path = await writeStudy(text, folder);
  const out = join(await newFolder(), 'run');
  let error: unknown;
  try {
    await runStudy(await readStudy(path), { out });
  } catch (thrown) {
    error = thrown;
  }
  return { error, out, path };
}

describe('a wrong study file', () => {
  it('is wrong by the change alone', async () => {
    const out = join(await newFolder(), 'run');
    const study = await readStudy(await writeStudy(good, folder));
    const { complete } = await runStudy(study, { out, only: ['pairs'] });
    expect(complete).toBe(false);
    expect(Object.keys(mistakes).length).toBeGreaterThanOrEqual(60);
  });

  it('is not one with a limit above what a file holds, which is remarked on', async () => {
    const out = join(await newFolder(), 'run');
    const text = good.replace('limit: 4', 'limit: 500');
    const study = await readStudy(await writeStudy(text, folder));
    const remarks: string[] = [];
    const onRemark = (remark: string): void => void remarks.push(remark);
    await runStudy(study, { out, only: ['pairs'], onRemark });
    expect(remarks).toEqual(
      ['direct', 'thinking'].map((form) =>
        expect.stringMatching(`${form}\\.jsonl: all of its \\d+ pairs are fewer than the limit of 500$`),
      ),
    );
  });

  it.each(Object.entries(mistakes))('%s', async (_name, { change, line, says }) => {
    expect(good).toContain(change[0]);
    const { error, out, path } = await errorOf(good.replace(change[0], () => change[1]));
    expect(error).toMatchObject({ code: 'ERR_HEADSPARK_CONFIG' });
    const { message } = error as Error;
    expect(message.split('\n'), message).toHaveLength(1);
    expect(message).toMatch(says);
    expect(message.startsWith(`${path}:${line}: `), message).toBe(true);
    expect(message).toMatch(/[^.]\.$/);
    // Nothing ran: there is not even a folder.
    expect(await readdir(out).catch(() => 'absent')).toBe('absent');
  });

  it('lists several mistakes at once, in the order of the checks', async () => {
    const { error } = await errorOf(good.replace('step: 25', 'step: 5').replace('name: two', 'name: one'));
    expect((error as Error).message.split('\n')).toHaveLength(2);
  });

  it('that does not exist, or holds nothing', async () => {
    await expect(readStudy(join(folder, 'none.yaml'))).rejects.toThrow(/study init/);
    await expect(readStudy(await writeStudy('', await newFolder()))).rejects.toThrow(
      /study: is missing/,
    );
    await expect(readStudy(await writeStudy('- a\n', await newFolder()))).rejects.toThrow(
      /expected named settings, got a list/,
    );
  });
});

describe('study init', () => {
  it('writes a file that the schema takes, and never over another', async () => {
    const path = join(await newFolder(), 'new.yaml');
    await initStudy(path);
    const study = await readStudy(path);
    expect(study.series[0].checkpoints.map(({ step }) => step)).toEqual([100, 300]);
    await expect(initStudy(path)).rejects.toThrow(/exists already/);
    expect(study.benchmarks[0]).toMatchObject({ name: 'gsm8k', sampling: { samples: 16 } });
    expect(await readFile(path, 'utf8')).toContain('corrupted-reward-of');
  });
});
