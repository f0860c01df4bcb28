// Packing of weights into panels, straight from the mapped file, in parallel over panels.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <cstring>

#include "cpu/scratch.h"
#include "device/host_memory.h"

namespace headspark {
namespace {

using Direction = PackedWeights::Direction;

// A tile of 32 depths that begins inside the last panel (a slice of inputs) reads at most this far
// past it, against zeros of A: it must find numbers there.
constexpr std::int64_t kTailBytes = 1024;

PackedPanels allocate_panels(PanelLayout layout, int terms, std::int64_t columns,
                             std::int64_t depth) {
  PackedPanels packed;
  packed.layout = layout;
  packed.terms = terms;
  packed.depth = layout == PanelLayout::f32 ? depth : padded_depth(depth);
  packed.panels = (columns + kPanelWidth - 1) / kPanelWidth;
  packed.memory = allocate_host_memory(packed.bytes() + kTailBytes);
  std::memset(static_cast<char*>(packed.memory.get()) + packed.bytes(), 0, kTailBytes);
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

// Element (k, j) of a panel: pairs put two depths side by side.
std::int64_t place(std::int64_t k, std::int64_t j, float) {
  return k * kPanelWidth + j;
}
std::int64_t place(std::int64_t k, std::int64_t j, std::uint16_t) {
  return k / 2 * 2 * kPanelWidth + 2 * j + k % 2;
}

// One panel of outputs: 16 matrix rows side by side. The panel is zero before.
template <typename Stored, typename Packed>
void pack_forward(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const Stored*>(view.data);
  const std::int64_t first = panel * kPanelWidth;
  const std::int64_t width = std::min(kPanelWidth, view.rows - first);
  for (std::int64_t j = 0; j < width; ++j) {
    const Stored* source = data + view.offset(first + j, 0);
    for (std::int64_t k = 0; k < view.cols; ++k) {
      packed[place(k, j, Packed{})] = convert(source[k * view.col_stride], Packed{});
    }
  }
}

// One panel of inputs: 16 columns of every matrix row. The panel is zero before.
template <typename Stored, typename Packed>
void pack_transposed(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const Stored*>(view.data);
  const std::int64_t first = panel * kPanelWidth;
  const std::int64_t width = std::min(kPanelWidth, view.cols - first);
  for (std::int64_t k = 0; k < view.rows; ++k) {
    const Stored* source = data + view.offset(k, first);
    for (std::int64_t j = 0; j < width; ++j) {
      packed[place(k, j, Packed{})] = convert(source[j * view.col_stride], Packed{});
    }
  }
}

template <typename Stored, typename Packed>
void pack_panel(const WeightView& view, Direction direction, std::int64_t panel, Packed* packed,
                std::int64_t count) {
  std::fill_n(packed, count, Packed{});
  if (direction == Direction::forward) {
    pack_forward<Stored, Packed>(view, panel, packed);
  } else {
    pack_transposed<Stored, Packed>(view, panel, packed);
  }
}

// One panel in its final layout; fp32 and fp16 matrices by way of an fp32 panel when split.
void pack_one(const WeightView& view, Direction direction, const GemmKernels& kernels,
              std::int64_t panel, const PackedPanels& packed) {
  char* target = static_cast<char*>(packed.memory.get()) + panel * packed.panel_bytes();
  if (view.dtype == DType::bf16) {
    return pack_panel<std::uint16_t>(view, direction, panel,
                                     reinterpret_cast<std::uint16_t*>(target),
                                     packed.depth * kPanelWidth);
  }
  const std::int64_t depth = direction == Direction::forward ? view.cols : view.rows;
  const bool split = packed.layout == PanelLayout::pairs;
  float* values =
      split ? scratch(ScratchSlot::gemm_b, depth * kPanelWidth) : reinterpret_cast<float*>(target);
  if (view.dtype == DType::f32) {
    pack_panel<float>(view, direction, panel, values, depth * kPanelWidth);
  } else {
    pack_panel<std::uint16_t>(view, direction, panel, values, depth * kPanelWidth);
  }
  if (!split) return;
  const std::int64_t elements = packed.depth * kPanelWidth;
  auto* terms =
      reinterpret_cast<std::uint16_t*>(scratch(ScratchSlot::gemm_a, packed.terms * elements / 2));
  kernels.split_panels({values, depth * kPanelWidth, 1, depth, packed.terms, terms});
  for (int t = 0; t < packed.terms; ++t) {
    std::memcpy(target + t * packed.term_bytes(), terms + t * elements,
                static_cast<std::size_t>(elements) * sizeof(std::uint16_t));
  }
}

PackedPanels pack_view(const WeightView& view, Direction direction, int terms, ThreadPool& threads,
                       const GemmKernels& kernels) {
  const bool forward = direction == Direction::forward;
  PackedPanels packed =
      allocate_panels(terms > 0 ? PanelLayout::pairs : PanelLayout::f32, std::max(terms, 1),
                      forward ? view.rows : view.cols, forward ? view.cols : view.rows);
  threads.parallel_for(packed.panels, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      pack_one(view, direction, kernels, panel, packed);
    }
  });
  return packed;
}

}  // namespace

const PackedPanels& PackedWeights::packed(Direction direction, ThreadPool& threads,
                                          const GemmKernels& kernels) {
  const int of_fp32 = fp32_ == Fp32::split ? kernels.b_terms : 0;
  const int terms = view_.dtype == DType::bf16 ? 1 : of_fp32;
  Form& entry = forms_[direction == Direction::forward ? 0 : 1][terms];
  std::call_once(entry.once,
                 [&] { entry.panels = pack_view(view_, direction, terms, threads, kernels); });
  return entry.panels;
}

}  // namespace headspark
