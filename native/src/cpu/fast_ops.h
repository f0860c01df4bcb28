// The CPU ops over a kernel table (cpu/kernel_table.h): threading and workspaces here, inner loops
// there. Same contracts as the specification in src/ops/*_cpu.cc, in fp32.
#pragma once

#include "ops/backends.h"

namespace headspark {

void linear_forward_fast(const Context& context, const LinearForward& params);
void linear_backward_fast(const Context& context, const LinearBackward& params);
void attention_forward_fast(const Context& context, const AttentionForward& params);
void attention_backward_fast(const Context& context, const AttentionBackward& params);
void attention_pattern_fast(const Context& context, const AttentionPattern& params);
void head_input_backward_fast(const Context& context, const HeadInputBackward& params);
void paged_attention_fast(const Context& context, const PagedAttention& params);
void norm_forward_fast(const Context& context, const NormForward& params);
void norm_backward_fast(const Context& context, const NormBackward& params);
void rotary_fast(const Context& context, const Rotary& params, float direction);
void mlp_activation_forward_fast(const Context& context, const MlpActivationForward& params);
void mlp_activation_backward_fast(const Context& context, const MlpActivationBackward& params);
void embedding_forward_fast(const Context& context, const EmbeddingForward& params);
void metric_forward_fast(const Context& context, const MetricForward& params);
void metric_backward_fast(const Context& context, const MetricBackward& params);
void edge_contraction_fast(const Context& context, const EdgeContraction& params);
void flow_proximity_fast(const Context& context, const FlowProximity& params);
void combine_fast(const Context& context, const Combine& params);
void interpolate_fast(const Context& context, const Interpolate& params);
void sum_blocks_fast(const Context& context, const SumBlocks& params);

}  // namespace headspark
