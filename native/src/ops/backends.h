// Every op as each backend implements it: X_cpu is the specification (src/ops/X_cpu.cc), X_cuda the
// CUDA version or the linked stub (src/no_cuda). The fast CPU kernels are in cpu/fast_ops.h.
#pragma once

#include "headspark/ops/argmax.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/attention_pattern.h"
#include "headspark/ops/copy_blocks.h"
#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/edge_sum.h"
#include "headspark/ops/embedding.h"
#include "headspark/ops/head_input.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/logit_diff.h"
#include "headspark/ops/metric.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"
#include "headspark/ops/paged_attention.h"
#include "headspark/ops/projections.h"
#include "headspark/ops/rotary.h"
#include "headspark/ops/rows.h"
#include "headspark/ops/sample_rows.h"

namespace headspark {

void linear_forward_cpu(const Context& context, const LinearForward& params);
void linear_forward_cuda(const Context& context, const LinearForward& params);
void linear_backward_cpu(const Context& context, const LinearBackward& params);
void linear_backward_cuda(const Context& context, const LinearBackward& params);

void attention_forward_cpu(const Context& context, const AttentionForward& params);
void attention_forward_cuda(const Context& context, const AttentionForward& params);
void attention_backward_cpu(const Context& context, const AttentionBackward& params);
void attention_backward_cuda(const Context& context, const AttentionBackward& params);
void sum_head_groups_cpu(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                         const float* per_head, float* grouped);
void sum_head_groups_cuda(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                          const float* per_head, float* grouped);

void attention_pattern_cpu(const Context& context, const AttentionPattern& params);
void attention_pattern_cuda(const Context& context, const AttentionPattern& params);

void head_input_backward_cpu(const Context& context, const HeadInputBackward& params);
void head_input_backward_cuda(const Context& context, const HeadInputBackward& params);

void paged_store_cpu(const Context& context, const PagedStore& params);
void paged_store_cuda(const Context& context, const PagedStore& params);
std::int64_t paged_plan_size_cuda(const AttentionShape& shape, const RowLayout& layout);
void paged_plan_cuda(const Context& context, const PagedPlan& params);
void paged_attention_cpu(const Context& context, const PagedAttention& params);
void paged_attention_cuda(const Context& context, const PagedAttention& params);

void norm_forward_cpu(const Context& context, const NormForward& params);
void norm_forward_cuda(const Context& context, const NormForward& params);
void norm_backward_cpu(const Context& context, const NormBackward& params);
void norm_backward_cuda(const Context& context, const NormBackward& params);
void norm_scale_cpu(const Context& context, const NormScale& params);
void norm_scale_cuda(const Context& context, const NormScale& params);

void rotary_forward_cpu(const Context& context, const Rotary& params);
void rotary_forward_cuda(const Context& context, const Rotary& params);
void rotary_backward_cpu(const Context& context, const Rotary& params);
void rotary_backward_cuda(const Context& context, const Rotary& params);

void mlp_activation_forward_cpu(const Context& context, const MlpActivationForward& params);
void mlp_activation_forward_cuda(const Context& context, const MlpActivationForward& params);
void mlp_activation_backward_cpu(const Context& context, const MlpActivationBackward& params);
void mlp_activation_backward_cuda(const Context& context, const MlpActivationBackward& params);

void mlp_forward_cuda(const Context& context, const MlpForward& params);
void mlp_backward_cuda(const Context& context, const MlpBackward& params);
void projections_forward_cuda(const Context& context, const ProjectionsForward& params);

void embedding_forward_cpu(const Context& context, const EmbeddingForward& params);
void embedding_forward_cuda(const Context& context, const EmbeddingForward& params);

void logit_diff_forward_cpu(const Context& context, const LogitDiffForward& params);
void logit_diff_forward_cuda(const Context& context, const LogitDiffForward& params);
void logit_diff_backward_cpu(const Context& context, const LogitDiffBackward& params);
void logit_diff_backward_cuda(const Context& context, const LogitDiffBackward& params);

void metric_forward_cpu(const Context& context, const MetricForward& params);
void metric_forward_cuda(const Context& context, const MetricForward& params);
void metric_backward_cpu(const Context& context, const MetricBackward& params);
void metric_backward_cuda(const Context& context, const MetricBackward& params);

void edge_contraction_cpu(const Context& context, const EdgeContraction& params);
void edge_contraction_cuda(const Context& context, std::span<const EdgeContraction> contractions);
void flow_proximity_cpu(const Context& context, const FlowProximity& params);
/// Adds the shares of tokens, [tokens, sources], to the scores of their pairs.
void sum_proximities(const FlowProximity& params, std::span<const double> proximity);
void flow_proximity_cuda(const Context& context, const FlowProximity& params);

void gather_rows_cpu(const Context& context, std::int64_t count, std::int64_t width,
                     const std::int32_t* index, const float* x, float* y);
void gather_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y);
void scatter_add_rows_cpu(const Context& context, std::int64_t count, std::int64_t width,
                          const std::int32_t* index, const float* x, float* y);
void scatter_add_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                           const std::int32_t* index, const float* x, float* y);
void combine_cpu(const Context& context, const Combine& params);
void combine_cuda(const Context& context, const Combine& params);
void interpolate_cpu(const Context& context, const Interpolate& params);
void interpolate_cuda(const Context& context, const Interpolate& params);
void sum_blocks_cpu(const Context& context, const SumBlocks& params);
void sum_blocks_cuda(const Context& context, const SumBlocks& params);
void sum_rows_cpu(const Context& context, const SumRows& params);
void sum_rows_cuda(const Context& context, const SumRows& params);
void row_norms_cpu(const Context& context, const RowNorms& params);
void row_norms_cuda(const Context& context, const RowNorms& params);

/// One row of the specification.
std::int64_t argmax_of_row(const float* x, std::int64_t width);
void argmax_rows_cpu(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                     std::int32_t* index);
void argmax_rows_cuda(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                      std::int32_t* index);

void sample_rows_cpu(const Context& context, const SampleRows& params);
void sample_rows_cuda(const Context& context, const SampleRows& params);

void edge_sum_cpu(const Context& context, const EdgeSum& params);
void edge_sum_cuda(const Context& context, std::span<const EdgeSum> sums);

void copy_blocks_cpu(const Context& context, const CopyBlocks& params);
void copy_blocks_cuda(const Context& context, const CopyBlocks& params);

}  // namespace headspark
