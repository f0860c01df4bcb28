// What runs under compute-sanitizer: few cases of the suites and two small computations, which between
// them run every kernel. `kernels` are those of each, as "file kernel", counted on the emulated device
// (HEADSPARK_DEVICE_COUNTS); test/unit/bench/gpu-parts.test.ts compares them with the sources.
import path from 'node:path';
import { cacheFolder, pairsFile } from '../programs.mjs';

const products = ['gemm gemm_kernel', 'term_gemm term_gemm_kernel'];
const terms = ['term_rows split_rows_kernel', 'value_terms split_values_kernel'];
const attention = [
  'attention_forward forward_kernel',
  'attention_backward d_raw_kernel',
  'attention_backward backward_kernel',
  'head_terms split_heads_kernel',
];
const paged = ['paged_attention_cuda store_kernel', 'paged_forward paged_kernel'];
const decode = [
  'decode_attention decode_kernel',
  'decode_attention merge_kernel',
  'decode_plan common_pages_kernel',
  'decode_plan leaders_kernel',
];

/** A checkpoint whose products of decode steps are deep enough to be made in parts. */
export const SMALL_SIZES = {
  layers: 1,
  heads: 2,
  'kv-heads': 1,
  hidden: 64,
  intermediate: 2048,
  vocab: 304,
  'max-positions': 1024,
};
export const smallFolder = () => path.join(cacheFolder(), 'models', 'sanitized');

const SMALL = ['--rounds', '1', '--no-verify', '--precision', 'fast', '--device', 'cuda:0'];
const decodeSizes = ['--rows', '3', '--variants', '2', '--prompt', '4', '--steps', '2'];

/** What costs most first. { name, kernels, and for a computation: program, args() }. */
export const SANITIZED = [
  {
    name: 'decoding of a small model',
    program: 'bench_decode',
    args: () => ['--model', smallFolder(), ...decodeSizes, '--memory', '64', ...SMALL],
    kernels: [
      ...paged,
      ...decode,
      'product_sums finish_kernel',
      'sample_rows_cuda sample_rows_kernel',
    ],
  },
  {
    name: 'EAP-IG of a small model',
    program: 'bench_model',
    args: async () => {
      const { file } = await pairsFile('mixed', SMALL_SIZES.vocab);
      return [smallFolder(), '--pairs', file, '--filter', 'eap-ig', '--quick', ...SMALL];
    },
    kernels: ['attention_cuda sum_groups_kernel', ...attention],
  },
  { name: 'attention with gates of every kind', kernels: attention },
  { name: 'attention reads prefixes', kernels: attention },
  { name: 'rows that share pages: head widths and groups', kernels: decode },
  {
    name: 'a decode step stores its keys and values in the attention itself',
    kernels: [...decode, ...paged],
  },
  { name: 'paged attention with gates of every kind', kernels: paged },
  {
    name: 'edge_contraction of bf16 has the bits of fp32 in fast',
    kernels: [
      'bf16_contraction bf16_contraction_kernel',
      'edge_contraction_cuda contraction_kernel',
      'edge_contraction_cuda sum_pieces_kernel',
    ],
  },
  {
    name: 'mlp agrees with the specification',
    kernels: ['mlp_cuda activated_kernel', 'mlp_cuda gradient_kernel', ...products, ...terms],
  },
  {
    name: 'linear slices of both sides, one column, one row, nothing',
    kernels: [...products, ...terms, 'low_rank join_sets_kernel'],
  },
  {
    name: 'projections agree with the specification',
    kernels: ['norm_cuda terms_kernel', ...products, ...terms],
  },
  {
    name: 'head_input_backward: copies, shared heads, all norms, biases and low rank',
    kernels: [
      'head_input_cuda moments_kernel',
      'head_input_cuda sum_kernel',
      'head_input_cuda centre_kernel',
      'head_input_cuda pull_back_kernel',
    ],
  },
  {
    name: "head_input_backward: a token's result does not depend on its neighbours",
    kernels: ['head_products head_products_kernel'],
  },
  {
    name: 'norm agrees with the specification',
    kernels: ['norm_cuda forward_kernel', 'norm_cuda backward_kernel'],
  },
  { name: 'norm_scale agrees with the specification', kernels: ['norm_cuda scale_kernel'] },
  {
    name: 'metrics agree with the specification',
    kernels: ['metric_cuda forward_kernel', 'metric_cuda backward_kernel'],
  },
  {
    name: 'logit_diff agrees with the metric of all logits',
    kernels: ['logit_diff_cuda forward_kernel', 'logit_diff_cuda backward_kernel'],
  },
  {
    name: 'mlp_activation agrees with the specification',
    kernels: [
      'mlp_activation_cuda activation_forward_kernel',
      'mlp_activation_cuda activation_backward_kernel',
    ],
  },
  {
    name: 'flow_proximity agrees with the specification',
    kernels: [
      'flow_proximity_cuda proximity_kernel',
      'flow_proximity_cuda proximity_shares_kernel',
      'flow_proximity_cuda sum_tokens_kernel',
    ],
  },
  {
    name: "edge_sum adds the differences of the circuit's edges to the base",
    kernels: ['edge_sum_cuda edge_sum_kernel'],
  },
  {
    name: 'argmax_rows finds the first of the largest',
    kernels: ['argmax_cuda argmax_kernel'],
  },
  {
    name: 'attention_pattern is the softmax of the scaled scores',
    kernels: ['attention_pattern_cuda pattern_kernel'],
  },
  { name: 'rotary agrees with the specification', kernels: ['rotary_cuda rotary_kernel'] },
  { name: 'embedding copies exactly', kernels: ['embedding_cuda embedding_kernel'] },
  {
    name: 'copy_blocks copies every block and only those',
    kernels: ['copy_blocks_cuda copy_blocks_kernel'],
  },
  {
    name: "sample_rows: a row's token is the same alone, in company, and with any threads",
    kernels: ['sample_rows_cuda sample_rows_kernel'],
  },
  {
    name: 'gather_rows and scatter_add_rows move whole rows',
    kernels: ['rows_cuda gather_kernel', 'rows_cuda scatter_add_kernel'],
  },
  {
    name: 'interpolate agrees with the specification and hits both ends exactly',
    kernels: ['rows_cuda interpolate_kernel'],
  },
  {
    name: 'ops that write bf16 round what they write as fp32',
    kernels: ['rows_cuda combine_kernel', 'rows_cuda sum_blocks_kernel'],
  },
  {
    name: 'sum_rows adds rows in order, in double, whatever calls they are cut into',
    kernels: ['rows_cuda sum_all_rows_kernel', 'rows_cuda sum_slot_rows_kernel'],
  },
  {
    name: 'row_norms of all rows and of some, in double',
    kernels: ['rows_cuda row_norms_kernel'],
  },
];
