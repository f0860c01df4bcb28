// A checkpoint ready to compute with: its weights (mapped by the C++ core, never copied into
// JavaScript), its shape, and its tokenizer and chat template when the folder has them.
import { basename, join, resolve } from 'node:path';
import { checkText } from './argument-checks.js';
import type { ChatTemplate } from './chat-template.js';
import {
  resolveCheckpoint,
  type HubOptions,
  type ResolvedCheckpoint,
} from './checkpoint-source.js';
import { textParts } from './checkpoint-text.js';
import { checkShape, type GraphShape, type KvEdges } from './circuit/shape.js';
import { chooseDevice } from './device-choice.js';
import { HeadsparkError } from './errors.js';
import { callNative, runJob } from './native.js';
import type { NativeLoadOptions, NativeModel, NativeModelInfo, Precision } from './native-types.js';
import { checkOptionNames, oneOf, optionNames, trueOrFalse, wholeNumber } from './option-checks.js';
import type { Tokenizer } from './tokenizer.js';
import { pathExists } from './path-kinds.js';

/**
 * How `loadModel` finds and runs a checkpoint. Threads, memory and micro-batches never change a
 * result.
 */
export interface LoadModelOptions {
  /** LoRA adapter folder or hub id, on top of `model`. */
  adapter?: string | undefined;
  /** The base, when `model` itself is an adapter whose base cannot be found. */
  base?: string | undefined;
  /** Threads of a computation, 0 to 1024; 0 (the default): all that this process may use. */
  threads?: number | undefined;
  /** Workspace of a computation in bytes; 0 (the default): a quarter of the free memory. */
  memoryBytes?: number | undefined;
  /** `cpu`, `cuda:0`, … or `auto` (the first GPU that computes, else the CPU; `chooseDevice` says why). Default `cpu`. */
  device?: string | undefined;
  /** Tokens of one micro-batch; 0 (the default): chosen by the core. Never changes a result. */
  batchTokens?: number | undefined;
  /**
   * Compute the prompt that clean and corrupted share once; changes last bits of scores and of
   * circuits. Default true.
   */
  sharePrefix?: boolean | undefined;
  /** Of matrix products: `exact` (fp32-faithful, the default) or `fast` (bf16, where that is faster). */
  precision?: Precision | undefined;
  /** Refuse NaN and infinite weights, by one pass over the files. Default true. */
  checkValues?: boolean | undefined;
  /** Downloads: cache, token, offline, progress. */
  hub?: HubOptions | undefined;
  /** Aborting rejects with ERR_HEADSPARK_CANCELLED (cause: the signal's reason), downloads included. */
  signal?: AbortSignal | undefined;
}

/** What a model is and what it runs on. */
export interface ModelInfo extends Omit<NativeModelInfo, 'adapterFolder'> {
  /** Short name for tables and plots. */
  label: string;
  /** Absolute folder of the (base) checkpoint. */
  folder: string;
  /** Absolute folder of the adapter, if there is one. */
  adapterFolder?: string;
  /** Hub id or folder; an adapter's is added after a `+`. */
  id: string;
  /** Commit hash of a hub model. */
  revision?: string;
  /** As in LoadModelOptions. */
  sharePrefix: boolean;
}

interface ModelParts {
  handle: NativeModel;
  info: ModelInfo;
  tokenizer: Tokenizer | undefined;
  chatTemplate: ChatTemplate | undefined;
  checkValues: boolean;
}

/**
 * A loaded checkpoint. Made by `loadModel`; belongs to the thread that loaded it. Several
 * computations may be asked for at once: they take turns on the device. Weights are read from their
 * files when they are needed: where a file was written to or cut short since it was loaded, every
 * computation rejects with ERR_HEADSPARK_FILE_CHANGED, and the model must be loaded again. A file
 * that another one took the place of (rename), or that was deleted, disturbs nothing.
 */
