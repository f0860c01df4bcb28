// edge_contraction as matrix products: sources are rows of A, destinations columns of B, both along
// the contracted axis. That is long, so segments of it are what threads share: the partial scores
// of a segment are kept and added in order. Where segments and blocks begin depends on the length
// alone, and no chain on other edges.
#include "cpu/edge_contraction_tiles.h"

#include <algorithm>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/packed_weights.h"
#include "cpu/range.h"
#include "cpu/scratch.h"

namespace headspark {
namespace {

// Blocks of depth of one chain: the next chains begin at zero, so that sums stay accurate.
constexpr std::int64_t kChainBlocks = 4;
constexpr std::int64_t kSegmentChains = 4;
constexpr std::int64_t kMostSegments = 16;
// Destinations at once: their terms of one chain are 1.2 MB and stay in L2.
constexpr std::int64_t kColumns = 256;
// Sources of one product: their terms of one block stay in L1. Fewer than a tile's 16 rows at the
// end join the ones before.
constexpr std::int64_t kRows = 32;
constexpr std::int64_t kMostRows = kRows + 15;

std::int64_t segment_length(std::int64_t chain, std::int64_t length) {
  const std::int64_t chains = ceil_divide(length, chain);
  return chain * std::max(kSegmentChains, ceil_divide(chains, kMostSegments));
}

/// One range of the contracted axis of one contraction, on one thread.
class Segment {
 public:
  /// `sums`: [sources, destinations], written; null: the scores are added to.
  Segment(const KernelTable& kernels, const EdgeContraction& p, const Range& depths, float* sums)
      : kernels_(kernels), gemm_(kernels.contraction), p_(p), depths_(depths), sums_(sums) {}

  void run() {
    const Multiplying multiplying(gemm_, p_.sources);
    for_ranges(p_.destinations, kColumns, [&](const Range& columns) {
      const std::int64_t chain = kChainBlocks * gemm_.depth_block;
      for (std::int64_t k = depths_.begin; k < depths_.end; k += chain) {
        pack_gradients(columns, {k, std::min(k + chain, depths_.end)});
        multiply_chain();
      }
    });
  }

 private:
  std::int64_t panels() const { return ceil_divide(columns_.count(), kPanelWidth); }
  std::int64_t block_values() const {
    return gemm_.b_terms * panels() * gemm_.depth_block * kPanelWidth;
  }
  /// Of these columns, the first with a score of source u.
  std::int64_t first_column(std::int64_t u) const {
    return std::max<std::int64_t>(p_.first_destination(u) - columns_.begin, 0);
  }
  template <typename Body>
  void for_blocks(const Body& body) const {
    for_ranges(chain_.count(), gemm_.depth_block, [&](const Range& block) {
      body(Range{chain_.begin + block.begin, chain_.begin + block.end});
    });
  }
  std::uint16_t* terms_of(const Range& block) const {
    return terms_ + (block.begin - chain_.begin) / gemm_.depth_block * block_values();
  }

  /// The terms of some gradients along one chain.
  void pack_gradients(const Range& columns, const Range& chain) {
    columns_ = columns;
    chain_ = chain;
    terms_ = reinterpret_cast<std::uint16_t*>(
        scratch(ScratchSlot::contraction_terms, ceil_divide(kChainBlocks * block_values(), 2)));
    float* panel = scratch(ScratchSlot::contraction, gemm_.depth_block * kPanelWidth);
    for_blocks([&](const Range& block) {
      const std::int64_t values = padded_depth(block.count()) * kPanelWidth;
      for (std::int64_t n = 0; n < panels(); ++n) {
        const float* rows[kPanelWidth] = {};
        for (std::int64_t j = 0; j < kPanelWidth; ++j) {
          const std::int64_t v = columns.begin + n * kPanelWidth + j;
          if (v < columns.end) rows[j] = p_.gradient + v * p_.gradient_stride + block.begin;
        }
        kernels_.pack_rows({rows, block.count(), panel});
        SplitPanels split;
        split.panels = panel;
        split.panel_stride = block.count() * kPanelWidth;
        split.count = 1;
        split.depth = block.count();
        split.terms = gemm_.b_terms;
        split.out = terms_of(block) + n * values;
        split.term_stride = panels() * values;
        gemm_.split_panels(split);
      }
    });
  }

  void multiply_chain() const {
    float* sums = scratch(ScratchSlot::contraction_sums, kMostRows * panels() * kPanelWidth);
    std::int64_t rows = 0;
    for (std::int64_t u = 0; u < p_.sources; u += rows) {
      rows = p_.sources - u <= kMostRows ? p_.sources - u : kRows;
      if (p_.first_destination(u) >= columns_.end) break;
      for_blocks([&](const Range& block) { multiply_block(block, {u, u + rows}, sums); });
      add_chain({u, u + rows}, sums);
    }
  }

