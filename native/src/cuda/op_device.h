// What the CUDA ops ask of the backend they run on. Everything is queued on one stream, in order,
// but for what is said to be done side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "cuda/runtime.h"
#include "headspark/context.h"
#include "headspark/weight.h"

namespace headspark::cuda {

/// A matrix in device memory as the checkpoint stores it: [rows, cols], row-major without gaps,
/// aligned to 256 bytes (strides and groups of a WeightView are resolved).
struct DeviceMatrix {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// The same as products read it: the terms of its values (product_terms), [terms, rows, cols].
struct DeviceTerms {
  const std::uint16_t* data = nullptr;  ///< bf16
  int terms = 1;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  std::int64_t term_stride() const { return rows * cols; }
};

/// A matrix of bf16 that is made of another one.
struct Bf16Form {
  int numbers = 1;  ///< for each value
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// Scratch memory by purpose: ops that run at once (one calls another) use different slots.
enum class ScratchSlot {
  low_rank,
  low_rank_terms,
  gemm_terms,
  product_sums,
  attention_rows,
  attention_terms,
  attention_splits,
  attention_plan,
  head_input,
  contraction,
  row_statistics,
  unrounded_rows,
  count
};

class LtProducts;

class OpDevice {
 public:
  virtual ~OpDevice() = default;

  virtual Stream stream() = 0;
  /// What products read of the weight, uploaded on first use. The weight owns its place in the
  /// cache.
  virtual DeviceTerms terms(const LinearWeight& weight, Precision precision) = 0;
  /// The weight as it is stored.
  virtual DeviceMatrix matrix(const LinearWeight& weight) = 0;
  /// What is no LinearWeight (an embedding, a rotary table): cached for as long as its owner lives.
  virtual DeviceMatrix table(const WeightView& view) = 0;
  /// bf16 made of what `view` shows, cached as a table: `fill` writes it, over zeros, on first use
  /// of this form of the view.
  virtual DeviceMatrix bf16_table(const WeightView& view, const Bf16Form& form,
                                  const std::function<void(std::uint16_t*)>& fill) = 0;
  /// A device copy of `bytes` bytes of host memory as they are now (norm weights, biases): cached,
  /// but never stale, since it is compared at each use. Valid until the queued work that uses it is
  /// done.
  virtual const void* constant(const void* host, std::int64_t bytes) = 0;
  /// At least `bytes`, aligned to 256; what it holds is undefined, and it stays valid until the
  /// slot is asked for again.
  virtual void* scratch(ScratchSlot slot, std::int64_t bytes) = 0;
  /// What each of `works` queues, side by side with the others; what was queued before is done by
  /// then, and what is queued next waits for all. Each has scratch memory of its own. Their weights
  /// had better be on the device already: copies from the host are waited for meanwhile.
  virtual void side_by_side(std::span<const std::function<void()>> works) {
    for (const auto& work : works) work();
  }
  /// Products by cuBLASLt; null where it is absent.
  virtual LtProducts* products() { return nullptr; }

  const float* constant_floats(const std::vector<float>& values) {
    if (values.empty()) return nullptr;
    return static_cast<const float*>(
        constant(values.data(), static_cast<std::int64_t>(values.size() * sizeof(float))));
  }
  /// A table of fp32 [rows, columns] that never changes while `owner` lives; see table().
  const float* table_floats(const float* values, std::int64_t rows, std::int64_t columns,
                            const std::weak_ptr<const void>& owner) {
    WeightView view = contiguous_view(values, DType::f32, rows, columns);
    view.owner = owner;
    return static_cast<const float*>(table(view).data);
  }
  float* scratch_floats(ScratchSlot slot, std::int64_t count) {
    return static_cast<float*>(scratch(slot, count * static_cast<std::int64_t>(sizeof(float))));
  }
};

/// The context's backend as the ops see it; Error(INTERNAL) if it is none of CUDA.
OpDevice& op_device(const Context& context);

}  // namespace headspark::cuda
