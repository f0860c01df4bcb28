// c[rows, columns] (+)= a[rows, depth] b[depth, columns] over the kernel table, with a low-rank
// term of b where there is one: the driver under linear.
#pragma once

#include <span>

#include "cpu/layer_panels.h"
#include "headspark/context.h"
#include "headspark/ops/norm.h"

namespace headspark {

struct Gemm {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  LayerPanels b;
  std::int64_t first_column = 0;  ///< of b's columns
  std::int64_t first_depth = 0;   ///< of b's depths
  float* c = nullptr;
  std::int64_t c_stride = 0;
  const float* bias = nullptr;  ///< [columns] or null
  const float* initial =
      nullptr;  ///< [rows, columns], stride c_stride: added to the product; may be c
  const NormWeight* norm = nullptr;  ///< of gemm_each: rows of a go through it, from depth 0 on
};

/// Runs on all threads; bits depend on the operands of each element alone.
void gemm(const Context& context, const Gemm& product);
/// Products of one A, which is packed once: rows, depth, a and a_stride of all are those of the
/// first, and each B is from the same first depth.
void gemm(const Context& context, std::span<const Gemm> products);
/// Products of rows of their own, in one parallel loop.
void gemm_each(const Context& context, std::span<const Gemm> products);

}  // namespace headspark
