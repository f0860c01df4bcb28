// The ops of the separate device but attention: addresses translated, then the CPU's op with the
// same threads and kernels. Defining them here keeps the linked stubs of no_cuda/ out.
#include <algorithm>
#include <vector>

#include "ops/backends.h"
#include "ops/linear_range.h"
#include "separate/translate.h"

namespace headspark {
namespace {

using test::bytes_of;
using test::extent;
using test::on_host;

std::int64_t width_of(const NormWeight* norm) {
  return static_cast<std::int64_t>(norm->weight.size());
}

/// Rows that an index reaches.
std::int64_t rows_of(const std::int32_t* index, std::int64_t count) {
  return std::int64_t{1} + *std::max_element(index, index + count);
}

/// Those of MetricForward and of LogitDiffForward.
template <typename Params>
void translate_token_sets(Params& p) {
  p.correct_begin = bytes_of(p.correct_begin, p.rows + 1);
  p.incorrect_begin = bytes_of(p.incorrect_begin, p.rows + 1);
  if (p.correct_begin != nullptr) p.correct = bytes_of(p.correct, p.correct_begin[p.rows]);
  if (p.incorrect_begin != nullptr) p.incorrect = bytes_of(p.incorrect, p.incorrect_begin[p.rows]);
}

MetricForward translated(MetricForward p) {
  p.logits = bytes_of(p.logits, p.rows * p.vocab);
  p.clean_row = bytes_of(p.clean_row, p.rows);
  const std::int64_t clean_rows = p.clean_row != nullptr ? p.clean_rows : p.rows;
  p.clean_logits = bytes_of(p.clean_logits, clean_rows * p.vocab);
  translate_token_sets(p);
  return p;
}

LogitDiffForward translated(LogitDiffForward p) {
  translate_token_sets(p);
  return p;
}

Rotary translated(Rotary p) {
  p.positions = bytes_of(p.positions, p.tokens);
  const std::int64_t first = p.tokens * p.heads * p.head_dim;
  const std::int64_t second = p.tokens * p.second_heads * p.head_dim;
  p.x = bytes_of(p.x, first);
  p.x_from = bytes_of(p.x_from, first);
  p.second = bytes_of(p.second, second);
  p.second_from = bytes_of(p.second_from, second);
  return p;
}

}  // namespace

void linear_forward_cuda(const Context& context, const LinearForward& params) {
  LinearForward p = params;
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  p.x = bytes_of(p.x, extent(p.tokens, p.x_stride, range.in()));
  p.y = bytes_of(p.y, extent(p.tokens, p.y_stride, range.out()));
  p.residual = bytes_of(p.residual, extent(p.tokens, p.y_stride, range.out()));
  linear_forward(on_host(context), p);
}

void linear_backward_cuda(const Context& context, const LinearBackward& params) {
  LinearBackward p = params;
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  p.d_y = bytes_of(p.d_y, extent(p.tokens, p.d_y_stride, range.out()));
  p.d_x = bytes_of(p.d_x, extent(p.tokens, p.d_x_stride, range.in()));
  linear_backward(on_host(context), p);
}

void head_input_backward_cuda(const Context& context, const HeadInputBackward& params) {
  HeadInputBackward p = params;
  const std::int64_t rows = p.copies * p.tokens;
  p.x = bytes_of(p.x, rows * p.in());
  for (HeadInputBackward::Projection& projection : p.projections) {
    projection.projected = bytes_of(projection.projected, rows * projection.weight->out());
    projection.d = bytes_of(projection.d, rows * projection.width(p.head_dim));
    projection.y =
        bytes_of(projection.y, extent(projection.heads, projection.y_stride, p.tokens * p.in()));
  }
  head_input_backward(on_host(context), p);
}

void norm_forward_cuda(const Context& context, const NormForward& params) {
  NormForward p = params;
  p.x = bytes_of(p.x, extent(p.rows, p.x_stride, width_of(p.norm)));
  p.y = bytes_of(p.y, extent(p.rows, p.y_stride, width_of(p.norm)));
  norm_forward(on_host(context), p);
}

void norm_backward_cuda(const Context& context, const NormBackward& params) {
  NormBackward p = params;
  p.x = bytes_of(p.x, extent(p.rows, p.x_stride, width_of(p.norm)));
  p.d_y = bytes_of(p.d_y, extent(p.rows, p.d_y_stride, width_of(p.norm)));
  p.d_x = bytes_of(p.d_x, extent(p.rows, p.d_x_stride, width_of(p.norm)));
  norm_backward(on_host(context), p);
}

void norm_scale_cuda(const Context& context, const NormScale& params) {
  NormScale p = params;
  p.x = bytes_of(p.x, p.rows * width_of(p.norm));
  p.z = bytes_of(p.z, p.rows * p.parts_width);
  p.y = bytes_of(p.y, p.rows * p.parts_width);
  norm_scale(on_host(context), p);
}

void rotary_forward_cuda(const Context& context, const Rotary& params) {
  rotary_forward(on_host(context), translated(params));
}

void rotary_backward_cuda(const Context& context, const Rotary& params) {
  rotary_backward(on_host(context), translated(params));
}

void mlp_activation_forward_cuda(const Context& context, const MlpActivationForward& params) {
  MlpActivationForward p = params;
  p.gate = bytes_of(p.gate, p.count);
  p.up = bytes_of(p.up, p.count);
  p.y = bytes_of(p.y, p.count);
  mlp_activation_forward(on_host(context), p);
}

void mlp_activation_backward_cuda(const Context& context, const MlpActivationBackward& params) {
  MlpActivationBackward p = params;
  p.gate = bytes_of(p.gate, p.count);
  p.up = bytes_of(p.up, p.count);
  p.d_y = bytes_of(p.d_y, p.count);
  p.d_gate = bytes_of(p.d_gate, p.count);
  p.d_up = bytes_of(p.d_up, p.count);
  mlp_activation_backward(on_host(context), p);
}

void mlp_forward_cuda(const Context& context, const MlpForward& params) {
  MlpForward p = params;
  const std::int64_t narrow = p.tokens * p.weights.up->in();
  const std::int64_t wide = p.tokens * p.weights.up->out();
  p.x = bytes_of(p.x, narrow);
  p.residual = bytes_of(p.residual, narrow);
  p.y = bytes_of(p.y, narrow);
  p.out = bytes_of(p.out, narrow);
  p.gate = bytes_of(p.gate, wide);
  p.up = bytes_of(p.up, wide);
  p.normed = bytes_of(p.normed, narrow);
  p.hidden = bytes_of(p.hidden, wide);
  mlp_forward(on_host(context), p);
}

void mlp_backward_cuda(const Context& context, const MlpBackward& params) {
  MlpBackward p = params;
  const std::int64_t narrow = p.tokens * p.weights.up->in();
  const std::int64_t wide = p.tokens * p.weights.up->out();
  p.x = bytes_of(p.x, narrow);
  p.gate = bytes_of(p.gate, wide);
  p.up = bytes_of(p.up, wide);
  p.d_y = bytes_of(p.d_y, narrow);
  p.d_x = bytes_of(p.d_x, narrow);
  p.d_residual = bytes_of(p.d_residual, narrow);
  p.d_hidden = bytes_of(p.d_hidden, wide);
  p.d_up = bytes_of(p.d_up, wide);
  p.d_normed = bytes_of(p.d_normed, narrow);
  mlp_backward(on_host(context), p);
}

void projections_forward_cuda(const Context& context, const ProjectionsForward& params) {
  ProjectionsForward p = params;
  p.x = bytes_of(p.x, p.tokens * width_of(p.norm));
  p.normed = bytes_of(p.normed, p.tokens * width_of(p.norm));
  for (auto& output : p.outputs) output.y = bytes_of(output.y, p.tokens * output.weight->out());
  projections_forward(on_host(context), p);
}

void logit_diff_forward_cuda(const Context& context, const LogitDiffForward& params) {
  LogitDiffForward p = translated(params);
  p.x = bytes_of(p.x, p.rows * p.unembedding->in());
  p.value = bytes_of(p.value, p.rows);
  logit_diff_forward(on_host(context), p);
}

void logit_diff_backward_cuda(const Context& context, const LogitDiffBackward& params) {
  LogitDiffBackward p = params;
  p.forward = translated(p.forward);
  p.d_value = bytes_of(p.d_value, p.forward.rows);
  p.d_x = bytes_of(p.d_x, p.forward.rows * p.forward.unembedding->in());
  logit_diff_backward(on_host(context), p);
}

void embedding_forward_cuda(const Context& context, const EmbeddingForward& params) {
  EmbeddingForward p = params;
  p.indices = bytes_of(p.indices, p.tokens);
  p.y = bytes_of(p.y, p.tokens * p.table->cols);
  embedding_forward(on_host(context), p);
}

void metric_forward_cuda(const Context& context, const MetricForward& params) {
  MetricForward p = translated(params);
  p.value = bytes_of(p.value, p.rows);
  metric_forward(on_host(context), p);
}

void metric_backward_cuda(const Context& context, const MetricBackward& params) {
  MetricBackward p = params;
  p.forward = translated(p.forward);
  p.d_value = bytes_of(p.d_value, p.forward.rows);
  p.d_logits = bytes_of(p.d_logits, p.forward.rows * p.forward.vocab);
  metric_backward(on_host(context), p);
}

void edge_contraction_cuda(const Context& context, std::span<const EdgeContraction> contractions) {
  std::vector<EdgeContraction> translated;
  for (EdgeContraction p : contractions) {
    p.delta = bytes_of(p.delta, extent(p.sources, p.delta_stride, p.length));
    p.gradient = bytes_of(p.gradient, extent(p.destinations, p.gradient_stride, p.length));
    p.scores = bytes_of(p.scores, extent(p.sources, p.scores_stride, p.destinations));
    translated.push_back(p);
  }
  edge_contraction(on_host(context), translated);
}

void flow_proximity_cuda(const Context& context, const FlowProximity& params) {
  FlowProximity p = params;
  p.input = bytes_of(p.input, p.tokens * p.width);
  p.write = bytes_of(p.write, extent(p.sources, p.write_stride, p.tokens * p.width));
  p.scores = bytes_of(p.scores, p.pairs * p.sources);
  p.begin = bytes_of(p.begin, p.pairs + 1);
  flow_proximity(on_host(context), p);
}

void edge_sum_cuda(const Context& context, std::span<const EdgeSum> sums) {
  std::vector<EdgeSum> translated;
  for (EdgeSum p : sums) {
    p.mask = bytes_of(p.mask, extent(p.sources, p.mask_stride, p.destinations));
    std::int64_t length = p.length;
    if (p.index != nullptr) {
      const std::int64_t tokens = p.length / p.width;
      p.index = bytes_of(p.index, tokens);
      length = rows_of(p.index, tokens) * p.width;
    }
    p.difference = bytes_of(p.difference, extent(p.sources, p.difference_stride, length));
    p.base = bytes_of(p.base, length);
    p.y = bytes_of(p.y, extent(p.destinations, p.y_stride, length));
    translated.push_back(p);
  }
  edge_sum(on_host(context), translated);
}

void gather_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y) {
  index = bytes_of(index, count);
  gather_rows(on_host(context), count, width, index, bytes_of(x, rows_of(index, count) * width),
              bytes_of(y, count * width));
}

