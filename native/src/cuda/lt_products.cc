// cuBLASLt is column-major: it computes cᵀ = op(b) aᵀ, [columns, 128] per tile.
#include "cuda/lt_products.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "headspark/dtype.h"
#include "headspark/error.h"

namespace headspark::cuda {
namespace {

// What cuBLASLt's documentation recommends for Hopper.
constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;

constexpr std::uintptr_t kAlignment = 16;  // bytes, of all arrays

// The results of a trial take no more than that, or two tiles.
constexpr std::int64_t kMostTrialBytes = std::int64_t{256} << 20;
// A product of wider tiles, the logits', has blocks enough for the device with the algorithm for
// many rows.
constexpr std::int64_t kMostFewBytes = std::int64_t{64} << 20;
// More than any algorithm is chosen for.
constexpr std::int64_t kMostTrialTiles = kManyTiles + 1;

void check(lt::Status status, const char* what) {
  if (status == lt::kSuccess) return;
  throw Error(ErrorCode::DEVICE, std::string("cuBLASLt failed to ") + what + " (status " +
                                     std::to_string(status) +
                                     "); HEADSPARK_CUBLASLT=none computes without it.");
}

}  // namespace

// One line for each shape that is tried, with HEADSPARK_CUBLASLT_LOG: a library that serves no
// product is slow in silence.
void LtProducts::tell(const LtProduct& p, Form form, const char* what) {
  static const bool tells = std::getenv("HEADSPARK_CUBLASLT_LOG") != nullptr;
  if (!tells) return;
  const char* const forms[] = {"one matrix", "a batch of tiles", "parts of the depth"};
  std::fprintf(stderr, "cuBLASLt: %lld columns, depth %lld%s%s%s, as %s: %s\n",
               static_cast<long long>(p.columns), static_cast<long long>(p.depth),
               p.by_depth ? ", by depth" : "", p.type == DType::bf16 ? ", to bf16" : "",
               p.bias != nullptr ? ", with bias" : "", forms[static_cast<int>(form)], what);
}

/// The descriptors of one product of `tiles` tiles.
struct LtProducts::Call {
  const lt::Functions& f;
  lt::MatmulDesc desc = nullptr;
  lt::Layout a = nullptr;  // the library's A is the weight, its B the rows
  lt::Layout b = nullptr;
  lt::Layout c = nullptr;

  Call(const lt::Functions& functions, const LtProduct& p, Form form, std::int64_t tiles,
       const float* bias)
      : f(functions) {
    check(f.MatmulDescCreate(&desc, lt::ComputeType::f32, lt::DataType::f32), "describe a product");
    const auto set = [&](lt::DescAttribute attribute, const auto& value) {
      check(f.MatmulDescSetAttribute(desc, attribute, &value, sizeof value), "describe a product");
    };
    set(lt::DescAttribute::transpose_a,
        p.by_depth ? lt::Operation::none : lt::Operation::transpose);
    if (bias != nullptr) {
      set(lt::DescAttribute::epilogue, lt::Epilogue::bias);
      set(lt::DescAttribute::bias_pointer, bias);
    }
    const bool in_parts = form == Form::parts;
    const std::int64_t depth = in_parts ? p.depth / p.parts : p.depth;
    const std::int64_t rows = form == Form::batch ? kLtTileRows : tiles * kLtTileRows;
    const std::int64_t batch = in_parts ? p.parts : form == Form::batch ? tiles : 1;
    a = layout(lt::DataType::bf16, p.by_depth ? p.columns : depth, p.by_depth ? depth : p.columns,
               p.b_stride);
    b = layout(lt::DataType::bf16, depth, rows, p.a_stride);
    c = layout(p.type == DType::bf16 ? lt::DataType::bf16 : lt::DataType::f32, p.columns, rows,
               p.columns);
    set_batch(a, batch, in_parts ? depth : 0);
    set_batch(b, batch, in_parts ? depth : kLtTileRows * p.a_stride);
    set_batch(c, batch, rows * p.columns);
  }
  ~Call() {
    for (const lt::Layout made : {a, b, c}) {
      if (made != nullptr) f.MatrixLayoutDestroy(made);
    }
    if (desc != nullptr) f.MatmulDescDestroy(desc);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  lt::Layout layout(lt::DataType type, std::int64_t rows, std::int64_t columns,
                    std::int64_t stride) const {
    lt::Layout made = nullptr;
    check(f.MatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(rows),
                               static_cast<std::uint64_t>(columns), stride),
          "describe a matrix");
    return made;
  }
  void set_batch(lt::Layout layout, std::int64_t tiles, std::int64_t stride) const {
    const auto count = static_cast<std::int32_t>(tiles);
    check(
        f.MatrixLayoutSetAttribute(layout, lt::LayoutAttribute::batch_count, &count, sizeof count),
        "describe a batch");
    check(f.MatrixLayoutSetAttribute(layout, lt::LayoutAttribute::strided_batch_offset, &stride,
                                     sizeof stride),
          "describe a batch");
  }
};

LtProducts::LtProducts(const lt::Functions& functions, WeightMemory& memory)
    : functions_(functions), memory_(memory) {
  check(functions_.Create(&handle_), "start");
}

LtProducts::~LtProducts() {
  for (const auto& [stream, memory] : workspaces_) memory_.release(memory);
  functions_.Destroy(handle_);
}

void* LtProducts::workspace(Stream stream) {
  const auto found = workspaces_.find(stream);
  if (found != workspaces_.end()) return found->second;
  return workspaces_[stream] = memory_.allocate(kWorkspaceBytes);
}

/// Products of one tile of random rows, repeated, to compare bits by: any two orders of a sum
/// differ somewhere among so many sums of random terms.
class LtProducts::Trial {
 public:
  Trial(LtProducts& products, Stream stream, const LtProduct& p)
      : products_(products),
        stream_(stream),
        product_(p),
        tile_bytes_(kLtTileRows * p.columns * dtype_bytes(p.type)),
        parts_(std::max<std::int64_t>(1, p.parts)),
        tiles_(std::clamp<std::int64_t>(kMostTrialBytes / (parts_ * tile_bytes_), 2,
                                        kMostTrialTiles)) {
    std::uint64_t state = 1;
    for (std::int64_t i = 0; i < kLtTileRows * p.a_stride; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      rows_.push_back(f32_to_bf16(static_cast<float>(state >> 40) * 0x1p-23f - 1.0f));
    }
  }
  std::int64_t tile_bytes() const { return tile_bytes_; }

