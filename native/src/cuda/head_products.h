// d W of every head of a projection, summed over copies and pulled back through an RMSNorm where it
// is made: for each token and head, gain * (d W) - sum over copies of multiple * x. The low-rank
// term of W is more depths of the same sums.
#pragma once

#include "cuda/low_rank.h"

namespace headspark::cuda {

struct HeadProducts {
  TermRows d;            ///< [tokens, heads * head_dim]
  GemmOperand weight;    ///< by depth: head h from row h / share * head_dim on
  HeadLowRank low_rank;  ///< its factor has the weight's stride
  std::int64_t heads = 0;
  std::int64_t share = 1;
  std::int64_t head_dim = 0;
  std::int64_t copies = 0;
  std::int64_t tokens = 0;
  std::int64_t width = 0;
  const float* gain = nullptr;       ///< [width]
  const float* x = nullptr;          ///< [copies, tokens, width]
  const float* multiples = nullptr;  ///< [tokens, heads, copies]
  float* y = nullptr;                ///< head h at element h * y_stride: [tokens, width]
  std::int64_t y_stride = 0;
  DType type = DType::f32;  ///< of y: f32, or bf16 in the room of floats
};

/// Whether head_products can compute with such heads, weights and as many copies.
bool has_head_products(const GemmOperand& weight, std::int64_t head_dim, std::int64_t copies);

void head_products(OpDevice& device, const HeadProducts& params);

}  // namespace headspark::cuda