void scatter_add_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                           const std::int32_t* index, const float* x, float* y) {
  index = bytes_of(index, count);
  scatter_add_rows(on_host(context), count, width, index, bytes_of(x, count * width),
                   bytes_of(y, rows_of(index, count) * width));
}

void combine_cuda(const Context& context, const Combine& params) {
  Combine p = params;
  p.x = bytes_of(p.x, p.count);
  p.y = bytes_of(p.y, p.count);
  p.base = bytes_of(p.base, p.count);
  combine(on_host(context), p);
}

void interpolate_cuda(const Context& context, const Interpolate& params) {
  Interpolate p = params;
  p.alpha = bytes_of(p.alpha, p.rows);
  p.clean = bytes_of(p.clean, p.rows * p.width);
  p.corrupted = bytes_of(p.corrupted, p.rows * p.width);
  p.y = bytes_of(p.y, p.rows * p.width);
  interpolate(on_host(context), p);
}

void sum_blocks_cuda(const Context& context, const SumBlocks& params) {
  SumBlocks p = params;
  p.x = bytes_of(p.x, p.groups * p.steps * p.block);
  p.y = bytes_of(p.y, p.groups * p.block);
  sum_blocks(on_host(context), p);
}

void copy_blocks_cuda(const Context& context, const CopyBlocks& params) {
  const float* const* from = bytes_of(params.from, params.count);
  float* const* to = bytes_of(params.to, params.count);
  std::vector<const float*> host_from;
  std::vector<float*> host_to;
  for (std::int64_t i = 0; i < params.count; ++i) {
    host_from.push_back(bytes_of(from[i], params.width));
    host_to.push_back(bytes_of(to[i], params.width));
  }
  copy_blocks(on_host(context), {params.count, params.width, host_from.data(), host_to.data()});
}

