// A study file to start from: every key with what it does, ready to be edited.

import { stat, writeFile } from 'node:fs/promises';
import { checkText } from '../argument-checks.js';
import { HeadsparkError } from '../errors.js';
import { writeError } from '../file-errors.js';

const template = `# A headspark study: circuits of a base and of post-trained checkpoints, their differences over
# training, and causal tests. Paths are relative to this file. See what it will cost, then run it:
#   headspark study plan THIS_FILE
#   headspark study run THIS_FILE --out my-run && headspark report my-run --out report.html
study: my-study
description: What this study asks
seed: 0 # of resampling, control sets and generated pairs

base:
  name: base
  model: ./base # folder, ORG/NAME or ORG/NAME@REVISION on the Hugging Face Hub
  step: 0

series: # any number; each compares its checkpoints with the base
  - label: GRPO
    regime: grpo # sft, distillation, grpo, ...
    logs: # optional: JSON, JSONL or CSV with an entry for every step
      - name: reward
        file: ./grpo-log.jsonl
        # at: training.log     # where the list is inside a JSON file
        # where: { run: 3 }    # only entries with these values
        step: step
        value: reward
        reduce: mean # since the checkpoint before; last: the entry at the checkpoint
    checkpoints: # steps must rise
      - { step: 100, model: ./grpo-step100 }
      - { step: 300, adapter: ./grpo-lora-step300 } # a LoRA adapter on the base
  # - label: GRPO corrupted
  #   regime: grpo
  #   corrupted-reward-of: GRPO   # compared with that series
  #   checkpoints: [...]

prompt-forms: # one model asked in several ways; leave it out for one plain form
  - { name: direct, thinking: false } # the chat template's thinking switch
  - { name: thinking, thinking: true }

tasks:
  - name: sums
    pairs: ./pairs.jsonl # or one file for each form: { direct: a.jsonl, thinking: b.jsonl }
    limit: 64
  # - name: first words      # how base and post-trained model begin to answer the same problems
  #   openings: { problems: gsm8k, data: ./data, limit: 64, opening-length: 16 } # by: grpo-step300
  # - name: ioi
  #   generate: { task: ioi, count: 64 }   # ioi, greater-than or arithmetic; with one prompt form

attribution:
  method: eap-ig # eap, clean-corrupted, eap-ig-activations, information-flow-routes, exact
  metric: logit-diff # prob-diff, kl, nll
  ig-steps: 5
  kv-edges: per-query-head # or grouped

selection: # which edges make the circuit
  rule: top-n # top-n (n, optional tau), threshold (tau), greedy (n)
  n: 500
  ranking: absolute # or signed
  prune: true

ablations: # causal tests on the pairs, each set against matched random sets
  - name: emergent
    group: emergent # emergent, vanished, retained; or heads: "3.1,5.0"; or single: true
    top-k: 10
    controls: 20
    factors: [0] # 0 ablates, 0.5 weakens, 1.3 amplifies; each is a stage of its own
    ablation: zero # mean, mean-per-position, resample
    match: layer # random sets with as many heads per layer; write-norm: that write as much
    checkpoints: final # the last of every series; all; or names of checkpoints and series: [grpo-step100]
    # positions: all       # prompt or generated
    # parts: 4             # stages for several machines; changes no result
    # tasks: [sums]        # whose heads; prompt-forms: [thinking]
  - name: emergent solving # the same while benchmarks are answered, with every flip of an answer
    group: emergent
    top-k: 3
    controls: 5 # every one is answered too
    benchmarks: [gsm8k]
    # references: 32 # problems whose runs mean and resample read
    prompt-forms: [thinking]

  - name: singles # every head alone: what "heads" below sets its properties against
    single: true

heads: # what heads do on the pairs: attention, writes, copying; and what goes with their ablation
  - name: all heads
    which: all # circuit, emergent, retained, vanished; or heads: "3.1,5.0"
    queries: all # answer: only the tokens before an answer
    effects: singles # an ablation with single: true
    maps: 2 # attention maps of the strongest heads, drawn
    # map-pair: 1             # on this pair
    # think-markers: ["<plan>", "</plan>"]  # instead of <think>, </think> and the like
    # checkpoints: final      # all, or names as above; tasks: [sums]; prompt-forms: [thinking]

benchmarks: # what models are asked to solve, each checkpoint under each prompt form
  - name: gsm8k
    file: gsm8k # a file, or aime24, aime25, amc23, math500, gsm8k, gpqa, demo, which lie in data
    data: ./data
    limit: 100
    checkpoints: all # final: bases and the last of every series; none: ablations only; or names
    # prompt-forms: [thinking]  # default: all
    # template: chat            # plain: the problem alone
    # system: "You are ..."
    # suffix: boxed             # none, or a text; default: what the benchmark has
    # answer-from: any          # boxed, tag, sentence, letter, number
    # parts: 4                  # stages for several machines; changes no result
    # sampling: { samples: 1 }  # what is not as below

sampling:
  samples: 16 # answers to every problem; with one they are greedy
  temperature: 0.6
  top-p: 0.95
  max-new-tokens: 1024
  k: [1, 4, 16] # of pass@k and success@k
  # top-k-tokens: 20
  # min-p: 0.05
  # repetition-penalty: 1.1
  # stop: ["Problem:"]  # texts that end an answer
  # stop-tokens: [2]      # and ids of tokens, beside those of the tokenizer
  # seed: 0 # default: the study's

statistics:
  confidence: 0.95
  null-repeats: 100
  permutations: 9999

# slurm: # for: headspark study run THIS_FILE --out my-run --slurm
#   partition: gpu
#   account: my-account
#   time: 04:00:00 # of every task
#   gpus: 1 # of tasks that run models, or TYPE:NUMBER; needs --device cuda:0
#   cpus: 8
#   memory: 64G
#   tasks: 4 # parts of every array; default: one for each checkpoint
#   concurrent: 16 # of an array at the same time
#   setup: module load nodejs/20 # shell lines before headspark starts
#   options: [--mail-type=FAIL] # anything else that sbatch takes
#   stages: { diff: { partition: cpu } }
`;

/**
 * Writes the template.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT where the file exists, ERR_HEADSPARK_FILE_WRITE.
 */
export async function initStudy(path: string): Promise<void> {
  checkText('initStudy', 'a path', path);
  if (await stat(path).catch(() => undefined)) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `${path} exists already; give another name or remove it.`,
    );
  }
  try {
    await writeFile(path, template, { flag: 'wx' });
  } catch (cause) {
    throw writeError(path, cause);
  }
}
