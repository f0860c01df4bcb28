// The shapes that make-checkpoint.mjs knows by name, and the config.json of a shape in Hugging
// Face's form (the keys of transformers 4 and 5 side by side; headspark reads both).
import { UserError } from '../user-error.mjs';

export const ARCHITECTURES = [
  'llama',
  'qwen2',
  'qwen3',
  'olmo2',
  'gemma3_text',
  'gpt2',
  'gpt_neox',
];
export const DTYPES = { bf16: 'bfloat16', f32: 'float32' };

/** Sizes of the published checkpoints of these names. */
export const SHAPES = {
  'smollm2-135m': {
    architecture: 'llama',
    layers: 30,
    heads: 9,
    kvHeads: 3,
    hidden: 576,
    intermediate: 1536,
    vocab: 49152,
    headDim: 64,
    maxPositions: 8192,
    ropeTheta: 100000,
    normEpsilon: 1e-5,
    tied: true,
  },
  'qwen2.5-0.5b': {
    architecture: 'qwen2',
    layers: 24,
    heads: 14,
    kvHeads: 2,
    hidden: 896,
    intermediate: 4864,
    vocab: 151936,
    headDim: 64,
    maxPositions: 32768,
    ropeTheta: 1000000,
    normEpsilon: 1e-6,
    tied: true,
  },
  'qwen2.5-1.5b': {
    architecture: 'qwen2',
    layers: 28,
    heads: 12,
    kvHeads: 2,
    hidden: 1536,
    intermediate: 8960,
    vocab: 151936,
    headDim: 128,
    maxPositions: 131072,
    ropeTheta: 1000000,
    normEpsilon: 1e-6,
    tied: true,
  },
  'olmo2-1b': {
    architecture: 'olmo2',
    layers: 16,
    heads: 16,
    kvHeads: 16,
    hidden: 2048,
    intermediate: 8192,
    vocab: 100352,
    headDim: 128,
    maxPositions: 4096,
    ropeTheta: 500000,
    normEpsilon: 1e-6,
    tied: false,
  },
  'gemma3-1b': {
    architecture: 'gemma3_text',
    layers: 26,
    heads: 4,
    kvHeads: 1,
    hidden: 1152,
    intermediate: 6912,
    vocab: 262144,
    headDim: 256,
    maxPositions: 32768,
    ropeTheta: 1000000,
    normEpsilon: 1e-6,
    tied: true,
  },
  'qwen2.5-7b': {
    architecture: 'qwen2',
    layers: 28,
    heads: 28,
    kvHeads: 4,
    hidden: 3584,
    intermediate: 18944,
    vocab: 152064,
    headDim: 128,
    maxPositions: 131072,
    ropeTheta: 1000000,
    normEpsilon: 1e-6,
    tied: false,
  },
};

