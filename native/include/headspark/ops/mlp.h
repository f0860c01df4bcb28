// The MLP of a block with the norm before and the sum after it: y = x + down(act(gate(n)) up(n)),
// n = norm(x) (SwiGLU, arXiv 2002.05202; not gated: down(act(up(n)))).
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"

namespace headspark {

struct MlpWeights {
  const NormWeight* norm = nullptr;
  const LinearWeight* gate = nullptr;  ///< [intermediate, hidden]; null: not gated
  const LinearWeight* up = nullptr;    ///< [intermediate, hidden]
  const LinearWeight* down = nullptr;  ///< [hidden, intermediate]
  Activation activation = Activation::silu;
};

struct MlpForward {
  MlpWeights weights;  ///< norm may be null: x is normed then
  std::int64_t tokens = 0;
  const float* x = nullptr;  ///< [tokens, hidden]
  const float* residual =
      nullptr;           ///< [tokens, hidden], what the output is added to; null: nothing
  float* y = nullptr;    ///< [tokens, hidden]; may be x and residual
  float* out = nullptr;  ///< [tokens, hidden] the MLP's output alone, with a residual; or null
  /// [tokens, intermediate] the input of the nonlinearity, and the other factor of a gated MLP, in
  /// the type that mlp_keeps_bf16 says. Backward reads them; without `keep_inputs` they are
  /// workspace.
  float* gate = nullptr;
  float* up = nullptr;
  bool keep_inputs = true;
  float* normed = nullptr;  ///< workspace [tokens, hidden], not needed without a norm
  float* hidden = nullptr;  ///< workspace [tokens, intermediate]; may be gate without keep_inputs
};

struct MlpBackward {
  MlpWeights weights;
  std::int64_t tokens = 0;
  const float* x = nullptr;     ///< [tokens, hidden], the norm's input
  const float* gate = nullptr;  ///< [tokens, intermediate] of the forward
  const float* up = nullptr;
  const float* d_y = nullptr;   ///< [tokens, hidden], gradient at the MLP's output
  float* d_x = nullptr;         ///< [tokens, hidden], overwritten: what comes through the MLP alone
  float* d_residual = nullptr;  ///< [tokens, hidden], d_x is added; may be d_y
  float* d_hidden = nullptr;    ///< workspace [tokens, intermediate], of the type of gate and up
  float* d_up = nullptr;        ///< workspace [tokens, intermediate], for gated MLPs
  float* d_normed = nullptr;    ///< workspace [tokens, hidden]
};

/// Whether gate and up are bf16, in the first half of their room, rather than fp32: in `fast` on a
/// GPU, where low-rank terms add to none of the layers' outputs. What products multiply is rounded
/// to bf16 in `fast` anyway, and these arrays are most of the bytes that a block moves.
bool mlp_keeps_bf16(const Context& context, const MlpWeights& weights);

/// Step by step, or with the same bits: on the CPU, where there are rows enough, block of rows by
/// block of rows; on a GPU with what products read made as their terms, once (mlp_cuda.cu).
void mlp_forward(const Context& context, const MlpForward& params);
void mlp_backward(const Context& context, const MlpBackward& params);

}  // namespace headspark
