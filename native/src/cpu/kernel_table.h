// The inner loops of the CPU ops, one table per instruction set. All levels are instantiations of
// the same templates (cpu/kernels), so they share one algorithm. Kernels are leaves: raw pointers
// in, no threads, no allocation, no exceptions, nothing of the standard library (an inline function
// compiled for AVX-512 must not become the one copy that the linker keeps for everybody).
#pragma once

#include <cstdint>

#include "headspark/dtype.h"
#include "headspark/isa.h"

namespace headspark {

/// Sums over a long axis run in blocks of this many products, whatever the batch: the block's fp32
/// chain starts at 0 and is then added to the result, so neither rows nor threads change the bits.
/// 256 x 16 fp32 of B are 16 KB, half of a 32 KB L1.
constexpr std::int64_t kDepthBlock = 256;

/// Row stride of the A operand: 17 cache lines, so that the rows of a tile fall into different
/// sets.
constexpr std::int64_t kTileStride = kDepthBlock + 16;

/// c[rows, panels * 16] (+)= a[rows, depth] b[depth, panels * 16]; depth <= kDepthBlock.
struct GemmTile {
  const float* a = nullptr;  ///< stride kTileStride
  std::int64_t rows = 0;
  const void* b = nullptr;  ///< panels of 16 columns: [panel][depth][16], fp32 or bf16
  DType b_dtype = DType::f32;
  std::int64_t panel_stride = 0;  ///< elements from one panel to the next
  std::int64_t panels = 0;
  std::int64_t depth = 0;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  bool accumulate = true;
  const void* next_b = nullptr;  ///< what the caller reads next, fetched into L2 meanwhile
  std::int64_t next_bytes = 0;
};

/// panel[k * stride + j] = rows[j][k] for k < depth, j < 16; a null row is zeros.
struct PackRows {
  const float* const* rows = nullptr;  ///< 16 pointers
  std::int64_t depth = 0;
  float* panel = nullptr;
  std::int64_t stride = 16;
};

/// One chunk of one query's scores in the attention backward: on entry scores are scale q·k and d_p
/// is d_raw·v; on return scores are p = exp(score - lse) and d_p is p (d_p - rowsum). Zero from
/// `count` to `padded`.
struct AttentionScores {
  float* scores = nullptr;
  float* d_p = nullptr;
  std::int64_t count = 0;
  std::int64_t padded = 0;
  float lse = 0.0f;
  float rowsum = 0.0f;
};

struct NormRow {
  const float* x = nullptr;
  const float* d_y = nullptr;  ///< backward only
  const float* weight = nullptr;
  const float* bias = nullptr;  ///< may be null
  float* out = nullptr;         ///< y, or d_x
  std::int64_t width = 0;
  float epsilon = 0.0f;
  bool centered = false;    ///< LayerNorm
  bool accumulate = false;  ///< backward only
};

/// a' = a cos - b sin, b' = b cos + a sin, in place, with sin multiplied by direction (+1 or -1).
struct Rotation {
  float* a = nullptr;
  float* b = nullptr;
  const float* cosine = nullptr;
  const float* sine = nullptr;
  std::int64_t pairs = 0;
  float direction = 1.0f;
};

struct ActivationRange {
  const float* gate = nullptr;
  const float* up = nullptr;   ///< may be null
  const float* d_y = nullptr;  ///< backward only
  float* out = nullptr;        ///< y, or d_gate
  float* d_up = nullptr;       ///< backward only, null when up is
  std::int64_t count = 0;
};

struct ActivationKernels {
  void (*forward)(const ActivationRange&);
  void (*backward)(const ActivationRange&);
};

/// z[i] = scale x[i] + (1 - scale) r[i]; r null stands for zero.
struct Blend {
  float scale = 1.0f;
  const float* x = nullptr;
  const float* r = nullptr;
  float* z = nullptr;
  std::int64_t count = 0;
};

/// scores[r * stride + j] = q[r, head_dim] · key j, for all 32 keys of every page of a split.
struct PagedScores {
  const float* q = nullptr;  ///< [rows, head_dim], scaled
  std::int64_t rows = 0;
  std::int64_t head_dim = 0;
  const float* const* pages = nullptr;
  std::int64_t page_count = 0;
  std::int64_t offset = 0;  ///< of the head's keys in a page
  float* scores = nullptr;
  std::int64_t stride = 0;
};

/// out[r, padded_dim] = sum over j < counts[r] of weights[r * stride + j] value j.
struct PagedValues {
  const float* weights = nullptr;
  std::int64_t stride = 0;
  std::int64_t rows = 0;
  const std::int64_t* counts = nullptr;  ///< [rows]
  const float* const* pages = nullptr;
  std::int64_t offset = 0;  ///< of the head's values in a page
  std::int64_t padded_dim = 0;
  float* out = nullptr;
};

struct KernelTable {
  void (*gemm)(const GemmTile&);
  void (*pack_rows)(const PackRows&);
  void (*expand_bf16)(const std::uint16_t* bits, std::int64_t count, float* values);

  float (*dot)(const float* a, const float* b, std::int64_t count);
  float (*largest)(const float* x, std::int64_t count);
  /// x = exp(x - offset) up to count, 0 up to padded; returns the sum.
  float (*exp_in_place)(float* x, std::int64_t count, std::int64_t padded, float offset);
  /// Sum of exp(x - offset), nothing written.
  double (*sum_exp)(const float* x, std::int64_t count, float offset);
  /// y = exp(x - offset).
  void (*exp_range)(const float* x, std::int64_t count, float offset, float* y);
  void (*attention_scores)(const AttentionScores&);
  void (*paged_scores)(const PagedScores&);
  void (*paged_values)(const PagedValues&);

  void (*norm_forward)(const NormRow&);
  void (*norm_backward)(const NormRow&);
  void (*rotate)(const Rotation&);
  ActivationKernels activations[4];  ///< indexed by Activation

  void (*blend)(const Blend&);
  /// y = a x + b y; b = 0 does not read y.
  void (*combine)(float a, const float* x, float b, float* y, std::int64_t count);
  double (*abs_sum)(const float* x, std::int64_t count);
  double (*abs_diff_sum)(const float* x, const float* y, std::int64_t count);
};

const KernelTable& portable_kernels();
#if HEADSPARK_X86
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
#endif

/// The table of a level above `specification`.
const KernelTable& kernel_table(Isa isa);

}  // namespace headspark
