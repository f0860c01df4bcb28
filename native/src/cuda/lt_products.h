// Matrix products by cuBLASLt whose bits do not depend on how many rows there are: every product
// has whole tiles of 128 rows, computed without split-K by the algorithm that the library chooses
// for many tiles of the weight's shape as one matrix, or, where trials show that rows get other
// bits among more rows, for a batch of tiles. What it chooses for one tile computes products of
// few, where that gives the same bits. Products of decode steps are a batch of parts of the depth.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "cuda/cublas_lt_abi.h"
#include "cuda/weight_cache.h"

namespace headspark::cuda {

constexpr std::int64_t kLtTileRows = 128;
/// Tiles that an algorithm for many rows is chosen for: a micro-batch of attribution. One for a
/// single tile fills the device with small blocks, each of which reads its operands again.
constexpr std::int64_t kManyTiles = 32;
/// Up to so many tiles, which are decode steps, the algorithm for few rows is used.
constexpr std::int64_t kFewTiles = 3;
/// Tiles that an algorithm for products in parts is chosen for.
constexpr std::int64_t kStepTiles = 2;

/// c[tiles * 128, columns] = a b, plus `add`, plus `bias`: bf16 operands, fp32 sums. Arrays are
/// aligned to 16 bytes, strides to 8 elements.
struct LtProduct {
  std::int64_t tiles = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  /// Sums over so many equal parts of the depth, side by side, of all rows at once: c is [parts,
  /// tiles * 128, columns], `add` as well. 0: whole sums, tile by tile. Not by depth.
  std::int64_t parts = 0;
  const void* a = nullptr;  ///< [tiles * 128, depth], stride a_stride
  std::int64_t a_stride = 0;
  const void* b = nullptr;  ///< [columns, depth], or [depth, columns] by depth
  std::int64_t b_stride = 0;
  bool by_depth = false;
  void* c = nullptr;            ///< [tiles * 128, columns] without gaps
  DType type = DType::f32;      ///< of c; or bf16, rounded sums that nothing is added to
  const float* add = nullptr;   ///< of the shape of c, or null; may be c
  const float* bias = nullptr;  ///< [columns], or null
};

class LtProducts {
 public:
  /// Of the current device. Error(DEVICE) when the library does not start.
  LtProducts(const lt::Functions& functions, WeightMemory& memory);
  ~LtProducts();
  LtProducts(const LtProducts&) = delete;
  LtProducts& operator=(const LtProducts&) = delete;

  /// Whether the library has an algorithm for such a product, whatever its rows.
  bool has(Stream stream, const LtProduct& product) {
    return algorithms(stream, product).many.has_value();
  }
  /// False where it has none.
  bool multiply(Stream stream, const LtProduct& product);

 private:
  enum class Form {
    matrix,  ///< tiles are one matrix: a weight is read once for many of them
    batch,   ///< of tiles, which the library computes one after the other
    parts    ///< a batch of parts of the depth, of all tiles at once
  };
  using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                           bool, DType, bool>;
  struct Choice {
    lt::Algorithm algorithm;
    Form form;
  };
  /// Of one shape. `many` computes any number of rows; empty: the library has none.
  struct Algorithms {
    std::optional<Choice> many;
    std::optional<Choice> few;  ///< empty where `many` serves
  };
  struct Call;
  class Trial;

  const Algorithms& algorithms(Stream stream, const LtProduct& product);
  std::optional<Choice> chosen_for(const LtProduct& product, Form form, std::int64_t tiles);
  /// By what the library proposes, and the bits that it gives.
  Algorithms choose(Stream stream, const LtProduct& product);
  /// With the algorithm for many rows in this form, if its bits do not depend on their number.
  Algorithms choose(const LtProduct& product, Form form, const Trial& trial);
  void run(Stream stream, const LtProduct& product, const Choice& choice);
  void* workspace(Stream stream);
  static void tell(const LtProduct& product, Form form, const char* what);

  lt::Functions functions_;
  WeightMemory& memory_;
  lt::Handle handle_ = nullptr;
  std::map<Stream, void*> workspaces_;  ///< streams multiply at once
  std::map<Shape, Algorithms> algorithms_;
};

}  // namespace headspark::cuda
