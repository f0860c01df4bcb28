// From arguments to a loaded model and its pairs.

import type { Metric } from '../attribution.js';
import { parseHubId } from '../checkpoint-source.js';
import { loadCheckpointText, type CheckpointText } from '../checkpoint-text.js';
import { chooseDevice } from '../device-choice.js';
import { HeadsparkError } from '../errors.js';
import { loadModel, type LoadModelOptions, type Model } from '../model.js';
import type { Precision } from '../native-types.js';
import { native } from '../native.js';
import { readPairs, type PairOptions, type TokenizedPair } from '../pairs.js';
import { repeatedPairsRemark } from '../pairs/repeated.js';
import { singleAnswer } from '../pairs/tokenize-pair.js';
import { unreadLayers } from '../unread-layers.js';
import { generatePairs, type TaskName } from '../tasks/index.js';
import { usageError, type Arguments } from './arguments.js';
import { memoryRemark, parseBytes } from './byte-size.js';
import type { Context } from './context.js';
import { plural } from './output.js';
import { refuseUnread } from './unread-options.js';
import { pathExists } from '../path-kinds.js';

async function withRevision(model: string, revision: string | undefined): Promise<string> {
  if (revision === undefined) return model;
  if ((await pathExists(model)) || !parseHubId(`${model}@${revision}`)) {
    throw usageError(`--revision is for hub models (ORG/NAME); ${model} is not one.`);
  }
  return `${model}@${revision}`;
}

/**
 * `cpu` or `cuda:N` of --device; says once why `auto` means the CPU here, or that a GPU computes
 * matrix products without cuBLASLt.
 */
export function deviceFrom(args: Arguments, context: Context): string {
  const { device, reason } = chooseDevice(args.choice<string>('device'));
  if (reason !== undefined) context.warnOnce(`--device auto runs on the CPU. ${reason}`);
  if (device !== 'cpu') {
    const { cublasLt, products } = native().deviceInfo().gpu;
    if (cublasLt === null && products !== '') context.warnOnce(products);
  }
  return device;
}

/** Bytes of --memory as an option, with a remark where they are not to be had. */
export function memoryFrom(
  args: Arguments,
  context: Context,
  device: string,
): { memoryBytes?: number } {
  const memory = args.text('memory');
  if (memory === undefined) return {};
  const memoryBytes = parseBytes(memory);
  if (device === 'cpu') {
    const remark = memoryRemark(memoryBytes, native().deviceInfo());
    if (remark !== undefined) context.warnOnce(remark);
  }
  return { memoryBytes };
}

function loadOptions(args: Arguments, context: Context): Omit<LoadModelOptions, 'hub' | 'signal'> {
  const [adapter, base] = [args.text('adapter'), args.text('base')];
  const [threads, batchTokens] = [args.number('threads'), args.number('batch-tokens')];
  const device = deviceFrom(args, context);
  return {
    ...(adapter === undefined ? {} : { adapter }),
    ...(base === undefined ? {} : { base }),
    ...memoryFrom(args, context, device),
    ...(threads === undefined ? {} : { threads }),
    ...(batchTokens === undefined ? {} : { batchTokens }),
    device,
    precision: args.choice<Precision>('precision'),
    sharePrefix: args.flag('share-prefix'),
  };
}

type Hub = Pick<LoadModelOptions, 'hub' | 'signal'>;

/** Loads by name, with the progress of a download. */
async function loading<T>(
  text: string,
  { args, context }: { args: Arguments; context: Context },
  load: (name: string, hub: Hub) => Promise<T>,
): Promise<T> {
  const name = await withRevision(text, args.text('revision'));
  const { signal } = context;
  const loaded = await context.task('download', 'bytes', ({ reporter }) =>
    load(name, {
      signal,
      hub: {
        signal,
        ...(args.flag('offline') ? { offline: true } : {}),
        onProgress: ({ bytes, totalBytes, file }) => reporter.update(bytes, totalBytes, file),
      },
    }),
  );
  // Pairs and prompts come next, from pipes perhaps.
  context.endsAtOnce();
  return loaded;
}

/** Loads the model, with the progress of a download. */
export async function loadFrom(text: string, args: Arguments, context: Context): Promise<Model> {
  const options = loadOptions(args, context);
  const load = (name: string, hub: Hub): Promise<Model> => loadModel(name, { ...options, ...hub });
  const model = await loading(text, { args, context }, load);
  const unread = await unreadLayers(model.info.folder, model.info.layers);
  if (unread > 0) {
    context.warn(
      `${plural(unread, 'layer')} of ${model.info.label} ${unread === 1 ? 'is' : 'are'} not read: its files ` +
        `have more than the ${model.info.layers} of num_hidden_layers in config.json.`,
    );
  }
  return model;
}