export class Model {
  /** Sizes, label, paths, device and processor; frozen. */
  readonly info: ModelInfo;
  /** Undefined when the checkpoint has no tokenizer.json. */
  readonly tokenizer: Tokenizer | undefined;
  /** Undefined when the checkpoint has none. */
  readonly chatTemplate: ChatTemplate | undefined;
  readonly #checkValues: boolean;
  #handle: NativeModel | undefined;

  /** @internal Use `loadModel`. */
  constructor(parts: ModelParts) {
    this.info = Object.freeze(parts.info);
    this.tokenizer = parts.tokenizer;
    this.chatTemplate = parts.chatTemplate;
    this.#checkValues = parts.checkValues;
    this.#handle = parts.handle;
  }

  /**
   * The graph that attributions of this model are over; k and v per query head by default.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT for other edges of k and v.
   */
  shape(kvEdges: KvEdges = 'per-query-head'): GraphShape {
    oneOf('kvEdges', kvEdges, {
      allowed: ['per-query-head', 'grouped'],
      fallback: 'per-query-head',
    });
    const { layers, heads, keyValueHeads, parallelBlock } = this.info;
    const shape = { layers, heads, keyValueHeads, parallelBlock, kvEdges };
    checkShape(shape);
    return shape;
  }

  /**
   * 32 hexadecimal digits that tell weights, configuration and adapter from others; not paths or
   * sharding. The first call for a base model reads all its weights and blocks meanwhile.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT after `dispose`, _FILE_CHANGED.
   */
  fingerprint(): string {
    const handle = this.handle();
    return callNative((addon) => addon.fingerprint(handle));
  }

  /**
   * This checkpoint with a PEFT LoRA adapter folder; shares the base's memory and settings. A
   * model that has an adapter already gets the new one in its place.
   * @throws ERR_HEADSPARK_UNSUPPORTED_ADAPTER, _FILE_NOT_FOUND, _FILE_CORRUPT, _TENSOR_SHAPE, …
   *   naming the file or tensor.
   */
  async withAdapter(folder: string, options: { signal?: AbortSignal } = {}): Promise<Model> {
    checkText('withAdapter', 'a folder', folder);
    checkOptionNames('withAdapter', options, ['signal']);
    const handle = this.handle();
    const checkValues = this.#checkValues;
    const adapterFolder = resolve(folder);
    const adapted = await runJob(
      (addon) => addon.withAdapter(handle, { folder: adapterFolder, checkValues }),
      options,
    );
    const { adapterFolder: replaced, ...own } = this.info;
    const base = (text: string): string => (replaced ? text.slice(0, text.lastIndexOf('+')) : text);
    const extras = (await pathExists(join(adapterFolder, 'tokenizer.json')))
      ? await textParts(adapterFolder)
      : { tokenizer: this.tokenizer, chatTemplate: this.chatTemplate };
    const info = {
      ...own,
      adapterFolder,
      label: `${base(own.label)}+${basename(adapterFolder)}`,
      id: `${base(own.id)}+${adapterFolder}`,
    };
    return new Model({ handle: adapted, info, checkValues, ...extras });
  }

  /**
   * Lets go of the weights. Computations that run already end normally; anything asked for later
   * throws ERR_HEADSPARK_INVALID_ARGUMENT. Calling it again does nothing.
   */
  dispose(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle) callNative((addon) => addon.releaseModel(handle));
  }

  /** `dispose` at the end of a block: `using model = await loadModel(…)`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * @internal Lends a work of several jobs a model that lasts until its end, whatever becomes of
   * this one meanwhile.
   */
  async lend<T>(work: (model: Model) => Promise<T>): Promise<T> {
    const own = this.handle();
    const lent = new Model({
      handle: callNative((addon) => addon.shareModel(own)),
      info: this.info,
      tokenizer: this.tokenizer,
      chatTemplate: this.chatTemplate,
      checkValues: this.#checkValues,
    });
    try {
      return await work(lent);
    } finally {
      lent.dispose();
    }
  }

  /** @internal The native handle. */
  handle(): NativeModel {
    if (this.#handle) return this.#handle;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the model ${this.info.label} was disposed; load it again.`,
    );
  }
}

