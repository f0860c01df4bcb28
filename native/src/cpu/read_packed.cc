// Where panels lie, made fp32 or split into terms as a level wants them.
#include "cpu/read_packed.h"

#include "cpu/scratch.h"

namespace headspark {
namespace {

void set_floats(const float* b, std::int64_t depth, GemmTile& tile) {
  tile.b = b;
  tile.layout = PanelLayout::f32;
  tile.panel_bytes = depth * kPanelWidth * 4;
  tile.b_terms = 1;
}

// fp32 panels as the terms of a level, in scratch.
void split_into_terms(const GemmKernels& kernels, GemmTile& tile) {
  const int terms = kernels.b_terms;
  const std::int64_t panel = padded_depth(tile.depth) * kPanelWidth;
  const std::int64_t values = ceil_divide(terms * tile.panels * panel, 2);
  float* memory = scratch(ScratchSlot::gemm_b_terms, values + tile.panels);
  auto* out = reinterpret_cast<std::uint16_t*>(memory);
  float* scales = memory + values;
  kernels.split_panels({static_cast<const float*>(tile.b), tile.panel_bytes / 4, tile.panels,
                        tile.depth, terms, out, scales});
  tile.b = out;
  tile.b_scales = scales;
  tile.layout = kernels.terms_layout;
  tile.panel_bytes = 2 * panel;
  tile.b_terms = terms;
  tile.term_bytes = 2 * tile.panels * panel;
}

}  // namespace

std::int64_t depth_block(const GemmKernels& kernels, std::int64_t depth) {
  if (depth == 0) return kernels.depth_block;
  const std::int64_t blocks = ceil_divide(depth, kernels.depth_block);
  return padded_depth(ceil_divide(depth, blocks));
}

void read_packed(const KernelTable& kernels, const PackedPanels& packed, std::int64_t panel,
                 std::int64_t k, GemmTile& tile) {
  tile.b = packed.at(panel, k);
  tile.layout = packed.layout;
  tile.panel_bytes = packed.panel_bytes();
  tile.b_terms = packed.terms;
  tile.term_bytes = packed.term_bytes();
  tile.b_scales = packed.scales.empty() ? nullptr : packed.scales.data() + panel;
  if (packed.layout == PanelLayout::f32) {
    if (kernels.gemm.b_terms > 0) split_into_terms(kernels.gemm, tile);
    return;
  }
  if (tile.rows < kernels.gemm.expand_rows) return;
  const std::int64_t depth = tile.depth + tile.depth % 2;
  float* b = scratch(ScratchSlot::gemm_b, tile.panels * depth * kPanelWidth);
  for (std::int64_t i = 0; i < tile.panels; ++i) {
    kernels.expand_pairs(static_cast<const std::uint16_t*>(packed.at(panel + i, k)), depth,
                         b + i * depth * kPanelWidth);
  }
  set_floats(b, depth, tile);
}

}  // namespace headspark