  void multiply_block(const Range& block, const Range& sources, float* sums) const {
    PackRowsA pack;
    pack.rows = p_.delta + sources.begin * p_.delta_stride + block.begin;
    pack.stride = p_.delta_stride;
    pack.count = sources.count();
    pack.depth = block.count();
    pack.a = scratch(ScratchSlot::contraction_rows,
                     ceil_divide(gemm_.a_bytes(kMostRows, gemm_.depth_block), 4));
    gemm_.pack_a(pack);
    const std::int64_t values = padded_depth(block.count()) * kPanelWidth;
    const std::int64_t panel = first_column(sources.begin) / kPanelWidth;
    GemmTile tile;
    tile.a = pack.a;
    tile.rows = sources.count();
    tile.b = terms_of(block) + panel * values;
    tile.layout = gemm_.terms_layout;
    tile.panel_bytes = 2 * values;
    tile.b_terms = gemm_.b_terms;
    tile.term_bytes = panels() * tile.panel_bytes;
    tile.panels = panels() - panel;
    tile.depth = block.count();
    tile.c = sums + panel * kPanelWidth;
    tile.c_stride = panels() * kPanelWidth;
    tile.accumulate = block.begin > chain_.begin;
    tile.next = read_next(block, sources);
    gemm_.multiply(tile);
  }

  /// The sources that are packed next: in other blocks of the same, or the ones after them.
  Fetch read_next(const Range& block, const Range& sources) const {
    const bool last = block.end == chain_.end;
    const std::int64_t first = last ? sources.end : sources.begin;
    const std::int64_t begin = last ? chain_.begin : block.end;
    Fetch next;
    next.at = p_.delta + first * p_.delta_stride + begin;
    next.bytes = 4 * std::min(gemm_.depth_block, chain_.end - begin);
    next.stride = 4 * p_.delta_stride;
    next.count = std::min(sources.count(), p_.sources - first);
    return next;
  }

  void add_chain(const Range& sources, const float* sums) const {
    const bool begins = sums_ != nullptr && chain_.begin == depths_.begin;
    for (std::int64_t u = sources.begin; u < sources.end; ++u) {
      const std::int64_t first = first_column(u);
      if (first >= columns_.count()) break;
      float* to = sums_ != nullptr ? sums_ + u * p_.destinations : p_.scores + u * p_.scores_stride;
      kernels_.combine(1.0f, sums + (u - sources.begin) * panels() * kPanelWidth + first,
                       begins ? 0.0f : 1.0f, to + columns_.begin + first, columns_.count() - first);
    }
  }

  const KernelTable& kernels_;
  const GemmKernels& gemm_;
  const EdgeContraction& p_;
  Range depths_;
  float* sums_;
  Range columns_ = {};
  Range chain_ = {};
  std::uint16_t* terms_ = nullptr;
};

/// A contraction in its segments.
struct Parts {
  const EdgeContraction* p = nullptr;
  std::vector<Range> segments = {};
  float* sums = nullptr;  // [segments, sources, destinations]; one segment has none

  std::int64_t scores() const { return p->sources * p->destinations; }
  std::int64_t floats() const {
    return segments.size() > 1 ? static_cast<std::int64_t>(segments.size()) * scores() : 0;
  }
};

void add_segments(const KernelTable& kernels, const Parts& parts, std::int64_t source) {
  const EdgeContraction& p = *parts.p;
  const std::int64_t first = p.first_destination(source);
  for (std::size_t i = 0; i < parts.segments.size(); ++i) {
    const float* sums = parts.sums + static_cast<std::int64_t>(i) * parts.scores();
    kernels.combine(1.0f, sums + source * p.destinations + first, 1.0f,
                    p.scores + source * p.scores_stride + first, p.destinations - first);
  }
}

}  // namespace

void edge_contraction_in_tiles(const Context& context,
                               std::span<const EdgeContraction> contractions) {
  const KernelTable& kernels = kernel_table(context);
  std::vector<Parts> all;
  std::int64_t floats = 0;
  for (const EdgeContraction& p : contractions) {
    Parts& parts = all.emplace_back(Parts{&p});
    const std::int64_t chain = kChainBlocks * kernels.contraction.depth_block;
    for_ranges(p.length, segment_length(chain, p.length),
               [&](const Range& segment) { parts.segments.push_back(segment); });
    floats += parts.floats();
  }
  float* sums = scratch(ScratchSlot::contraction_partials, floats);
  std::vector<Segment> segments;
  for (Parts& parts : all) {
    if (parts.floats() > 0) parts.sums = sums;
    sums += parts.floats();
    for (std::size_t i = 0; i < parts.segments.size(); ++i) {
      float* to = parts.sums != nullptr ? parts.sums + static_cast<std::int64_t>(i) * parts.scores()
                                        : nullptr;
      segments.emplace_back(kernels, *parts.p, parts.segments[i], to);
    }
  }
  context.threads->for_each(segments, [](Segment& segment) { segment.run(); });
  for (const Parts& parts : all) {
    if (parts.sums == nullptr) continue;
    context.threads->parallel_for(parts.p->sources, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t u = begin; u < end; ++u) add_segments(kernels, parts, u);
    });
  }
}

}  // namespace headspark
