// The kernels' own copies of one weight matrix, made on first use and shared by all threads and all
// copies of the LinearWeight.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cpu/kernel_table.h"
#include "headspark/thread_pool.h"
#include "headspark/weight.h"

namespace headspark {

/// Width of a panel: one AVX-512 register, two AVX2 or four SSE registers of fp32; one tile.
constexpr std::int64_t kPanelWidth = 16;

/// Panels of 16 columns: element (k, j) of panel n is column n * 16 + j at depth k. bf16 weights
/// are `pairs`, or `fp16_pairs` for levels with fp16 tiles; fp32 and fp16 weights are fp32 panels,
/// or terms where the level splits them (one where fp16 weights meet fp16 terms), unless they are
/// to stay whole. Columns past the matrix are zero. 64-byte aligned.
struct PackedPanels {
  PanelLayout layout = PanelLayout::f32;
  int terms = 1;
  std::int64_t depth = 0;  ///< as allocated: padded for pairs
  std::int64_t panels = 0;
  std::vector<float> scales;  ///< fp16_pairs: [panels], as of SplitPanels
  std::shared_ptr<void> memory;

  /// Of `count` depths of a panel in one term.
  std::int64_t depth_bytes(std::int64_t count) const {
    return count * kPanelWidth * (layout == PanelLayout::f32 ? 4 : 2);
  }
  std::int64_t panel_bytes() const { return depth_bytes(depth); }
  std::int64_t term_bytes() const { return panels * panel_bytes(); }
  std::int64_t bytes() const { return terms * term_bytes(); }
  /// Where depth k of panel n begins in the first term; k is even for pairs.
  const void* at(std::int64_t panel, std::int64_t k) const {
    return static_cast<const char*>(memory.get()) + panel * panel_bytes() + depth_bytes(k);
  }
};

class PackedWeights {
 public:
  /// Whether levels that multiply several bf16 terms get an fp32 matrix in terms. `whole` panels
  /// are split whenever they are multiplied: for the factors of low-rank terms, which are small, so
  /// that the terms (three, in depths padded to 32) would be up to twelve times what a decode step
  /// reads.
  enum class Fp32 { split, whole };

  explicit PackedWeights(const WeightView& view, Fp32 fp32 = Fp32::split)
      : view_(view), fp32_(fp32) {}

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
  // Forms differ in the terms of the matrix: none, 1 (bf16, or fast) or 3 (exact) of bf16, and 1 or
  // 2 of fp16.
  static constexpr int kBf16Forms = 4;
  static constexpr int kForms = kBf16Forms + 3;
  struct Form {
    std::once_flag once;
    PackedPanels panels;
  };

  /// 0: fp32.
  int terms_for(const GemmKernels& kernels) const;
  const PackedPanels& packed(Direction direction, ThreadPool& threads, const GemmKernels& kernels);

  WeightView view_;
  Fp32 fp32_;
  Form forms_[2][kForms];
};

}  // namespace headspark