  std::int64_t few() const { return std::min(kFewTiles, tiles_); }
  std::int64_t many() const { return tiles_; }

  /// The sums of one tile, if it has the same bits among as many; else empty.
  std::vector<std::byte> sums_among(std::initializer_list<std::int64_t> counts,
                                    const Choice& choice) const {
    std::vector<std::byte> alone = sums(choice, 1);
    for (const std::int64_t tiles : counts) {
      const std::vector<std::byte> all = alone.empty() ? alone : sums(choice, tiles);
      if (all.empty() || !are_alike(alone, all)) return {};
    }
    return alone;
  }

 private:
  /// Whether every tile has the bits of the one that was multiplied alone.
  bool are_alike(const std::vector<std::byte>& alone, const std::vector<std::byte>& all) const {
    const auto size = static_cast<std::size_t>(tile_bytes_);
    const std::size_t tiles = all.size() / alone.size();
    for (std::size_t at = 0; at < all.size() / size; ++at) {
      const std::byte* const expected = alone.data() + at / tiles * size;
      if (std::memcmp(all.data() + at * size, expected, size) != 0) return false;
    }
    return true;
  }

  /// The sums of as many tiles, all alike; empty where the library or the memory refuses.
  std::vector<std::byte> sums(const Choice& choice, std::int64_t tiles) const {
    try {
      return computed(choice, tiles);
    } catch (const Error& error) {
      const bool refused =
          error.code() == ErrorCode::OUT_OF_MEMORY || error.code() == ErrorCode::DEVICE;
      if (!refused) throw;
      return {};
    }
  }

  // Added to zeros where it may be: not every algorithm can add.
  std::vector<std::byte> computed(const Choice& choice, std::int64_t tiles) const {
    const auto row_bytes = static_cast<std::int64_t>(rows_.size() * sizeof(std::uint16_t));
    const WorkMemory a(products_.memory_, tiles * row_bytes);
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      products_.memory_.copy(static_cast<char*>(a.data) + tile * row_bytes, rows_.data(),
                             row_bytes);
    }
    const std::int64_t bytes = parts_ * tiles * tile_bytes_;
    const WorkMemory c(products_.memory_, bytes);
    LtProduct p = product_;
    p.tiles = tiles;
    p.a = a.data;
    p.c = c.data;
    zero(stream_, c.data, bytes);
    p.add = p.type == DType::f32 ? static_cast<const float*>(c.data) : nullptr;
    products_.run(stream_, p, choice);
    std::vector<std::byte> sums(static_cast<std::size_t>(bytes));
    copy_to_host(stream_, sums.data(), c.data, bytes);
    return sums;
  }

  LtProducts& products_;
  Stream stream_;
  LtProduct product_;
  std::int64_t tile_bytes_;  ///< of a part
  std::int64_t parts_;
  std::int64_t tiles_;
  std::vector<std::uint16_t> rows_;  ///< of a tile
};

