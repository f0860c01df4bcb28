// Matrix products by cuBLASLt whose bits do not depend on how many rows there are: every product is
// a batch of tiles of 128 rows, computed by one algorithm per shape of the weight, without split-K.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "cuda/cublas_lt_abi.h"
#include "cuda/weight_cache.h"

namespace headspark::cuda {

constexpr std::int64_t kLtTileRows = 128;

/// c[tiles * 128, columns] = a b, or a b + add: bf16 operands, fp32 sums. Arrays are aligned to 16
/// bytes, strides to 8 elements.
struct LtProduct {
  std::int64_t tiles = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const void* a = nullptr;  ///< [tiles * 128, depth], stride a_stride
  std::int64_t a_stride = 0;
  const void* b = nullptr;  ///< [columns, depth], or [depth, columns] by depth
  std::int64_t b_stride = 0;
  bool by_depth = false;
  float* c = nullptr;          ///< [tiles * 128, columns] without gaps
  const float* add = nullptr;  ///< the same, added to the product; may be c
};

class LtProducts {
 public:
  /// Of the current device. Error(DEVICE) when the library does not start.
  LtProducts(const lt::Functions& functions, WeightMemory& memory);
  ~LtProducts();
  LtProducts(const LtProducts&) = delete;
  LtProducts& operator=(const LtProducts&) = delete;

  /// False, whatever the number of tiles, when the library has no algorithm for the weight's shape.
  bool multiply(Stream stream, const LtProduct& product);

 private:
  using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool>;
  struct Call;

  const std::optional<lt::Algorithm>& algorithm(const LtProduct& product);

  lt::Functions functions_;
  WeightMemory& memory_;
  lt::Handle handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<Shape, std::optional<lt::Algorithm>> algorithms_;
};

}  // namespace headspark::cuda
