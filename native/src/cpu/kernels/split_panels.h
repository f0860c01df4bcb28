// B operands in the terms of a level: one pass for bf16 and fp16 terms. Static, as they are.
#pragma once

#include "cpu/kernels/bf16_terms.h"
#include "cpu/kernels/fp16_terms.h"

namespace headspark {

/// fp32 panels into `Terms` terms, [term][panel][padded depth / 2][16][2]. fp16 terms hold a panel
/// times a power of two, whose inverse is written to scales.
template <int Terms, typename Split>
static void split_panels_into(const SplitPanels& p) {
  const std::int64_t depth = padded_depth(p.depth);
  const std::int64_t panel = depth * 16;
  const std::int64_t term = p.term_stride > 0 ? p.term_stride : p.count * panel;
  const float zeros[16] = {};
  for (std::int64_t n = 0; n < p.count; ++n) {
    const float* source = p.panels + n * p.panel_stride;
    std::uint16_t* out = p.out + n * panel;
    float scale = 1.0f;
    if constexpr (Split::layout == PanelLayout::fp16_pairs) {
      const RowPower power = row_power(Split::largest(source, p.depth * 16));
      scale = power.power;
      p.scales[n] = power.inverse;
    }
    std::int64_t k = 0;
    for (; k + 1 < p.depth; k += 2) {
      const float* pair = source + k * 16;
      Split::template pairs<Terms>(pair, pair + 16, scale, out + k * 16, term);
    }
    if (k < p.depth) {
      Split::template pairs<Terms>(source + k * 16, zeros, scale, out + k * 16, term);
      k += 2;
    }
    for (int t = 0; t < Terms; ++t) {
      __builtin_memset(out + t * term + k * 16, 0, static_cast<std::size_t>(2 * (depth - k) * 16));
    }
  }
}

/// The same for 1 or `Most` terms, as p.terms says.
template <int Most, typename Split>
static void split_panels(const SplitPanels& p) {
  p.terms == 1 ? split_panels_into<1, Split>(p) : split_panels_into<Most, Split>(p);
}

}  // namespace headspark
