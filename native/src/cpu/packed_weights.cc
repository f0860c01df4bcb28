// Packing of weights into panels, straight from the mapped file, in parallel over panels.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

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
  if (layout == PanelLayout::fp16_pairs)
    packed.scales.resize(static_cast<std::size_t>(packed.panels));
  packed.memory = allocate_host_memory(packed.bytes() + kTailBytes);
  std::memset(static_cast<char*>(packed.memory.get()) + packed.bytes(), 0, kTailBytes);
  return packed;
}

// What panels are filled from.
struct Bf16 {
  using Stored = std::uint16_t;
  static float value(Stored bits) { return bf16_to_f32(bits); }
};
struct Fp16 {
  using Stored = std::uint16_t;
  static float value(Stored bits) { return f16_to_f32(bits); }
};
struct Fp32 {
  using Stored = float;
  static float value(Stored value) { return value; }
};
/// bf16 as it is.
struct Bf16Bits {
  using Stored = std::uint16_t;
  static std::uint16_t value(Stored bits) { return bits; }
};

// Element (k, j) of a panel: pairs put two depths side by side.
std::int64_t place(std::int64_t k, std::int64_t j, float) {
  return k * kPanelWidth + j;
}
std::int64_t place(std::int64_t k, std::int64_t j, std::uint16_t) {
  return k / 2 * 2 * kPanelWidth + 2 * j + k % 2;
}

// Depths of a panel that are filled for all of its columns before the next: they stay in L1.
constexpr std::int64_t kPackedDepths = 128;

// Depths [begin, end) of column j, from elements `stride` apart; begin is even.
template <typename From, typename Packed>
void pack_column(const typename From::Stored* source, std::int64_t stride, std::int64_t begin,
                 std::int64_t end, std::int64_t j, Packed* packed) {
  if constexpr (std::is_same_v<From, Bf16Bits>) {
    for (; stride == 1 && begin + 1 < end; begin += 2) {
      std::memcpy(packed + place(begin, j, Packed{}), source + begin, 2 * sizeof(Packed));
    }
  }
  for (std::int64_t k = begin; k < end; ++k) {
    packed[place(k, j, Packed{})] = From::value(source[k * stride]);
  }
}

// One panel of outputs: 16 matrix rows side by side. What is not written was zero before.
template <typename From, typename Packed>
void pack_forward(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const typename From::Stored*>(view.data);
  const std::int64_t first = panel * kPanelWidth;
  const std::int64_t width = std::min(kPanelWidth, view.rows - first);
  for (std::int64_t k = 0; k < view.cols; k += kPackedDepths) {
    const std::int64_t end = std::min(k + kPackedDepths, view.cols);
    for (std::int64_t j = 0; j < width; ++j) {
      pack_column<From>(data + view.offset(first + j, 0), view.col_stride, k, end, j, packed);
    }
  }
}

// One panel of inputs: 16 columns of every matrix row. What is not written was zero before.
template <typename From, typename Packed>
void pack_transposed(const WeightView& view, std::int64_t panel, Packed* packed) {
  const auto* data = static_cast<const typename From::Stored*>(view.data);
  const std::int64_t first = panel * kPanelWidth;
  const std::int64_t width = std::min(kPanelWidth, view.cols - first);
  std::int64_t k = 0;
  if constexpr (std::is_same_v<From, Bf16Bits>) {
    for (; width == kPanelWidth && view.col_stride == 1 && k + 1 < view.rows; k += 2) {
      const Packed* even = data + view.offset(k, first);
      const Packed* odd = data + view.offset(k + 1, first);
      for (std::int64_t j = 0; j < kPanelWidth; ++j) {
        packed[k * kPanelWidth + 2 * j] = even[j];
        packed[k * kPanelWidth + 2 * j + 1] = odd[j];
      }
    }
  }
  for (; k < view.rows; ++k) {
    const auto* source = data + view.offset(k, first);
    for (std::int64_t j = 0; j < width; ++j) {
      packed[place(k, j, Packed{})] = From::value(source[j * view.col_stride]);
    }
  }
}

