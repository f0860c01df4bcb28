// A block has up to 64 queries of one (row, head), a warp 16 of them, and walks over the keys 32 at
// a time from position 0 on, whatever the batch: a query's bits depend on its own row alone. Scores
// and weights stay in registers. Heads wider than 128 are cut into chunks: a block writes one chunk
// of z and computes the scores anew.
#include "cuda/attention_forward.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {
namespace {

constexpr int kKeys = 32;
constexpr int kPieces = kKeys / 8;
constexpr int kMostThreads = 128;

struct Softmax {
  float largest[2];  // of rows g and g + 8
  float sum[2];      // this lane's share
};

struct Place {
  HeadAt at;
  std::int64_t first;  // own token of the block's first row
  std::int64_t chunk;
  int chunks;
};

// The own token of fragment element r (0 … 3) of this lane.
HEADSPARK_DEVICE std::int64_t token_of(const Place& place, int r) {
  return place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
}

// Scores to weights exp(s - largest); returns by what earlier sums shrink.
HEADSPARK_DEVICE void weigh(FragmentC (&s)[kPieces], Softmax& softmax, float (&shrink)[2],
                            const Place& place, std::int64_t first_key) {
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int64_t position = place.at.prefix + token_of(place, 2 * half);
    float largest = softmax.largest[half];
    HEADSPARK_UNROLL
    for (int n = 0; n < kPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        const std::int64_t key = first_key + 8 * n + lane_index() % 4 * 2 + r % 2;
        s[n].r[r] = key <= position ? s[n].r[r] * place.at.shape.scale : -infinity();
        largest = s[n].r[r] > largest ? s[n].r[r] : largest;
      }
    }
    HEADSPARK_UNROLL
    for (int mask = 1; mask < 4; mask *= 2) {
      const float other = shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    shrink[half] = exponential(softmax.largest[half] - largest);
    softmax.largest[half] = largest;
    softmax.sum[half] *= shrink[half];
    HEADSPARK_UNROLL
    for (int n = 0; n < kPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        s[n].r[r] = exponential(s[n].r[r] - largest);
        softmax.sum[half] += s[n].r[r];
      }
    }
  }
}

// Nothing of this tile's attention is seen: every query has gate 0, and neither raw nor lse is
// wanted.
HEADSPARK_DEVICE bool hidden(const ForwardAttention& p, const Place& place) {
  if (p.raw != nullptr || p.lse != nullptr || p.gate.scale == nullptr) return false;
  if (p.gate.gate_begin != nullptr || p.gate.gate_end != nullptr) return false;
  return p.gate.scale[place.at.row * p.shape.heads + place.at.head] == 0.0f;
}

template <int Width>
HEADSPARK_DEVICE void write(const ForwardAttention& p, const Place& place, const Softmax& softmax,
                            const FragmentC (&sums)[Width / 8]) {
  float total[2];
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    total[half] = softmax.sum[half];
    for (int mask = 1; mask < 4; mask *= 2) total[half] += shuffle_xor(total[half], mask);
  }
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; ++r) {
    const std::int64_t token = token_of(place, r);
    if (!at.has_query(token)) continue;
    const GatedToken gated{at.row, token, at.prefix + token};
    const float scale = gate_scale(p.gate, gated, at.head, p.shape.heads);
    // A row without a gate may point past the replacements.
    const float* replacement =
        scale == 1.0f ? nullptr
                      : gate_replacement(p.gate, gated, at.head, p.shape.heads, p.shape.head_dim);
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      const std::int64_t d = place.chunk * Width + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (d >= p.shape.head_dim) continue;
      const float raw = sums[n].r[r] / total[r / 2];
      if (p.raw != nullptr) p.raw[at.query(token) + d] = raw;
      // The line that gates a head.
      p.z[at.query(token) + d] =
          gated_value(scale, raw, replacement != nullptr ? replacement[d] : 0.0f);
    }
    if (p.lse != nullptr && place.chunk == 0 && r % 2 == 0 && lane_index() % 4 == 0) {
      p.lse[(at.begin + token) * p.shape.heads + at.head] =
          softmax.largest[r / 2] + logarithm(total[r / 2]);
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
template <int Terms, int Width>
HEADSPARK_DEVICE void scores(FragmentC (&s)[kPieces], const ForwardAttention& p, const Place& place,
                             const Tiles<Terms, Width>& tiles, std::int64_t first_key) {
  const HeadAt& at = place.at;
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    const Columns columns{chunk * static_cast<std::int64_t>(Width), p.shape.head_dim, p.four};
    sync_threads();  // everyone is done with the tiles before
    if (chunk == 0) {
      tiles.values.load([&](int r) { return context_row(at, p.store, first_key + r, true); },
                        {place.chunk * Width, p.shape.head_dim, p.four});
    }
    tiles.keys.load([&](int r) { return context_row(at, p.store, first_key + r, false); }, columns);
    if (place.chunks > 1 || first_key == 0) {
      tiles.queries.load(
          [&](int r) {
            const std::int64_t token = place.first + r;
            return RowAt{at.has_query(token) ? p.q + at.query(token) : nullptr, 1, 1.0f};
          },
          columns);
    }
    sync_threads();
    add_scores(s, tiles.queries, tiles.keys);
  }
}

template <int Terms, int Width>
HEADSPARK_KERNEL(kMostThreads, 2)
forward_kernel(ForwardAttention p) {
  const int rows = block_threads() / 32 * kWarpRows;
  const int blocks = (p.layout.longest_row + rows - 1) / rows;
  Place place{head_at(p.shape, p.layout, block_x() / blocks), 0, block_y(),
              static_cast<int>((p.shape.head_dim + Width - 1) / Width)};
  place.first = static_cast<std::int64_t>(blocks - 1 - block_x() % blocks) * rows;
  const HeadAt& at = place.at;
  if (place.first >= at.own || place.first + rows <= at.first_query) return;
  SharedMemory memory;
  const auto queries = Tile<Terms, Width>::take(memory, rows);
  const auto keys = Tile<Terms, Width>::take(memory, kKeys);
  const Tiles<Terms, Width> tiles{queries, keys, Tile<Terms, Width>::take(memory, kKeys)};
  Softmax softmax{{-infinity(), -infinity()}, {0.0f, 0.0f}};
  FragmentC sums[Width / 8] = {};
  const std::int64_t last = place.first + rows < at.own ? place.first + rows : at.own;
  const std::int64_t end = hidden(p, place) ? 0 : at.prefix + last;
  for (std::int64_t key = 0; key < end; key += kKeys) {
    FragmentC s[kPieces] = {};
    scores(s, p, place, tiles, key);
    float shrink[2];
    weigh(s, softmax, shrink, place, key);
    const LeftTerms<Terms, kPieces> weights(s);
    add_weighted(sums, weights, tiles.values, shrink);
  }
  write<Width>(p, place, softmax, sums);
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
                             2 * Tile<Terms, Width>::elements(kKeys);
        return {&forward_kernel<Terms, Width>, warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  const std::int64_t blocks = blocks_for(longest, chosen.warps * kWarpRows);
  const LaunchShape shape{{blocks_for(blocks * params.shape.heads * params.layout.rows, 1),
                           chunk_count(params.shape.head_dim)},
                          32 * chosen.warps,
                          chosen.shared_bytes};
  launch(device.stream(), shape, chosen.kernel, params);
}

}  // namespace headspark::cuda
