// Packing of weights into panels, in parallel over panels.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "headspark/error.h"

namespace headspark {
namespace {

PackedPanels allocate_panels(DType dtype, std::int64_t columns, std::int64_t depth) {
  PackedPanels packed;
  packed.dtype = dtype == DType::bf16 ? DType::bf16 : DType::f32;
  packed.depth = depth;
  packed.panels = (columns + kPanelWidth - 1) / kPanelWidth;
  const auto bytes = static_cast<std::size_t>((packed.bytes() + 64 + 63) / 64 * 64);
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "Could not allocate " + std::to_string(bytes) +
                    " bytes for packed weights; free memory or use a smaller model.");
  }
  packed.memory = std::shared_ptr<void>(memory, std::free);
  return packed;
}

std::uint16_t convert(std::uint16_t bits, std::uint16_t) {
  return bits;
}  // bf16 stays as it is
float convert(float value, float) {
  return value;
}
float convert(std::uint16_t bits, float) {
  return f16_to_f32(bits);
}

// One panel of outputs: 16 matrix rows side by side.
template <typename Stored, typename Packed>
void pack_forward(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const Stored*>(view.data);
  for (std::int64_t j = 0; j < kPanelWidth; ++j) {
    const std::int64_t row = panel * kPanelWidth + j;
    if (row >= view.rows) {
      for (std::int64_t k = 0; k < view.cols; ++k) packed[k * kPanelWidth + j] = Packed{};
      continue;
    }
    const Stored* source = data + view.offset(row, 0);
    for (std::int64_t k = 0; k < view.cols; ++k) {
      packed[k * kPanelWidth + j] = convert(source[k * view.col_stride], Packed{});
    }
  }
}

// One panel of inputs: 16 columns of every matrix row.
template <typename Stored, typename Packed>
void pack_transposed(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const Stored*>(view.data);
  const std::int64_t first = panel * kPanelWidth;
  const std::int64_t width = std::min(kPanelWidth, view.cols - first);
  for (std::int64_t k = 0; k < view.rows; ++k) {
    const Stored* source = data + view.offset(k, first);
    Packed* target = packed + k * kPanelWidth;
    for (std::int64_t j = 0; j < width; ++j) {
      target[j] = convert(source[j * view.col_stride], Packed{});
    }
    for (std::int64_t j = width; j < kPanelWidth; ++j) target[j] = Packed{};
  }
}

enum class Direction { forward, transposed };

template <typename Stored, typename Packed>
void pack(const WeightView& view, Direction direction, ThreadPool& threads,
          const PackedPanels& packed) {
  auto* base = static_cast<Packed*>(packed.memory.get());
  threads.parallel_for(packed.panels, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      Packed* target = base + panel * packed.depth * kPanelWidth;
      if (direction == Direction::forward) {
        pack_forward<Stored, Packed>(view, panel, target);
      } else {
        pack_transposed<Stored, Packed>(view, panel, target);
      }
    }
  });
}

PackedPanels pack_view(const WeightView& view, Direction direction, ThreadPool& threads) {
  const bool forward = direction == Direction::forward;
  PackedPanels packed =
      allocate_panels(view.dtype, forward ? view.rows : view.cols, forward ? view.cols : view.rows);
  switch (view.dtype) {
    case DType::f32:
      pack<float, float>(view, direction, threads, packed);
      break;
    case DType::f16:
      pack<std::uint16_t, float>(view, direction, threads, packed);
      break;
    case DType::bf16:
      pack<std::uint16_t, std::uint16_t>(view, direction, threads, packed);
      break;
  }
  return packed;
}

}  // namespace

const PackedPanels& PackedWeights::forward(ThreadPool& threads) {
  std::call_once(forward_once_, [&] { forward_ = pack_view(view_, Direction::forward, threads); });
  return forward_;
}

const PackedPanels& PackedWeights::transposed(ThreadPool& threads) {
  std::call_once(transposed_once_,
                 [&] { transposed_ = pack_view(view_, Direction::transposed, threads); });
  return transposed_;
}

}  // namespace headspark
