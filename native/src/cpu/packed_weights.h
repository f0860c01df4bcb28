// The kernels' own copies of one weight matrix, made on first use and shared by all threads and all
// copies of the LinearWeight. One layout serves every instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "headspark/thread_pool.h"
#include "headspark/weight.h"

namespace headspark {

/// Width of a panel: one AVX-512 register, two AVX2 or four SSE registers of fp32.
constexpr std::int64_t kPanelWidth = 16;

/// Panels of 16 columns: element (k, j) of panel n is column n * 16 + j at depth k and lies at
/// (n * depth + k) * 16 + j. Columns past the matrix are zero. 64-byte aligned.
struct PackedPanels {
  DType dtype = DType::f32;  ///< bf16 stays bf16; fp16 is stored as fp32
  std::int64_t depth = 0;
  std::int64_t panels = 0;
  std::shared_ptr<void> memory;

  /// The 16 values of panel n at depth k.
  const void* at(std::int64_t panel, std::int64_t k) const {
    return static_cast<const char*>(memory.get()) +
           (panel * depth + k) * kPanelWidth * dtype_bytes(dtype);
  }
  std::int64_t bytes() const { return panels * depth * kPanelWidth * dtype_bytes(dtype); }
};

class PackedWeights {
 public:
  explicit PackedWeights(const WeightView& view) : view_(view) {}

  /// Columns are outputs, depth runs over inputs: for y = x Wᵀ.
  const PackedPanels& forward(ThreadPool& threads);
  /// Columns are inputs, depth runs over outputs: for d_x = d_y W.
  const PackedPanels& transposed(ThreadPool& threads);

 private:
  WeightView view_;
  std::once_flag forward_once_;
  std::once_flag transposed_once_;
  PackedPanels forward_;
  PackedPanels transposed_;
};

}  // namespace headspark
