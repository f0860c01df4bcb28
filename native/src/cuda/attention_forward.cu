// A block has up to 64 queries of one (row, head), a warp 16 of them, and walks over the keys 32 at
// a time from position 0 on, whatever the batch: a query's bits depend on its own row alone. Scores
// and weights stay in registers. Over pages the context is cut into splits, merged in order as in
// decode_attention.cu; in between the sums lie in z. Heads wider than 128 are cut into chunks: a
// block writes one chunk of z and computes the scores anew.
#include "cuda/attention_forward.h"
#include "cuda/attention_softmax.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {
namespace {

constexpr int kMostThreads = 128;

struct Place {
  HeadAt at;
  std::int32_t first;  // own token of the block's first row
  std::int32_t chunk;
  int chunks;
};

// The own token of fragment element r (0 … 3) of this lane.
HEADSPARK_DEVICE std::int32_t token_of(const Place& place, int r) {
  return place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
}

// Nothing of this tile's attention is seen: every query has gate 0, and neither raw nor lse is
// wanted.
HEADSPARK_DEVICE bool hidden(const ForwardAttention& p, const Place& place) {
  if (p.raw != nullptr || p.lse != nullptr || p.gate.scale == nullptr) return false;
  if (p.gate.gate_begin != nullptr || p.gate.gate_end != nullptr) return false;
  return p.gate.scale[place.at.row * p.shape.heads + place.at.head] == 0.0f;
}

// Rows g and g + 8 of a warp's 16, over all splits so far.
using Totals = MergedSoftmax[2];

// Column of piece n and fragment element r in the head.
template <int Width>
HEADSPARK_DEVICE std::int32_t column_of(const Place& place, int n, int r) {
  return place.chunk * Width + 8 * n + lane_index() % 4 * 2 + r % 2;
}

struct Split {
  std::int32_t begin;  // its first key
  std::int32_t end;
};

// Adds a split to those before it, which lie in z; after the last the sums of all are in `sums`.
template <int Width, bool Paged>
HEADSPARK_DEVICE void add_split(Totals& totals, FragmentC (&sums)[Width / 8],
                                const Softmax& softmax, const ForwardAttention& p,
                                const Place& place, const Split& split, bool last) {
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const MergedSoftmax own{softmax.largest[half], whole_sum(softmax.sum[half])};
    if (split.begin == 0) totals[half] = own;
    if constexpr (!Paged) continue;
    const std::int32_t token = token_of(place, 2 * half);
    const bool sees = place.at.prefix + token >= split.begin;
    MergeFactors factors{1.0f, 0.0f};
    if (split.begin > 0 && sees) factors = merge(totals[half], own);
    if (!place.at.has_query(token)) continue;
    float* const z = p.z + place.at.query(token);
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        const std::int32_t d = column_of<Width>(place, n, r);
        if (d >= p.shape.head_dim) continue;
        float& sum = sums[n].r[r];
        if (split.begin > 0) sum = sees ? merge(factors, z[d], sum) : z[d];
        if (!last) z[d] = sum;
      }
    }
  }
}

template <int Width>
HEADSPARK_DEVICE void write(const ForwardAttention& p, const Place& place, const Totals& totals,
                            const FragmentC (&sums)[Width / 8]) {
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; ++r) {
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
      const std::int32_t d = column_of<Width>(place, n, r);
      if (d >= p.shape.head_dim) continue;
      const float raw = sums[n].r[r] / totals[r / 2].sum;
      if (p.raw != nullptr) p.raw[at.query(token) + d] = raw;
      // The line that gates a head.
      p.z[at.query(token) + d] =
          gated_value(scale, raw, replacement != nullptr ? replacement[d] : 0.0f);
    }
    if (p.lse != nullptr && place.chunk == 0 && r % 2 == 0 && lane_index() % 4 == 0) {
      p.lse[(at.begin + token) * p.shape.heads + at.head] =
          totals[r / 2].largest + logarithm(totals[r / 2].sum);
    }
  }
}

template <int Terms, int Width>
struct Tiles {
  Tile<Terms, Width> queries;
  Tile<Terms, Width> keys;
  Tile<Terms, Width> values;
};

