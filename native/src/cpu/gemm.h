// c[rows, columns] (+)= a[rows, depth] b[depth, columns] over the kernel table: the driver under
// linear, its low-rank term and edge_contraction.
#pragma once

#include <span>

#include "cpu/packed_weights.h"
#include "headspark/context.h"

namespace headspark {

/// Where B comes from; exactly one of the three is set.
struct GemmOperand {
  const PackedPanels* packed = nullptr;  ///< columns and depth counted from the matrix's 0, 0
  std::int64_t first_column = 0;         ///< of `packed`
  std::int64_t first_depth = 0;
  const float* by_column = nullptr;  ///< b[k, j] = by_column[j * stride + k]
  const float* by_depth = nullptr;   ///< b[k, j] = by_depth[k * stride + j]
  std::int64_t stride = 0;
};

struct Gemm {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  float a_scale = 1.0f;
  GemmOperand b;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  const float* bias = nullptr;  ///< [columns] or null
  const float* initial =
      nullptr;  ///< [rows, columns], stride c_stride: added to the product; may be c
};

/// Depths of one block of a sum over `depth`: where a chain is stored and taken up again.
std::int64_t depth_block(const GemmKernels& kernels, std::int64_t depth);

/// B of tile.panels panels from `panel` on, from depth k on, as the level reads it for tile.rows
/// rows and tile.depth depths: in place, or made fp32 in a scratch of this thread.
void read_packed(const KernelTable& kernels, const PackedPanels& packed, std::int64_t panel,
                 std::int64_t k, GemmTile& tile);

/// Runs on all threads; bits depend on the operands of each element alone.
void gemm(const Context& context, const Gemm& product);
/// Products of one A, which is packed once: rows, depth, a, a_stride and a_scale of all are those
/// of the first, and each B is packed weights from the same first depth.
void gemm(const Context& context, std::span<const Gemm> products);

}  // namespace headspark
