// The CPU ops over a kernel table (cpu/kernel_table.h): threading and workspaces here, inner loops
// there. Same contracts as the specification in src/ops/*_cpu.cc, in fp32.
#pragma once

#include <span>

#include "cpu/kernel_table.h"
#include "headspark/ops/linear_each.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/projections.h"
#include "ops/backends.h"

namespace headspark {

/// Layers that read the same rows.
void linear_forward_fast(const Context& context, std::span<const LinearForward> layers);
void linear_forward_each_fast(const Context& context, const LinearEach& params);
void linear_backward_fast(const Context& context, const LinearBackward& params);
void attention_forward_fast(const Context& context, const AttentionForward& params);
void attention_backward_fast(const Context& context, const AttentionBackward& params);
void attention_pattern_fast(const Context& context, const AttentionPattern& params);
void head_input_backward_fast(const Context& context, const HeadInputBackward& params);
void paged_attention_fast(const Context& context, const PagedAttention& params);
/// The kernels' view of a norm; x, d_y and out are the caller's.
NormRow norm_row(const NormWeight& norm);
/// norm_forward on this thread alone.
void norm_rows(const KernelTable& kernels, const NormForward& params);
void norm_forward_fast(const Context& context, const NormForward& params);
void norm_backward_fast(const Context& context, const NormBackward& params);
void norm_scale_fast(const Context& context, const NormScale& params);
void rotary_fast(const Context& context, const Rotary& params, float direction);
/// Whether a context runs the ops of this header.
inline bool has_fast_kernels(const Context& context) {
  return context.on_cpu() && context.isa != Isa::specification;
}

/// Block of rows by block of rows, activations in L2. False, with nothing done, where that does not
/// pay: few rows for each thread.
bool mlp_forward_in_blocks(const Context& context, const MlpForward& params);
bool mlp_backward_in_blocks(const Context& context, const MlpBackward& params);
bool projections_forward_in_blocks(const Context& context, const ProjectionsForward& params);
bool projections_backward_in_blocks(const Context& context, const ProjectionsBackward& params);
void mlp_activation_forward_fast(const Context& context, const MlpActivationForward& params);
void mlp_activation_backward_fast(const Context& context, const MlpActivationBackward& params);
void argmax_rows_fast(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                      std::int32_t* index);
void embedding_forward_fast(const Context& context, const EmbeddingForward& params);
/// In fp32, to double at the end.
double log_sum_exp(const KernelTable& kernels, const float* x, std::int64_t count);
void kl_forward_fast(const Context& context, const MetricForward& params);
void kl_backward_fast(const Context& context, const MetricBackward& params);
void metric_forward_fast(const Context& context, const MetricForward& params);
void metric_backward_fast(const Context& context, const MetricBackward& params);
void edge_contraction_fast(const Context& context, std::span<const EdgeContraction> contractions);
void edge_sum_fast(const Context& context, std::span<const EdgeSum> sums);
void flow_proximity_fast(const Context& context, const FlowProximity& params);
void combine_fast(const Context& context, const Combine& params);
void interpolate_fast(const Context& context, const Interpolate& params);
void sum_blocks_fast(const Context& context, const SumBlocks& params);

}  // namespace headspark