const OTHERWISE = { maxPositions: 2048, ropeTheta: 10000, normEpsilon: 1e-5, tied: true };
const SIZES = ['layers', 'heads', 'kvHeads', 'hidden', 'intermediate', 'vocab', 'headDim'];
const optionOf = (key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function checkSizes(shape) {
  for (const key of [...SIZES, 'maxPositions']) {
    const value = shape[key];
    if (value === undefined) {
      throw new UserError(`${optionOf(key)} is missing; give it or a --shape.`);
    }
    if (!Number.isSafeInteger(value) || value < 1 || value > 2 ** 24) {
      throw new UserError(`${optionOf(key)} must be a whole number from 1 to ${2 ** 24}.`);
    }
  }
  if (shape.heads % shape.kvHeads !== 0) {
    throw new UserError(`--heads ${shape.heads} is not a multiple of --kv-heads ${shape.kvHeads}.`);
  }
  if (shape.headDim % 2 !== 0) throw new UserError('--head-dim must be even, for rotary.');
}

/** gpt2 and gpt_neox have one key/value head per head and heads that fill the hidden size. */
function checkArchitecture(shape) {
  if (!ARCHITECTURES.includes(shape.architecture)) {
    const known = ARCHITECTURES.join(', ');
    throw new UserError(`--architecture ${shape.architecture} is unknown; these are: ${known}.`);
  }
  if (shape.architecture !== 'gpt2' && shape.architecture !== 'gpt_neox') return;
  if (shape.kvHeads !== shape.heads) {
    throw new UserError(`${shape.architecture} has no --kv-heads other than --heads.`);
  }
  if (shape.heads * shape.headDim !== shape.hidden) {
    throw new UserError(`${shape.architecture} needs --heads times --head-dim equal to --hidden.`);
  }
}

/**
 * A complete, checked shape: the named one (if any) with `overrides` in its place.
 * @throws UserError naming the option that is missing or does not fit.
 */
export function resolveShape(name, overrides = {}) {
  if (name !== undefined && !Object.hasOwn(SHAPES, name)) {
    throw new UserError(
      `--shape ${name} is unknown; these are: ${Object.keys(SHAPES).join(', ')}.`,
    );
  }
  const given = Object.fromEntries(Object.entries(overrides).filter(([, v]) => v !== undefined));
  const shape = { architecture: 'llama', ...OTHERWISE, ...SHAPES[name], ...given };
  // What follows from an overridden size follows it, unless it was given as well.
  if (given.kvHeads === undefined && (name === undefined || given.heads !== undefined)) {
    shape.kvHeads = shape.heads;
  }
  const headsChanged = given.heads !== undefined || given.hidden !== undefined;
  if (given.headDim === undefined && (name === undefined || headsChanged)) {
    shape.headDim = Math.floor(shape.hidden / shape.heads);
  }
  checkSizes(shape);
  checkArchitecture(shape);
  return shape;
}

const CLASSES = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  olmo2: 'Olmo2ForCausalLM',
  gemma3_text: 'Gemma3ForCausalLM',
  gpt2: 'GPT2LMHeadModel',
  gpt_neox: 'GPTNeoXForCausalLM',
};

function commonConfig(shape, dtype) {
  return {
    architectures: [CLASSES[shape.architecture]],
    model_type: shape.architecture,
    torch_dtype: DTYPES[dtype],
    tie_word_embeddings: shape.tied,
    vocab_size: shape.vocab,
    // Random weights have no special tokens; ids inside every vocabulary keep transformers quiet.
    bos_token_id: 0,
    eos_token_id: 0,
  };
}

function gpt2Config(shape) {
  return {
    n_layer: shape.layers,
    n_head: shape.heads,
    n_embd: shape.hidden,
    n_inner: shape.intermediate,
    n_positions: shape.maxPositions,
    layer_norm_epsilon: shape.normEpsilon,
    activation_function: 'gelu_new',
    embd_pdrop: 0,
    attn_pdrop: 0,
    resid_pdrop: 0,
  };
}

function decoderConfig(shape) {
  const sizes = {
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    max_position_embeddings: shape.maxPositions,
  };
  if (shape.architecture === 'gpt_neox') {
    return {
      ...sizes,
      layer_norm_eps: shape.normEpsilon,
      hidden_act: 'gelu',
      rotary_emb_base: shape.ropeTheta,
      rotary_pct: 0.25,
      use_parallel_residual: true,
      attention_bias: true,
    };
  }
  return {
    ...sizes,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    rms_norm_eps: shape.normEpsilon,
    hidden_act: 'silu',
    rope_theta: shape.ropeTheta,
    ...(shape.architecture === 'qwen2' ? {} : { attention_bias: false }),
    ...(shape.architecture === 'llama' ? { mlp_bias: false } : { use_sliding_window: false }),
  };
}

/** As the 1B has it: every sixth layer sees all, the others 512 tokens. */
function gemma3Config(shape) {
  return {
    ...decoderConfig(shape),
    hidden_activation: 'gelu_pytorch_tanh',
    query_pre_attn_scalar: shape.headDim,
    rope_local_base_freq: 10000,
    sliding_window: 512,
    sliding_window_pattern: 6,
  };
}

/** adapter_config.json of a LoRA adapter that scales its terms by 2. */
export function makeAdapterConfig(shape, rank, modules) {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: rank,
    lora_alpha: 2 * rank,
    bias: 'none',
    fan_in_fan_out: shape.architecture === 'gpt2',
    target_modules: modules,
  };
}

/** config.json of a resolved shape. */
export function makeConfig(shape, dtype) {
  const makers = { gpt2: gpt2Config, gemma3_text: gemma3Config };
  const own = (makers[shape.architecture] ?? decoderConfig)(shape);
  return { ...commonConfig(shape, dtype), ...own };
}
