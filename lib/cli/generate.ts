// `headspark generate`: continues prompts unablated and with every set of heads gated; one completion
// streams to the terminal, several are printed in order.

import { rm } from 'node:fs/promises';
import { plannedSets } from '../ablation/plan.js';
import { shortFloat32, unablated } from '../ablation/run.js';
import { writeFileAtomic } from '../atomic-file.js';
import { formatHeads, withFactor, type GatePositions, type HeadRef } from '../head-gate.js';
import { generate, type GenerationRequest } from '../generation.js';
import { checkStopTokens } from '../generation-requests.js';
import type { Model } from '../model.js';
import type { JobProgress } from '../native.js';
import { formatDuration } from '../progress.js';
import { promptOf, readPrompts, type Prompt } from '../prompts.js';
import { TextStream } from '../stop-strings.js';
import { checkPlanOptions, factorsOf, namesHeads, planOf } from './ablation-plan.js';
import { usageError, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { CompletionsJournal, journalSettings, type FinishedRow } from './completions-journal.js';
import type { Context } from './context.js';
import { loadFrom } from './inputs.js';
import { journalOf, journalOutput, resumeHintOf } from './journal-option.js';
import { formatNumber, plural } from './output.js';
import { checkOutputs, fileOutput } from './outputs.js';
import { samplingOf } from './sampling.js';
import { refuseUnread, refuseWithoutHeads } from './unread-options.js';
import { optionGroups } from './vocabulary.js';

/** One row: a prompt under a set of heads, and which sample it is. */
interface Row {
  readonly prompt: number;
  /** Name of the heads; of the unablated model `unablated`. */
  readonly variant: string;
  readonly heads: readonly HeadRef[];
  /** Of the heads; 1 where none is gated. */
  readonly factor: number;
  readonly sample: number;
  readonly request: GenerationRequest;
}

/** What is printed, written and put out as JSON for a row. */
interface Result {
  prompt: number;
  id?: string;
  variant: string;
  heads: string;
  factor: number;
  sample: number;
  seed: number;
  finish: string;
  promptTokens: number;
  tokens: number[];
  logProbs?: number[];
  text?: string;
}

async function promptsOf(model: Model, args: Arguments): Promise<Prompt[]> {
  const [texts, file] = [args.list('prompt'), args.text('prompts')];
  const [system, enableThinking] = [args.text('system'), args.switch('enable-thinking')];
  const options = {
    chat: args.flag('chat'),
    ...(system === undefined ? {} : { system }),
    ...(enableThinking === undefined ? {} : { enableThinking }),
  };
  if (texts.length > 0 && file !== undefined) {
    throw usageError('give --prompt or --prompts, not both.');
  }
  if (file !== undefined) return readPrompts(model, file, options);
  if (texts.length > 0) return texts.map((text) => promptOf(model, text, options));
  throw usageError('give a text with --prompt TEXT, or a JSONL file with --prompts FILE.');
}

function checkOptions(args: Arguments, context: Context): void {
  if (args.text('out') === undefined && !context.json) {
    refuseUnread(args, ['log-probs'], 'is not printed: add --out FILE or --json, or leave it out.');
  }
  checkPlanOptions(args, { optional: true });
  if (!namesHeads(args)) {
    refuseWithoutHeads(args, ['factor', 'positions'], '--heads, --heads-file or --diff');
  }
  const { temperature = 0 } = samplingOf(args);
  if (args.value('samples') > 1 && temperature === 0) {
    throw usageError('--samples above 1 needs a --temperature above 0, or all would be equal.');
  }
  if (args.value('seed') + args.value('samples') > Number.MAX_SAFE_INTEGER) {
    throw usageError('--seed plus --samples is too large.');
  }
}

function settingsOf(args: Arguments, model: Model): Omit<GenerationRequest, 'prompt'> {
  return {
    positions: args.choice<GatePositions>('positions'),
    sampling: samplingOf(args),
    maxNewTokens: args.number('max-new-tokens') ?? 256,
    stopStrings: args.list('stop'),
    logProbs: args.flag('log-probs'),
    stopTokens: [
      ...(args.flag('ignore-eos') ? [] : (model.tokenizer?.eosIds ?? [])),
      ...args.numbers('stop-token'),
    ],
  };
}

/** A set of heads with a factor, under the name that it has in the output. */
type Variant = Pick<Row, 'variant' | 'heads' | 'factor'>;

/** The unablated model, then every set with every factor. */
async function variantsOf(args: Arguments, model: Model, context: Context): Promise<Variant[]> {
  const whole: Variant = { variant: 'unablated', ...unablated };
  if (!namesHeads(args)) return [whole];
  const factors = factorsOf(args);
  const named = await planOf(args, model, context);
  const { sets, notes } = plannedSets(named.plan, model.info);
  for (const note of notes) context.warn(note);
  const gated = sets.flatMap(({ name, heads }) =>
    factors.map((factor) => ({ variant: withFactor(name, factor, factors), heads, factor })),
  );
  return [whole, ...gated];
}

interface RowParts {
  readonly prompts: readonly Prompt[];
  readonly variants: readonly Variant[];
  readonly settings: Omit<GenerationRequest, 'prompt'>;
}

function rowsOf({ prompts, variants, settings }: RowParts, args: Arguments): Row[] {
  const seed = args.value('seed');
  return prompts.flatMap(({ tokens }, prompt) =>
    variants.flatMap((variant) =>
      Array.from({ length: args.value('samples') }, (_, sample) => ({
        ...variant,
        prompt,
        sample,
        request: {
          ...settings,
          prompt: tokens,
          heads: variant.heads.map((head) => ({ ...head, factor: variant.factor })),
          seed: seed + sample,
        },
      })),
    ),
  );
}

interface Job {
  model: Model;
  prompts: readonly Prompt[];
  rows: readonly Row[];
  maxRows: number;
  journal: CompletionsJournal;
}

function resultOf(row: Row, finished: FinishedRow, { prompts, model }: Job): Result {
  const { tokens, finish, promptTokens, logProbs } = finished;
  const { id } = prompts[row.prompt];
  return {
    prompt: row.prompt,
    ...(id === undefined ? {} : { id }),
    variant: row.variant,
    heads: formatHeads(row.heads),
    factor: row.factor,
    sample: row.sample,
    seed: Number(row.request.seed),
    finish,
    promptTokens,
    tokens,
    ...(row.request.logProbs ? { logProbs: logProbs.map(shortFloat32) } : {}),
    ...(model.tokenizer ? { text: model.tokenizer.decode(tokens) } : {}),
  };
}

const textOf = ({ text, tokens }: Result): string => text ?? tokens.join(' ');

/** Prints results in the order of the rows, each as soon as all before it are there. */
class OrderedPrinter {
  readonly #waiting = new Map<number, Result>();
  readonly #context: Context;
  readonly #manyPrompts: boolean;
  #next = 0;

  constructor(context: Context, { prompts }: Job) {
    this.#context = context;
    this.#manyPrompts = prompts.length > 1;
  }

  add(index: number, result: Result): void {
    this.#waiting.set(index, result);
    for (let ready; (ready = this.#waiting.get(this.#next)); this.#next++) {
      this.#waiting.delete(this.#next);
      this.#context.heading(this.#title(ready));
      this.#context.print(textOf(ready));
    }
  }

  #title(result: Result): string {
    const parts = [
      ...(this.#manyPrompts ? [`prompt ${result.id ?? result.prompt}`] : []),
      result.variant,
      `sample ${result.sample}`,
      result.finish,
    ];
    return `# ${parts.join(', ')}`;
  }
}

/** Results by row; those that an earlier run finished are there. */
function finishedResults(job: Job, context: Context): Result[] {
  const { rows, journal } = job;
  const results: Result[] = [];
  rows.forEach((row, index) => {
    const finished = journal.get(index);
    if (finished) results[index] = resultOf(row, finished, job);
  });
  const done = Object.keys(results).length;
  if (done > 0) {
    const count = `${done.toLocaleString('en-US')} of ${plural(rows.length, 'completion')}`;
    context.warn(`${journal.path} holds ${count}; going on from there.`);
  }
  return results;
}

/** One row: its text as it comes. */
async function streamOne(job: Job, results: Result[], context: Context): Promise<void> {
  const { model, rows, journal } = job;
  if (results[0]) {
    context.print(textOf(results[0]));
    return;
  }
  context.endsInOrder();
  const stream = model.tokenizer && new TextStream(model.tokenizer, { skipSpecialTokens: true });
  const onToken = (_: number, token: number): void => {
    context.write(stream ? stream.push(token) : `${token} `);
  };
  for await (const completion of generate(model, [rows[0].request], {
    signal: context.signal,
    onToken,
  })) {
    context.print(stream?.flush() ?? '');
    await journal.add(0, completion);
    results[0] = resultOf(rows[0], completion, job);
  }
}

async function generateAll(job: Job, results: Result[], context: Context): Promise<void> {
  const { model, rows, maxRows, journal } = job;
  const printer = new OrderedPrinter(context, job);
  results.forEach((result, index) => {
    printer.add(index, result);
  });
  const missing = [...rows.keys()].filter((index) => !results[index]);
  await context.task('generate', 'tokens', async ({ reporter }) => {
    const requests = missing.map((index) => rows[index].request);
    let completed = rows.length - missing.length;
    const onProgress = ({ done }: JobProgress): void => {
      reporter.update(done, undefined, `${completed} of ${plural(rows.length, 'completion')}`);
    };
    const options = { maxRows, signal: context.signal, onProgress };
    for await (const completion of generate(model, requests, options)) {
      const index = missing[completion.index];
      results[index] = resultOf(rows[index], completion, job);
      completed++;
      reporter.hide();
      printer.add(index, results[index]);
      await journal.add(index, completion);
    }
  });
}

/** Results by row, and the seconds and new tokens of this run. */
async function runRows(
  job: Job,
  context: Context,
): Promise<{ results: Result[]; seconds: number; newTokens: number }> {
  const results = finishedResults(job, context);
  const tokensOf = (): number => results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const [start, before] = [performance.now(), tokensOf()];
  const run = job.rows.length === 1 && !context.json ? streamOne : generateAll;
  await run(job, results, context);
  return {
    results,
    seconds: (performance.now() - start) / 1000,
    newTokens: tokensOf() - before,
  };
}

export const generateCommand: Command = {
  name: 'generate',
  usage: 'generate <model>',
  describe: 'Continue prompts, with heads ablated or scaled by request',
  positionals: [{ name: 'model', describe: 'checkpoint folder, adapter folder or hub id' }],
  options: [
    'prompt',
    'prompts',
    'chat',
    'system',
    'enable-thinking',
    'samples',
    'seed',
    ...optionGroups.sampling,
    'ignore-eos',
    'log-probs',
    'heads',
    'heads-file',
    'diff',
    'top-k',
    'group',
    'post',
    'factor',
    'positions',
    'out',
    'journal',
    ...optionGroups.model,
    ...optionGroups.every,
  ],
  meanings: {
    out: 'completions to write, as .jsonl',
    samples: 'completions of every prompt, each with a seed of its own',
    temperature: '0 (default): the likeliest token',
    'top-p': 'of the likeliest tokens that reach this probability; default 1',
    'max-new-tokens': 'longest completion; default 256',
  },
  multiple: ['prompt', 'stop', 'stop-token'],
  streams: true,
  examples: [
    ['$0 generate ./qwen --chat --prompt "What is 17 * 23?"', 'greedily, as it comes'],
    [
      '$0 generate ./qwen --prompts p.jsonl --samples 8 --temperature 0.6 --top-p 0.95 --out c.jsonl',
      'eight samples of every prompt',
    ],
    [
      '$0 generate ./sft --prompt "Q: 3+4\\n" --heads "3.1,5.0"',
      'unablated and with two heads ablated',
    ],
  ],
  async run(args, context) {
    const [out, place] = [args.text('out'), journalOf(args)];
    checkOptions(args, context);
    await checkOutputs(args, [fileOutput(args, 'out', ['.jsonl']), journalOutput(place)]);
    const model = await loadFrom(args.positional('model'), args, context);
    checkStopTokens(args.numbers('stop-token'), model);
    const prompts = await promptsOf(model, args);
    const variants = await variantsOf(args, model, context);
    const settings = settingsOf(args, model);
    const rows = rowsOf({ prompts, variants, settings }, args);
    const header = () =>
      journalSettings(model, prompts, {
        ...settings,
        variants: variants.map(({ heads, factor }) => [formatHeads(heads), factor]),
        samples: args.value('samples'),
        seed: args.value('seed'),
      });
    const journal = await CompletionsJournal.open(place?.path, header, (remark) => {
      context.warn(remark);
    });
    if (place) context.resumeHint = resumeHintOf(place);
    const job = { model, prompts, rows, maxRows: args.value('max-rows'), journal };
    const { results, seconds, newTokens } = await runRows(job, context).finally(() =>
      journal.close(),
    );
    const full = results.filter(({ finish }) => finish === 'context').length;
    if (full > 0) {
      context.warn(
        `${plural(full, 'completion')} ended at the last of the model's ` +
          `${model.info.maxPositions} positions, before --max-new-tokens.`,
      );
    }
    model.dispose();
    if (out !== undefined) {
      const lines = results.map((result) => `${JSON.stringify(result)}\n`);
      await writeFileAtomic(out, lines.join(''), { resumes: true });
    }
    if (place?.temporary) await rm(place.path, { force: true });
    const written = out === undefined ? '' : `, written to ${out}`;
    context.print(
      context.paint(
        'dim',
        `\n${plural(newTokens, 'token')} in ${formatDuration(seconds)}, ` +
          `${formatNumber(newTokens / seconds, 1)} tokens/s${written}`,
      ),
    );
    return { model: model.info.id, seconds, newTokens, completions: results };
  },
};