// Both are chosen once, whatever the product at hand, so that every number of rows gets the same.
const LtProducts::Algorithms& LtProducts::algorithms(Stream stream, const LtProduct& p) {
  const Shape shape{p.columns,  p.depth,    p.parts, p.a_stride,
                    p.b_stride, p.by_depth, p.type,  p.bias != nullptr};
  const auto found = algorithms_.find(shape);
  if (found != algorithms_.end()) return found->second;
  return algorithms_.emplace(shape, choose(stream, p)).first->second;
}

LtProducts::Algorithms LtProducts::choose(Stream stream, const LtProduct& p) {
  const Trial trial(*this, stream, p);
  if (p.parts > 0) return choose(p, Form::parts, trial);
  const Algorithms found = choose(p, Form::matrix, trial);
  return found.many ? found : choose(p, Form::batch, trial);
}

LtProducts::Algorithms LtProducts::choose(const LtProduct& p, Form form, const Trial& trial) {
  const bool in_parts = form == Form::parts;
  const auto many = chosen_for(p, form, in_parts ? kStepTiles : kManyTiles);
  if (!many) {
    tell(p, form, "has no algorithm");
    return {};
  }
  // By itself a tile must get the bits that it gets among others, which the library promises
  // nowhere.
  const std::vector<std::byte> alone = trial.sums_among({trial.few(), trial.many()}, *many);
  if (alone.empty()) {
    tell(p, form, "refuses the algorithm that it chose, or rows get other bits among more rows");
    return {};
  }
  tell(p, form, "serves");
  if (in_parts || trial.tile_bytes() > kMostFewBytes) return {many, {}};
  const auto few = chosen_for(p, Form::batch, 1);
  const bool same = few && trial.sums_among({trial.few()}, *few) == alone;
  tell(p, Form::batch, same ? "serves few rows" : "does not serve few rows");
  return {many, same ? few : std::nullopt};
}

std::optional<LtProducts::Choice> LtProducts::chosen_for(const LtProduct& p, Form form,
                                                         std::int64_t tiles) {
  // The library reads off a bias where it is aligned to, and the choice is kept for others.
  const float* const aligned = reinterpret_cast<const float*>(kAlignment);
  const Call call(functions_, p, form, tiles, p.bias != nullptr ? aligned : nullptr);
  lt::Preference made = nullptr;
  check(functions_.MatmulPreferenceCreate(&made), "describe a preference");
  const std::unique_ptr<lt::OpaquePreference, lt::Status (*)(lt::Preference)> preference(
      made, functions_.MatmulPreferenceDestroy);
  const std::uint64_t bytes = kWorkspaceBytes;
  const std::uint32_t no_reduction = 0;  // CUBLASLT_REDUCTION_SCHEME_NONE: split-K is 1
  check(functions_.MatmulPreferenceSetAttribute(made, lt::PreferenceAttribute::max_workspace_bytes,
                                                &bytes, sizeof bytes),
        "describe a preference");
  check(functions_.MatmulPreferenceSetAttribute(made, lt::PreferenceAttribute::reduction_schemes,
                                                &no_reduction, sizeof no_reduction),
        "describe a preference");
  const std::uint32_t alignment = kAlignment;  // of all four; the library assumes 256 unless told
  for (const auto attribute :
       {lt::PreferenceAttribute::min_alignment_a, lt::PreferenceAttribute::min_alignment_b,
        lt::PreferenceAttribute::min_alignment_c, lt::PreferenceAttribute::min_alignment_d}) {
    check(functions_.MatmulPreferenceSetAttribute(made, attribute, &alignment, sizeof alignment),
          "describe a preference");
  }
  lt::HeuristicResult result{};
  int count = 0;
  const lt::Status status = functions_.MatmulAlgoGetHeuristic(
      handle_, call.desc, call.a, call.b, call.c, call.c, made, 1, &result, &count);
  const bool found = status == lt::kSuccess && count > 0 && result.state == lt::kSuccess;
  return found ? std::optional(Choice{result.algorithm, form}) : std::nullopt;
}

void LtProducts::run(Stream stream, const LtProduct& p, const Choice& choice) {
  const Call call(functions_, p, choice.form, p.tiles, p.bias);
  const float one = 1.0f;
  const float beta = p.add != nullptr ? 1.0f : 0.0f;
  const void* const add = p.add != nullptr ? p.add : p.c;
  check(
      functions_.Matmul(handle_, call.desc, &one, p.b, call.a, p.a, call.b, &beta, add, call.c, p.c,
                        call.c, &choice.algorithm, workspace(stream), kWorkspaceBytes, stream),
      "multiply");
  settle(stream);
}

bool LtProducts::multiply(Stream stream, const LtProduct& p) {
  const Algorithms& known = algorithms(stream, p);
  if (!known.many) return false;
  run(stream, p, known.few && p.tiles <= kFewTiles ? *known.few : *known.many);
  return true;
}

}  // namespace headspark::cuda