// Scores of the block's queries and the keys from first_key on, over all chunks of the head; leaves
// the values of the block's chunk in shared memory.
template <int Terms, int Width, bool Paged>
HEADSPARK_DEVICE void scores(FragmentC (&s)[kStepPieces], const ForwardAttention& p,
                             const Place& place, const Tiles<Terms, Width>& tiles,
                             std::int32_t first_key) {
  const HeadAt& at = place.at;
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    const Columns columns{chunk * static_cast<std::int64_t>(Width), p.shape.head_dim, p.four};
    sync_threads();  // everyone is done with the tiles before
    if (chunk == 0) {
      tiles.values.load([&](int r) { return context_row<Paged>(at, p.store, first_key + r, true); },
                        {place.chunk * std::int64_t{Width}, p.shape.head_dim, p.four});
    }
    tiles.keys.load([&](int r) { return context_row<Paged>(at, p.store, first_key + r, false); },
                    columns);
    if (place.chunks > 1 || first_key == 0) {
      tiles.queries.load(
          [&](int r) {
            const std::int32_t token = place.first + r;
            return RowAt{at.has_query(token) ? p.q + at.query(token) : nullptr, 1, 1.0f};
          },
          columns);
    }
    sync_threads();
    add_scores(s, tiles.queries, tiles.keys);
  }
}

template <int Terms, int Width, bool Paged>
HEADSPARK_KERNEL(kMostThreads, 2)
forward_kernel(ForwardAttention p) {
  const int rows = block_threads() / 32 * kWarpRows;
  const int blocks = (p.layout.longest_row + rows - 1) / rows;
  Place place{head_at(p.shape, p.layout, block_x() / blocks), 0, block_y(),
              static_cast<int>((p.shape.head_dim + Width - 1) / Width)};
  place.first = (blocks - 1 - block_x() % blocks) * rows;
  const HeadAt& at = place.at;
  if (at.own < p.shortest) return;
  if (place.first >= at.own || place.first + rows <= at.first_query) return;
  SharedMemory memory;
  // The queries last: the others then lie at places that the compiler knows.
  const auto keys = Tile<Terms, Width>::take(memory, kStepKeys);
  const auto values = Tile<Terms, Width>::take(memory, kStepKeys);
  const Tiles<Terms, Width> tiles{Tile<Terms, Width>::take(memory, rows), keys, values};
  Totals totals = {{-infinity(), 0.0f}, {-infinity(), 0.0f}};
  FragmentC sums[Width / 8] = {};
  const std::int32_t last = place.first + rows < at.own ? place.first + rows : at.own;
  const std::int32_t end = hidden(p, place) ? 0 : at.prefix + last;
  for (Split split{0, end}; split.begin < end; split.begin = split.end) {
    if constexpr (Paged) split.end = split_end(split.begin, end);
    Softmax softmax = nothing_seen();
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) sums[n] = {};
    for (std::int32_t key = split.begin; key < split.end; key += kStepKeys) {
      FragmentC s[kStepPieces] = {};
      scores<Terms, Width, Paged>(s, p, place, tiles, key);
      float shrink[2];
      const std::int32_t positions[2] = {at.prefix + token_of(place, 0),
                                         at.prefix + token_of(place, 2)};
      weigh(s, softmax, shrink, positions, key, p.shape.scale);
      const LeftTerms<Terms, kStepPieces> weights(s);
      add_weighted(sums, weights, tiles.values, shrink);
    }
    add_split<Width, Paged>(totals, sums, softmax, p, place, split, split.end == end);
  }
  write<Width>(p, place, totals, sums);
}

using Choice = AttentionChoice<void (*)(ForwardAttention)>;

}  // namespace

void attention_forward_kernels(OpDevice& device, Precision precision,
                               const ForwardAttention& params) {
  const std::int32_t longest = params.layout.longest_row;
  if (longest <= 0) return;
  const Choice chosen =
      choose_tiles(precision, params.shape.head_dim, [&]<int Terms, int Width>() -> Choice {
        const int warps = warps_for<Terms, Width>(longest);
        const int elements = Tile<Terms, Width>::elements(warps * kWarpRows) +
                             2 * Tile<Terms, Width>::elements(kStepKeys);
        return {params.store.pages != nullptr ? &forward_kernel<Terms, Width, true>
                                              : &forward_kernel<Terms, Width, false>,
                warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  const std::int64_t blocks = blocks_for(longest, chosen.warps * kWarpRows);
  const LaunchShape shape{{blocks_for(blocks * params.shape.heads * params.layout.rows, 1),
                           chunk_count(params.shape.head_dim)},
                          32 * chosen.warps,
                          chosen.shared_bytes};
  launch(device.stream(), shape, chosen.kernel, params);
}

}  // namespace headspark::cuda
