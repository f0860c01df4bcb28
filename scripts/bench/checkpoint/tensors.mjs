// The tensors of a shape: names and layouts as transformers saves them, and the distribution each
// is drawn from. Weights that read a normed stream get variance 1 / inputs, those that write to the
// residual 1 / (2 * layers * inputs), so that activations neither vanish nor grow with depth.

const layerPrefix = { gpt2: 'transformer.h.', gpt_neox: 'gpt_neox.layers.' };

/** One matrix of [out, in] with its deviation; `transposed` for gpt2's Conv1D. */
function matrix(name, [out, input], { gain = 1, transposed = false } = {}) {
  const shape = transposed ? [input, out] : [out, input];
  return { name: `${name}.weight`, shape, mean: 0, deviation: gain / Math.sqrt(input) };
}

const norm = (name, width, mean = 1) => ({ name, shape: [width], mean, deviation: 0.05 });
/** Gemma stores what is added to 1. */
const normMean = (architecture) => (architecture === 'gemma3_text' ? 0 : 1);
const bias = (name, width) => ({ name, shape: [width], mean: 0, deviation: 0.02 });

function llamaLayer(shape, prefix, writeGain) {
  const { hidden, intermediate, architecture, headDim } = shape;
  const [queries, keys] = [shape.heads * headDim, shape.kvHeads * headDim];
  const attention = `${prefix}self_attn.`;
  const projections = [
    ['q_proj', queries],
    ['k_proj', keys],
    ['v_proj', keys],
  ];
  const qwen2 = architecture === 'qwen2';
  const gemma = architecture === 'gemma3_text';
  const after = architecture === 'olmo2' || gemma; // norms after attention and MLP
  const mean = normMean(architecture);
  const headNorms = {
    gemma3_text: { q_norm: headDim, k_norm: headDim },
    qwen3: { q_norm: headDim, k_norm: headDim },
    olmo2: { q_norm: queries, k_norm: keys },
  };
  return [
    ...(after && !gemma ? [] : [norm(`${prefix}input_layernorm.weight`, hidden, mean)]),
    ...projections.map(([name, width]) => matrix(attention + name, [width, hidden])),
    ...(qwen2 ? projections.map(([name, width]) => bias(`${attention}${name}.bias`, width)) : []),
    ...Object.entries(headNorms[architecture] ?? {}).map(([name, width]) =>
      norm(`${attention}${name}.weight`, width, mean),
    ),
    matrix(`${attention}o_proj`, [hidden, queries], { gain: writeGain }),
    norm(`${prefix}post_attention_layernorm.weight`, hidden, mean),
    ...(gemma ? [norm(`${prefix}pre_feedforward_layernorm.weight`, hidden, mean)] : []),
    matrix(`${prefix}mlp.gate_proj`, [intermediate, hidden]),
    matrix(`${prefix}mlp.up_proj`, [intermediate, hidden]),
    matrix(`${prefix}mlp.down_proj`, [hidden, intermediate], { gain: writeGain }),
    ...(after ? [norm(`${prefix}post_feedforward_layernorm.weight`, hidden, mean)] : []),
  ];
}

/** gpt2 and gpt_neox: LayerNorm, biases everywhere, one fused projection for q, k and v. */
function classicLayer(shape, prefix, writeGain) {
  const transposed = shape.architecture === 'gpt2';
  const { hidden, intermediate } = shape;
  const [norms, qkv, output, up, down] = transposed
    ? [['ln_1', 'ln_2'], 'attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj']
    : [
        ['input_layernorm', 'post_attention_layernorm'],
        'attention.query_key_value',
        'attention.dense',
        'mlp.dense_h_to_4h',
        'mlp.dense_4h_to_h',
      ];
  const linear = (name, out, input, gain) => [
    matrix(prefix + name, [out, input], { gain, transposed }),
    bias(`${prefix}${name}.bias`, out),
  ];
  return [
    ...norms.flatMap((name) => [
      norm(`${prefix}${name}.weight`, hidden),
      bias(`${prefix}${name}.bias`, hidden),
    ]),
    ...linear(qkv, 3 * hidden, hidden, 1),
    ...linear(output, hidden, hidden, writeGain),
    ...linear(up, intermediate, hidden, 1),
    ...linear(down, hidden, intermediate, writeGain),
  ];
}

function outsideLayers(shape) {
  const { architecture, hidden, vocab } = shape;
  const names = {
    gpt2: ['transformer.wte', 'transformer.ln_f', 'lm_head'],
    gpt_neox: ['gpt_neox.embed_in', 'gpt_neox.final_layer_norm', 'embed_out'],
  }[architecture] ?? ['model.embed_tokens', 'model.norm', 'lm_head'];
  const [embedding, finalNorm, unembedding] = names;
  const classic = architecture in layerPrefix;
  return [
    matrix(embedding, [vocab, hidden]),
    ...(architecture === 'gpt2' ? [matrix('transformer.wpe', [shape.maxPositions, hidden])] : []),
    norm(`${finalNorm}.weight`, hidden, normMean(architecture)),
    ...(classic ? [bias(`${finalNorm}.bias`, hidden)] : []),
    ...(shape.tied ? [] : [matrix(unembedding, [vocab, hidden])]),
  ];
}

/** Every tensor of a checkpoint of this shape: { name, shape, mean, deviation }. */
export function listTensors(shape) {
  const start = layerPrefix[shape.architecture] ?? 'model.layers.';
  const makeLayer = shape.architecture in layerPrefix ? classicLayer : llamaLayer;
  const writeGain = 1 / Math.sqrt(2 * shape.layers);
  const tensors = outsideLayers(shape);
  for (let layer = 0; layer < shape.layers; layer++) {
    tensors.push(...makeLayer(shape, `${start}${layer}.`, writeGain));
  }
  return tensors;
}

/** The linear layers of the blocks: { module, out, input }. */
function blockLayers(shape) {
  const outside = new Set(outsideLayers(shape).map(({ name }) => name));
  const transposed = shape.architecture === 'gpt2';
  return listTensors(shape)
    .filter((tensor) => tensor.shape.length === 2 && !outside.has(tensor.name))
    .map(({ name, shape: [rows, columns] }) => ({
      module: name.replace(/\.weight$/, ''),
      out: transposed ? columns : rows,
      input: transposed ? rows : columns,
    }));
}

/** Names of the linear layers, as a LoRA adapter targets them. */
export function targetModules(shape) {
  return [...new Set(blockLayers(shape).map(({ module }) => module.split('.').at(-1)))];
}

/**
 * Every tensor of a LoRA adapter of all linear layers of the blocks, as PEFT saves it; what it adds is
 * about a tenth of what they give.
 */
export function listAdapterTensors(shape, rank) {
  const factor = (name, sizes, deviation) => ({
    name: `base_model.model.${name}.weight`,
    shape: sizes,
    mean: 0,
    deviation,
  });
  return blockLayers(shape).flatMap(({ module, out, input }) => [
    factor(`${module}.lora_A`, [rank, input], 1 / Math.sqrt(input)),
    factor(`${module}.lora_B`, [out, rank], 0.05 / Math.sqrt(rank)),
  ]);
}