void sum_rows_cuda(const Context& context, const SumRows& params) {
  SumRows p = params;
  p.slots = bytes_of(p.slots, p.rows);
  p.x = bytes_of(p.x, p.rows * p.width);
  p.sums = bytes_of(p.sums, p.slot_count * p.width);
  sum_rows(on_host(context), p);
}

void row_norms_cuda(const Context& context, const RowNorms& params) {
  RowNorms p = params;
  p.index = bytes_of(p.index, p.rows);
  p.x = bytes_of(p.x, (p.index != nullptr ? rows_of(p.index, p.rows) : p.rows) * p.width);
  p.norms = bytes_of(p.norms, p.rows);
  row_norms(on_host(context), p);
}

void sample_rows_cuda(const Context& context, const SampleRows& params) {
  SampleRows p = params;
  p.logits = bytes_of(p.logits, extent(p.rows, p.stride, p.vocab));
  p.draws = bytes_of(p.draws, p.rows);
  std::int64_t seen = 0;
  for (std::int64_t row = 0; row < p.rows; ++row) {
    seen = std::max(seen, p.draws[row].seen_begin + p.draws[row].seen_count);
  }
  p.seen = bytes_of(p.seen, seen);
  p.drawn = bytes_of(p.drawn, p.rows);
  sample_rows(on_host(context), p);
}

void argmax_rows_cuda(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                      std::int32_t* index) {
  argmax_rows(on_host(context), rows, width, bytes_of(x, rows * width), bytes_of(index, rows));
}

}  // namespace headspark