template <typename From, typename Packed>
void pack_panel(const WeightView& view, Direction direction, std::int64_t panel, Packed* packed,
                std::int64_t count) {
  const bool forward = direction == Direction::forward;
  const std::int64_t columns = forward ? view.rows : view.cols;
  const std::int64_t depth = forward ? view.cols : view.rows;
  const bool whole = (panel + 1) * kPanelWidth <= columns && depth * kPanelWidth == count;
  if (!whole) std::fill_n(packed, count, Packed{});
  if (forward) {
    pack_forward<From>(view, panel, packed);
  } else {
    pack_transposed<From>(view, panel, packed);
  }
}

void pack_floats(const WeightView& view, Direction direction, std::int64_t panel, float* values,
                 std::int64_t count) {
  switch (view.dtype) {
    case DType::bf16:
      return pack_panel<Bf16>(view, direction, panel, values, count);
    case DType::f16:
      return pack_panel<Fp16>(view, direction, panel, values, count);
    default:
      return pack_panel<Fp32>(view, direction, panel, values, count);
  }
}

// One panel in its final layout; by way of an fp32 panel where it is split or scaled.
void pack_one(const WeightView& view, Direction direction, const GemmKernels& kernels,
              std::int64_t panel, PackedPanels& packed) {
  char* target = static_cast<char*>(packed.memory.get()) + panel * packed.panel_bytes();
  if (view.dtype == DType::bf16 && packed.layout == PanelLayout::pairs) {
    return pack_panel<Bf16Bits>(view, direction, panel, reinterpret_cast<std::uint16_t*>(target),
                                packed.depth * kPanelWidth);
  }
  const std::int64_t depth = direction == Direction::forward ? view.cols : view.rows;
  const bool split = packed.layout != PanelLayout::f32;
  float* values =
      split ? scratch(ScratchSlot::gemm_b, depth * kPanelWidth) : reinterpret_cast<float*>(target);
  pack_floats(view, direction, panel, values, depth * kPanelWidth);
  if (!split) return;
  SplitPanels panels{values, depth * kPanelWidth, 1, depth, packed.terms};
  panels.out = reinterpret_cast<std::uint16_t*>(target);
  panels.term_stride = packed.term_bytes() / 2;
  if (!packed.scales.empty()) panels.scales = packed.scales.data() + panel;
  kernels.split_panels(panels);
}

PackedPanels pack_view(const WeightView& view, Direction direction, int terms, ThreadPool& threads,
                       const GemmKernels& kernels) {
  const bool forward = direction == Direction::forward;
  PackedPanels packed =
      allocate_panels(terms > 0 ? kernels.terms_layout : PanelLayout::f32, std::max(terms, 1),
                      forward ? view.rows : view.cols, forward ? view.cols : view.rows);
  threads.parallel_for(packed.panels, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      pack_one(view, direction, kernels, panel, packed);
    }
  });
  return packed;
}

}  // namespace

int PackedWeights::terms_for(const GemmKernels& kernels) const {
  if (view_.dtype == DType::bf16) return 1;
  if (kernels.b_terms == 0 || (fp32_ == Fp32::whole && kernels.b_terms > 1)) return 0;
  const bool one = view_.dtype == DType::f16 && kernels.terms_layout == PanelLayout::fp16_pairs;
  return one ? 1 : kernels.b_terms;
}

const PackedPanels& PackedWeights::packed(Direction direction, ThreadPool& threads,
                                          const GemmKernels& kernels) {
  const int terms = terms_for(kernels);
  const bool fp16 = terms > 0 && kernels.terms_layout == PanelLayout::fp16_pairs;
  Form& entry = forms_[direction == Direction::forward ? 0 : 1][terms + (fp16 ? kBf16Forms : 0)];
  std::call_once(entry.once,
                 [&] { entry.panels = pack_view(view_, direction, terms, threads, kernels); });
  return entry.panels;
}

}  // namespace headspark