/** Loads a model's tokenizer, chat template and sizes alone. */
export async function loadTextFrom(
  text: string,
  args: Arguments,
  context: Context,
): Promise<CheckpointText> {
  const [adapter, base] = [args.text('adapter'), args.text('base')];
  return loading(text, { args, context }, (name, hub) =>
    loadCheckpointText(name, { adapter, base, ...hub }),
  );
}

const textOf = ({ info, tokenizer, chatTemplate }: Model): CheckpointText => ({
  label: info.label,
  folder: info.folder,
  tokenizer,
  chatTemplate,
  vocabSize: info.vocab,
  maxPositions: info.maxPositions,
});

const defaultCount = 100;

/** The pairs of --task. */
export async function generated(
  task: TaskName,
  { tokenizer, folder, vocabSize }: CheckpointText,
  { args, context }: { args: Arguments; context: Context },
): Promise<TokenizedPair[]> {
  if (!tokenizer) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${folder} has no tokenizer.json, which --task needs; give --pairs with token ids.`,
    );
  }
  return context.task('pairs', 'pairs', ({ onJob }) =>
    generatePairs(task, tokenizer, {
      count: args.number('count') ?? defaultCount,
      seed: args.value('seed'),
      vocabSize,
      signal: context.signal,
      onProgress: onJob,
    }),
  );
}

/** How a file of pairs is read for a checkpoint. */
export function readingOf(
  text: CheckpointText,
  args: Arguments,
): PairOptions & { limit: number | undefined } {
  const { tokenizer, chatTemplate, vocabSize, maxPositions } = text;
  const [limit, enableThinking] = [args.number('count'), args.switch('enable-thinking')];
  return { tokenizer, chatTemplate, vocabSize, maxPositions, limit, enableThinking };
}

/** Says what an option did not change, and that pairs repeat others. */
export function remarkPairs(
  pairs: readonly TokenizedPair[],
  { file, rendered, args }: { file: string; rendered: number; args: Arguments },
  context: Context,
): void {
  if (args.switch('enable-thinking') !== undefined && rendered === 0) {
    context.warn(`the thinking option changes nothing: no pair of ${file} has "messages".`);
  }
  const repeated = repeatedPairsRemark(pairs);
  if (repeated !== undefined) context.warn(repeated);
}

async function fromFile(
  file: string,
  text: CheckpointText,
  place: { args: Arguments; context: Context },
): Promise<TokenizedPair[]> {
  const { args, context } = place;
  let [unfit, rendered] = [0, 0];
  let first: string | undefined;
  const pairs = await readPairs(file, {
    ...readingOf(text, args),
    metric: args.choice<Metric>('metric'),
    onMessages: () => void rendered++,
    ...(args.flag('skip-unfit')
      ? {
          onUnfit: (error: HeadsparkError) => {
            unfit++;
            first ??= error.message;
          },
        }
      : {}),
  });
  if (unfit > 0) context.warn(`${plural(unfit, 'pair')} left out; the first: ${first}`);
  remarkPairs(pairs, { file, rendered, args }, context);
  return pairs;
}

/** Pairs of a task as the metric reads them: the same as from a file. */
async function answered(
  task: TaskName,
  text: CheckpointText,
  place: { args: Arguments; context: Context },
): Promise<TokenizedPair[]> {
  const pairs = await generated(task, text, place);
  if (place.args.choice<Metric>('metric') !== 'nll') return pairs;
  return pairs.map((pair) => {
    const continuation = singleAnswer(pair);
    return continuation ? { ...pair, continuation } : pair;
  });
}

/** One of --pairs and --task. */
export function pairsSource(args: Arguments): { file: string } | { task: TaskName } {
  const file = args.text('pairs');
  const task = args.optionalChoice<TaskName>('task');
  if (file !== undefined && task !== undefined)
    throw usageError('give --pairs or --task, not both.');
  if (file !== undefined) return { file };
  if (task !== undefined) {
    const why = 'is of a file of pairs: leave it out with --task.';
    refuseUnread(args, ['skip-unfit', 'enable-thinking'], why);
    return { task };
  }
  throw usageError('give the pairs with --pairs FILE or --task ioi|greater-than|arithmetic.');
}

/** The pairs of --pairs or --task, tokenized for the model, and what to call them. */
export async function pairsFrom(
  model: Model,
  args: Arguments,
  context: Context,
): Promise<{ pairs: TokenizedPair[]; name: string }> {
  const source = pairsSource(args);
  const text = textOf(model);
  const place = { args, context };
  return 'file' in source
    ? { pairs: await fromFile(source.file, text, place), name: source.file }
    : { pairs: await answered(source.task, text, place), name: source.task };
}
