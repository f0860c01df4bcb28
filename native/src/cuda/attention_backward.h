// Attention backward on tensor cores (arXiv 2205.14135, appendix B), without atomics: each of d_q,
// d_k and d_v is summed by the block that writes it, in order.
#pragma once

#include "cuda/attention_tiles.h"
#include "cuda/op_device.h"

namespace headspark::cuda {

void attention_backward_kernels(OpDevice& device, Precision precision,
                                const AttentionBackward& params);

}  // namespace headspark::cuda
