// A float is NaN or infinite exactly when all its exponent bits are set. The scan over a piece is a
// branch-free reduction, so that the compiler vectorises it; only a bad piece is searched.
#include "model/check_values.h"

#include <algorithm>

#include "headspark/thread_pool.h"
#include "model/json_input.h"

namespace headspark {
namespace {

constexpr std::size_t checked_bytes = 1 << 20;  // 269 MB are 257 pieces of ~0.3 ms

template <typename Bits>
bool all_finite(const std::byte* data, std::size_t bytes, Bits exponent) {
  const auto* words = reinterpret_cast<const Bits*>(data);
  const std::size_t count = bytes / sizeof(Bits);
  Bits bad = 0;
  for (std::size_t i = 0; i < count; ++i) {
    bad |= static_cast<Bits>((words[i] & exponent) == exponent ? 1 : 0);
  }
  return bad == 0;
}

bool piece_is_finite(DType dtype, const std::byte* data, std::size_t bytes) {
  switch (dtype) {
    case DType::f32:
      return all_finite<std::uint32_t>(data, bytes, 0x7f800000u);
    case DType::f16:
      return all_finite<std::uint16_t>(data, bytes, 0x7c00u);
    default:
      return all_finite<std::uint16_t>(data, bytes, 0x7f80u);
  }
}

struct Piece {
  const StoredTensor* tensor = nullptr;
  std::size_t begin = 0;  ///< byte within the tensor
  std::size_t bytes = 0;
};

[[noreturn]] void report(const Piece& piece) {
  const StoredTensor& tensor = *piece.tensor;
  const DType dtype = *tensor.dtype();
  const std::size_t width = static_cast<std::size_t>(dtype_bytes(dtype));
  std::size_t index = 0;
  while (piece_is_finite(dtype, tensor.data + piece.begin + index * width, width)) ++index;
  throw Error(ErrorCode::TENSOR_VALUE, tensor.file + ": tensor " + quote(tensor.entry.name) +
                                           " has a NaN or infinite value at flat index " +
                                           std::to_string(piece.begin / width + index) +
                                           "; the checkpoint is damaged or its training diverged.");
}

}  // namespace

void check_values(const std::vector<const StoredTensor*>& tensors, const RunControl& control) {
  std::vector<Piece> pieces;
  for (const StoredTensor* tensor : tensors) {
    for (std::size_t begin = 0; begin < tensor->bytes(); begin += checked_bytes) {
      pieces.push_back({tensor, begin, std::min(checked_bytes, tensor->bytes() - begin)});
    }
  }
  std::vector<std::uint8_t> bad(pieces.size(), 0);
  ThreadPool pool(pieces.size() > 8 ? 2 : 1);
  pool.parallel_for(static_cast<std::int64_t>(pieces.size()), 8,
                    [&](std::int64_t begin, std::int64_t end) {
                      control.check();
                      for (std::int64_t i = begin; i < end; ++i) {
                        const Piece& piece = pieces[static_cast<std::size_t>(i)];
                        bad[static_cast<std::size_t>(i)] = !piece_is_finite(
                            *piece.tensor->dtype(), piece.tensor->data + piece.begin, piece.bytes);
                      }
                    });
  const auto first = std::find(bad.begin(), bad.end(), 1);
  if (first != bad.end()) report(pieces[static_cast<std::size_t>(first - bad.begin())]);
}

}  // namespace headspark