function nativeOptions(options: LoadModelOptions): Omit<NativeLoadOptions, 'folder'> {
  const high = Number.MAX_SAFE_INTEGER;
  return {
    checkValues: trueOrFalse('checkValues', options.checkValues, true),
    threads: wholeNumber('threads', options.threads, { low: 0, high: 1024, fallback: 0 }),
    memoryBytes: wholeNumber('memoryBytes', options.memoryBytes, { low: 0, high, fallback: 0 }),
    device: chooseDevice(options.device === undefined ? 'cpu' : options.device).device,
    batchTokens: wholeNumber('batchTokens', options.batchTokens, {
      low: 0,
      high: 1_000_000,
      fallback: 0,
    }),
    sharePrefix: trueOrFalse('sharePrefix', options.sharePrefix, true),
    precision: oneOf('precision', options.precision, {
      allowed: ['exact', 'fast'],
      fallback: 'exact',
    }),
  };
}

async function resolvePlaces(
  model: string,
  options: LoadModelOptions,
): Promise<ResolvedCheckpoint> {
  const { adapter, base, hub, signal } = options;
  return resolveCheckpoint({
    model,
    ...(adapter === undefined ? {} : { adapter }),
    ...(base === undefined ? {} : { base }),
    hub: { ...(signal ? { signal } : {}), ...hub },
  });
}

const loadOptions = optionNames<LoadModelOptions>({
  adapter: true,
  base: true,
  threads: true,
  memoryBytes: true,
  device: true,
  batchTokens: true,
  sharePrefix: true,
  precision: true,
  checkValues: true,
  hub: true,
  signal: true,
});

const hubOptions = optionNames<HubOptions>({
  offline: true,
  cacheDir: true,
  hubUrl: true,
  accessToken: true,
  onProgress: true,
  signal: true,
});

function checkLoadOptions(options: LoadModelOptions): void {
  checkOptionNames('loadModel', options, loadOptions);
  const { adapter, base, hub } = options;
  if (adapter !== undefined) checkText('loadModel', 'the adapter', adapter);
  if (base !== undefined) checkText('loadModel', 'the base', base);
  if (hub !== undefined) checkOptionNames('loadModel: hub', hub, hubOptions);
}

/**
 * Loads a checkpoint in safetensors, any of fp32, fp16, bf16: Qwen2, Qwen3, Llama, Mistral, Phi-3,
 * OLMo 2 and 3, SmolLM3, GPT-2 or GPT-NeoX (README has their models); weights are mapped, not read into memory.
 * @param model Folder, or `ORG/NAME` or `ORG/NAME@REVISION` on the Hugging Face Hub; an adapter
 *   folder leads to its base.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, _FILE_CORRUPT, _CONFIG, _UNSUPPORTED_ARCHITECTURE,
 *   _UNSUPPORTED_ADAPTER, _TENSOR_MISSING, _TENSOR_SHAPE, _TENSOR_DTYPE, _TENSOR_VALUE,
 *   _TOKENIZER, _DEVICE, _NETWORK, _CANCELLED, naming the file, tensor or option.
 */
export async function loadModel(model: string, options: LoadModelOptions = {}): Promise<Model> {
  checkText('loadModel', 'a folder or hub id', model);
  checkLoadOptions(options);
  const settings = nativeOptions(options);
  const places = await resolvePlaces(model, options);
  const { folder, adapterFolder, label, id, revision } = places;
  const adapter = adapterFolder === undefined ? {} : { adapter: adapterFolder };
  const [handle, extras] = await Promise.all([
    runJob((addon) => addon.loadModel({ ...settings, folder, ...adapter }), options),
    textParts(places.tokenizerFolder),
  ]);
  const { adapterFolder: applied, ...core } = callNative((addon) => addon.modelInfo(handle));
  const info: ModelInfo = {
    ...core,
    folder,
    label,
    id,
    sharePrefix: settings.sharePrefix,
    ...(applied === '' ? {} : { adapterFolder: applied }),
    ...(revision === undefined ? {} : { revision }),
  };
  return new Model({ handle, info, checkValues: settings.checkValues, ...extras });
}
