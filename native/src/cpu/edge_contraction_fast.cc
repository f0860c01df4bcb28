// edge_contraction in blocks of its long axis, and the L1 proximity.
#include <algorithm>
#include <vector>

#include "cpu/edge_contraction_tiles.h"
#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"
#include "cpu/range.h"
#include "cpu/scratch.h"
#include "ops/contraction_rectangles.h"

namespace headspark {
namespace {

// Length of one block of depth: 7 gradients of it are 14 KB and stay in L1, 256 sources of it are
// 512 KB and stay in L2 for the next gradients.
constexpr std::int64_t kBlock = 512;
constexpr std::int64_t kSources = 256;
// Register tiles of a share where there are sources enough for all threads.
constexpr std::int64_t kLeastTiles = 4;

/// Some sources against all destinations; the order of the blocks is fixed.
void contract_sources(const KernelTable& kernels, const EdgeContraction& p, const Range& sources) {
  ContractionTile tile;
  tile.delta_stride = p.delta_stride;
  tile.gradient_stride = p.gradient_stride;
  tile.destinations = p.destinations;
  tile.scores_stride = p.scores_stride;
  tile.packed = scratch(ScratchSlot::contraction, contraction_floats(kBlock));
  for (std::int64_t u = sources.begin; u < sources.end; u += kSources) {
    for (std::int64_t i = 0; i < p.length; i += kBlock) {
      tile.length = std::min(kBlock, p.length - i);
      tile.gradient = p.gradient + i;
      tile.sources = std::min(kSources, sources.end - u);
      tile.delta = p.delta + u * p.delta_stride + i;
      tile.scores = p.scores + u * p.scores_stride;
      kernels.contract(tile);
    }
  }
}

}  // namespace

void edge_contraction_fast(const Context& context, std::span<const EdgeContraction> contractions) {
  const KernelTable& kernels = kernel_table(context);
  if (kernels.contraction.multiply != nullptr) {
    return edge_contraction_in_tiles(context, contractions);
  }
  // Shares of sources: every thread reads all gradients, but each source is read once. Few sources
  // are cut into register tiles, so that all threads have some; otherwise packing the gradients for
  // each share would cost more than it saves.
  struct Share {
    EdgeContraction p;
    Range sources;
  };
  std::vector<EdgeContraction> rectangles;
  std::int64_t all = 0;
  for (const EdgeContraction& contraction : contractions) {
    for_rectangles(contraction, [&](const EdgeContraction& p) {
      rectangles.push_back(p);
      all += p.sources;
    });
  }
  const std::int64_t threads = context.threads->threads();
  const std::int64_t tiles = ceil_divide(all, 2 * threads * kContractionRows);
  const std::int64_t least = kContractionRows * std::clamp<std::int64_t>(tiles, 1, kLeastTiles);
  std::vector<Share> shares;
  for (const EdgeContraction& p : rectangles) {
    for_ranges(p.sources, std::max(ceil_divide(p.sources, threads), least),
               [&](const Range& sources) {
                 shares.push_back({p, sources});
               });
  }
  context.threads->for_each(
      shares, [&](const Share& share) { contract_sources(kernels, share.p, share.sources); });
}

void flow_proximity_fast(const Context& context, const FlowProximity& p) {
  const KernelTable& kernels = kernel_table(context);
  std::vector<double> proximity(static_cast<std::size_t>(p.tokens * p.sources));
  context.threads->parallel_for(p.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* input = p.input + t * p.width;
      const double norm = kernels.abs_sum(input, p.width);
      double total = 0.0;
      for (std::int64_t u = 0; u < p.sources; ++u) {
        const float* write = p.write + u * p.write_stride + t * p.width;
        const double value = norm - kernels.abs_diff_sum(input, write, p.width);
        total += (proximity[t * p.sources + u] = value < 0.0 ? 0.0 : value);
      }
      for (std::int64_t u = 0; total > 0.0 && u < p.sources; ++u) {
        proximity[t * p.sources + u] /= total;
      }
    }
  });
  sum_proximities(p, proximity);
}

}  // namespace headspark
