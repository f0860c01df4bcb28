// The kernels' own copies of one weight matrix, made on first use and shared by all threads and all
// copies of the LinearWeight. One layout serves every instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "cpu/kernel_table.h"
#include "headspark/thread_pool.h"
#include "headspark/weight.h"

namespace headspark {

/// Width of a panel: one AVX-512 register, two AVX2 or four SSE registers of fp32; one tile.
constexpr std::int64_t kPanelWidth = 16;

/// Panels of 16 columns: element (k, j) of panel n is column n * 16 + j at depth k. bf16 weights
/// are `pairs` for every level; fp32 and fp16 weights are fp32 panels, or bf16 terms where the
/// level splits them. Columns past the matrix are zero. 64-byte aligned.
struct PackedPanels {
  PanelLayout layout = PanelLayout::f32;
  int terms = 1;
  std::int64_t depth = 0;  ///< as allocated: padded for pairs
  std::int64_t panels = 0;
  std::shared_ptr<void> memory;

  std::int64_t panel_bytes() const {
    return depth * kPanelWidth * (layout == PanelLayout::f32 ? 4 : 2);
  }
  std::int64_t term_bytes() const { return panels * panel_bytes(); }
  std::int64_t bytes() const { return terms * term_bytes(); }
  /// Where depth k of panel n begins in the first term; k is even for pairs.
  const void* at(std::int64_t panel, std::int64_t k) const {
    return static_cast<const char*>(memory.get()) + panel * panel_bytes() +
           k * kPanelWidth * (layout == PanelLayout::f32 ? 4 : 2);
  }
};

class PackedWeights {
 public:
  explicit PackedWeights(const WeightView& view) : view_(view) {}

  /// Columns are outputs, depth runs over inputs: for y = x Wᵀ.
  const PackedPanels& forward(ThreadPool& threads, const GemmKernels& kernels) {
    return packed(Direction::forward, threads, kernels);
  }
  /// Columns are inputs, depth runs over outputs: for d_x = d_y W.
  const PackedPanels& transposed(ThreadPool& threads, const GemmKernels& kernels) {
    return packed(Direction::transposed, threads, kernels);
  }

  enum class Direction { forward, transposed };

 private:
  // Forms differ in the terms that an fp32 matrix is split into: none, 1 (fast) or 3 (exact).
  static constexpr int kForms = 4;
  struct Form {
    std::once_flag once;
    PackedPanels panels;
  };

  const PackedPanels& packed(Direction direction, ThreadPool& threads, const GemmKernels& kernels);

  WeightView view_;
  Form forms_[2][kForms];
};

}  // namespace headspark
