// What attention forward over contiguous keys and over pages share: a block's place, its queries,
// and how it writes what it found.
#pragma once

#include "cuda/attention_forward.h"
#include "cuda/attention_softmax.h"
#include "cuda/row_pairs.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {

constexpr int kMostForwardThreads = 128;

struct Place {
  HeadAt at;
  std::int32_t first;  // own token of the block's first row
  std::int32_t chunk;
  int chunks;
};

/// The own token of fragment element r (0 … 3) of this lane.
HEADSPARK_DEVICE std::int32_t token_of(const Place& place, int r) {
  return place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
}

/// Nothing of this tile's attention is seen: every query has gate 0, and neither raw nor lse is
/// wanted.
HEADSPARK_DEVICE bool hidden(const ForwardAttention& p, const Place& place) {
  if (p.raw != nullptr || p.lse != nullptr || p.gate.scale == nullptr) return false;
  if (p.gate.gate_begin != nullptr || p.gate.gate_end != nullptr) return false;
  return p.gate.scale[place.at.row * p.shape.heads + place.at.head] == 0.0f;
}

/// The block's place, counted from a row's last queries on: those have most to do.
HEADSPARK_DEVICE Place place_of(const ForwardAttention& p, int rows, int width) {
  const int blocks = (p.layout.longest_row + rows - 1) / rows;
  Place place{head_at(p.shape, p.layout, block_x() / blocks), 0, block_y(),
              static_cast<int>((p.shape.head_dim + width - 1) / width)};
  place.first = (blocks - 1 - block_x() % blocks) * rows;
  return place;
}
/// Whether any of its `rows` queries is to be computed.
HEADSPARK_DEVICE bool has_queries(const ForwardAttention& p, const Place& place, int rows) {
  if (place.at.own < p.shortest) return false;
  return place.first < place.at.own && place.first + rows > place.at.first_query;
}
/// The position after the last that a query of the block sees; 0: none sees anything.
HEADSPARK_DEVICE std::int32_t context_end(const ForwardAttention& p, const Place& place, int rows) {
  if (hidden(p, place)) return 0;
  const std::int32_t last = place.first + rows < place.at.own ? place.first + rows : place.at.own;
  return place.at.prefix + last;
}

/// The first position that a query of the block sees, or others before it up to where a step
/// begins.
HEADSPARK_DEVICE std::int32_t context_begin(const ForwardAttention& p, const Place& place) {
  return first_key(p.shape, place.at.prefix + place.first) / kStepKeys * kStepKeys;
}
HEADSPARK_DEVICE SeenKeys seen_keys(const ForwardAttention& p, const Place& place) {
  return seen_keys(p.shape, place.at.prefix + token_of(place, 0),
                   place.at.prefix + token_of(place, 2));
}

/// Rows g and g + 8 of a warp's 16, over all keys.
using Totals = MergedSoftmax[2];

/// Column of piece n and fragment element r in the head.
template <int Width>
HEADSPARK_DEVICE std::int32_t column_of(const Place& place, int n, int r) {
  return place.chunk * Width + 8 * n + lane_index() % 4 * 2 + r % 2;
}

template <int Width>
HEADSPARK_DEVICE void write(const ForwardAttention& p, const Place& place, const Totals& totals,
                            const FragmentC (&sums)[Width / 8]) {
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; r += 2) {
    const std::int32_t token = token_of(place, r);
    if (!at.has_query(token)) continue;
    const GatedToken gated{at.row, token, at.prefix + token};
    const float scale = gate_scale(p.gate, gated, at.head, p.shape.heads);
    // A row without a gate may point past the replacements.
    const float* replacement =
        scale == 1.0f ? nullptr
                      : gate_replacement(p.gate, gated, at.head, p.shape.heads, p.shape.head_dim);
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      const std::int32_t d = column_of<Width>(place, n, 0);
      const auto write_own = [&](float* to, const Two& pair) {
        write_row_pair(to + at.query(token), d, p.shape.head_dim, p.two, pair);
      };
      float value[2];
      HEADSPARK_UNROLL
      for (int i = 0; i < 2; ++i) value[i] = sums[n].r[r + i] / totals[r / 2].sum;
      if (p.raw != nullptr) write_own(p.raw, {value[0], value[1]});
      HEADSPARK_UNROLL
      for (int i = 0; i < 2; ++i) {
        const bool replaced = replacement != nullptr && d + i < p.shape.head_dim;
        // The line that gates a head.
        value[i] = gated_value(scale, value[i], replaced ? replacement[d + i] : 0.0f);
      }
      write_own(p.z, {value[0], value[1]});
    }
    if (p.lse != nullptr && place.chunk == 0 && lane_index() % 4 == 0) {
      p.lse[(at.begin + token) * p.shape.heads + at.head] =
          totals[r / 2].largest + logarithm(totals[r / 2].sum);
    }
  }
}

/// Pieces of fp32 rows that a thread asks for at once: what registers leave room for.
template <int Terms, int Width>
constexpr int at_once() {
  return Width <= 64 ? 4 : Terms == 1 ? 2 : 1;
}

/// Each query is read by one block only, which splits it.
template <int Terms, int Width>
HEADSPARK_DEVICE void load_queries(const ForwardAttention& p, const Place& place,
                                   const Tile<Terms, Width>& queries, int column) {
  queries.template load<at_once<Terms, Width>()>(
      [&](int r) {
        const std::int32_t token = place.first + r;
        return place.at.has_query(token) ? p.q + place.at.query(token) : nullptr;
      },
      {column, p.shape.head_dim, p.four});
}

using ForwardChoice = AttentionChoice<void (*)(ForwardAttention)>;

/// Blocks of warps for the longest row's queries in every row, head and chunk; see place_of.
inline void launch_forward(OpDevice& device, const ForwardChoice& chosen,
                           const ForwardAttention& p) {
  const std::int64_t blocks = blocks_for(p.layout.longest_row, chosen.warps * kWarpRows);
  const LaunchShape shape{
      {blocks_for(blocks * p.shape.heads * p.layout.rows, 1), chunk_count(p.shape.head_dim)},
      32 * chosen.warps,
      chosen.shared_bytes};
  launch(device.stream(), shape, chosen.kernel, p);
}

}  // namespace headspark::cuda
