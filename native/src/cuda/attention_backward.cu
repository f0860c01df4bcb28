// One kernel with two sides: its own tile, up to 64 tokens whose gradient it sums, and the other
// side, walked over in tiles. d_q has queries of its own and walks over keys; d_k and d_v have keys
// of their own and walk over queries, on the transposed weights. Weights come again from lse.
#include "cuda/attention_backward.h"
#include "cuda/reduce.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {
namespace {

constexpr int kMostThreads = 128;
constexpr int kRowsumThreads = 128;

enum class Target { query, key, value };

struct BackwardKernel {
  AttentionBackward b;
  Target target;
  const float* rowsum;  // [tokens, heads], sum of d_raw * raw
  float* gradient;
  bool four;
};

HEADSPARK_DEVICE float d_raw_scale(const AttentionBackward& b, const HeadAt& at, std::int64_t i) {
  return gate_scale(b.gate, {at.row, i, at.prefix + i}, at.head, b.shape.heads);
}

struct RowsumKernel {
  AttentionBackward b;
  float* rowsum;
};

// A warp per (row, head, own token).
HEADSPARK_KERNEL(kRowsumThreads) rowsum_kernel(RowsumKernel p) {
  const AttentionBackward& b = p.b;
  const std::int64_t item =
      static_cast<std::int64_t>(block_x()) * (kRowsumThreads / 32) + warp_index();
  const std::int64_t longest = b.layout.longest_row;
  if (item >= longest * b.shape.heads * b.layout.rows) return;
  const HeadAt at = head_at(b.shape, b.layout, item / longest);
  const std::int64_t i = item % longest;
  if (!at.has_query(i)) return;
  const float scale = d_raw_scale(b, at, i);
  float sum = 0.0f;
  for (std::int64_t d = lane_index(); d < b.shape.head_dim; d += 32) {
    sum = multiply_add(scale * b.d_z[at.query(i) + d], b.raw[at.query(i) + d], sum);
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) p.rowsum[(at.begin + i) * b.shape.heads + at.head] = sum;
}

struct Place {
  HeadAt at;
  std::int64_t first;  // of the block's own tokens
  std::int64_t chunk;
  int chunks;
  bool own_queries;
};

// Own token, or key position, of row r of either side.
HEADSPARK_DEVICE RowAt query_row(const BackwardKernel& p, const HeadAt& at, std::int64_t i,
                                 bool gradient) {
  if (!at.has_query(i)) return {nullptr, 1, 1.0f};
  if (!gradient) return {p.b.q + at.query(i), 1, 1.0f};
  return {p.b.d_z + at.query(i), 1, d_raw_scale(p.b, at, i)};
}

HEADSPARK_DEVICE RowAt key_row(const BackwardKernel& p, const HeadAt& at, std::int64_t position,
                               bool value) {
  return context_row<false>(at, {p.b.k, p.b.v, p.b.prefix_k, p.b.prefix_v, nullptr, nullptr},
                            position, value);
}

// The first pair of tiles gives scores (q, k), the second d_weights (d_raw, v).
HEADSPARK_DEVICE RowAt own_row(const BackwardKernel& p, const Place& place, int r, bool second) {
  const std::int64_t i = place.first + r;
  return place.own_queries ? query_row(p, place.at, i, second)
                           : key_row(p, place.at, place.at.prefix + i, second);
}

// `from` counts positions of keys, or own tokens of queries.
HEADSPARK_DEVICE RowAt other_row(const BackwardKernel& p, const Place& place, std::int64_t from,
                                 bool second) {
  return place.own_queries ? key_row(p, place.at, from, second)
                           : query_row(p, place.at, from, second);
}

template <int Terms, int Width>
struct Tiles {
  Tile<Terms, Width> own;
  Tile<Terms, Width> own_second;
  Tile<Terms, Width> other;
  Tile<Terms, Width> other_second;
};

// Scores and d_weights of the own tile and the other side's from `from` on.
template <int Terms, int Width, int Pieces>
HEADSPARK_DEVICE void pair_scores(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                  const BackwardKernel& p, const Place& place,
                                  const Tiles<Terms, Width>& tiles, std::int64_t from, bool first) {
  const bool second = p.target != Target::value;
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    const Columns columns{chunk * static_cast<std::int64_t>(Width), p.b.shape.head_dim, p.four};
    sync_threads();  // everyone is done with the tiles before
    if (place.chunks > 1 || first) {
      tiles.own.load([&](int r) { return own_row(p, place, r, false); }, columns);
      if (second) {
        tiles.own_second.load([&](int r) { return own_row(p, place, r, true); }, columns);
      }
    }
    tiles.other.load([&](int r) { return other_row(p, place, from + r, false); }, columns);
    tiles.other_second.load([&](int r) { return other_row(p, place, from + r, true); }, columns);
    sync_threads();
    add_scores(s, tiles.own, tiles.other);
    if (second) add_scores(d, tiles.own_second, tiles.other_second);
  }
}

// s becomes the weight whose product with the other side is the gradient:
// p = exp(scale q·k - lse) for d_v, p (d - rowsum) scale for the others.
template <int Pieces>
HEADSPARK_DEVICE void to_weights(FragmentC (&s)[Pieces], const FragmentC (&d)[Pieces],
                                 const BackwardKernel& p, const Place& place, std::int64_t from) {
  const HeadAt& at = place.at;
  const float scale = p.b.shape.scale;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int64_t own =
          place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
      const std::int64_t other = from + 8 * n + lane_index() % 4 * 2 + r % 2;
      const std::int64_t query = place.own_queries ? own : other;
      const std::int64_t key = place.own_queries ? other : at.prefix + own;
      float weight = 0.0f;
      if (at.has_query(query) && key <= at.prefix + query) {
        const std::int64_t index = (at.begin + query) * p.b.shape.heads + at.head;
        weight = exponential(multiply_add(s[n].r[r], scale, -p.b.lse[index]));
        if (p.target != Target::value) weight *= (d[n].r[r] - p.rowsum[index]) * scale;
      }
      s[n].r[r] = weight;
    }
  }
}

template <int Width>
HEADSPARK_DEVICE void write(const BackwardKernel& p, const Place& place,
                            const FragmentC (&sums)[Width / 8]) {
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; ++r) {
    const std::int64_t i = place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
    if (i >= at.own) continue;
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      const std::int64_t d = place.chunk * Width + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (d < p.b.shape.head_dim) p.gradient[at.query(i) + d] = sums[n].r[r];
    }
  }
}

// No gradient comes through a head whose gate is 0 everywhere.
HEADSPARK_DEVICE bool silent(const AttentionBackward& b, const HeadAt& at) {
  if (b.gate.scale == nullptr || b.gate.gate_begin != nullptr || b.gate.gate_end != nullptr) {
    return false;
  }
  return b.gate.scale[at.row * b.shape.heads + at.head] == 0.0f;
}

template <int Width>
constexpr int other_rows() {
  return Width > 64 ? 16 : 32;  // what fits into kLargestShared
}

template <int Terms, int Width>
HEADSPARK_KERNEL(kMostThreads, 2)
backward_kernel(BackwardKernel p) {
  constexpr int kOther = other_rows<Width>();
  constexpr int kPieces = kOther / 8;
  const int rows = block_threads() / 32 * kWarpRows;
  const int blocks = (p.b.layout.longest_row + rows - 1) / rows;
  const Place place{head_at(p.b.shape, p.b.layout, block_x() / blocks),
                    static_cast<std::int64_t>(block_x() % blocks) * rows, block_y(),
                    static_cast<int>((p.b.shape.head_dim + Width - 1) / Width),
                    p.target == Target::query};
  const HeadAt& at = place.at;
  if (place.first >= at.own) return;
  SharedMemory memory;
  using T = Tile<Terms, Width>;
  const T own = T::take(memory, rows);
  const T own_second = T::take(memory, rows);
  const T other = T::take(memory, kOther);
  const Tiles<Terms, Width> tiles{own, own_second, other, T::take(memory, kOther)};
  FragmentC sums[Width / 8] = {};
  const std::int64_t last = place.first + rows < at.own ? place.first + rows : at.own;
  // Queries see keys up to themselves; keys are seen by their own query and those after it.
  const std::int64_t begin = place.own_queries ? 0 : place.first / kOther * kOther;
  const std::int64_t end = place.own_queries ? at.prefix + last : at.own;
  for (std::int64_t from = begin; from < end && !silent(p.b, at); from += kOther) {
    FragmentC s[kPieces] = {};
    FragmentC d[kPieces] = {};
    pair_scores(s, d, p, place, tiles, from, from == begin);
    to_weights(s, d, p, place, from);
    const LeftTerms<Terms, kPieces> weights(s);
    const bool second = p.target == Target::value;
    if (place.chunks > 1) {
      sync_threads();
      tiles.other.load([&](int r) { return other_row(p, place, from + r, second); },
                       {place.chunk * Width, p.b.shape.head_dim, p.four});
      sync_threads();
    }
    const float keep[2] = {1.0f, 1.0f};
    add_weighted(sums, weights, second && place.chunks == 1 ? tiles.other_second : tiles.other,
                 keep);
  }
  write<Width>(p, place, sums);
}

using Choice = AttentionChoice<void (*)(BackwardKernel)>;

}  // namespace

void attention_backward_kernels(OpDevice& device, Precision precision,
                                const AttentionBackward& params) {
  const std::int32_t longest = params.layout.longest_row;
  if (longest <= 0) return;
  const std::int64_t items = params.shape.heads * params.layout.rows;
  // Own tokens lie packed, so there are at most longest * rows of them.
  float* rowsum = device.scratch_floats(ScratchSlot::attention_rows, items * longest);
  launch(device.stream(), {{blocks_for(items * longest, kRowsumThreads / 32)}, kRowsumThreads},
         &rowsum_kernel, RowsumKernel{params, rowsum});
  const Choice chosen =
      choose_tiles(precision, params.shape.head_dim, [&]<int Terms, int Width>() -> Choice {
        const int warps = warps_for<Terms, Width>(longest);
        const int elements = 2 * Tile<Terms, Width>::elements(warps * kWarpRows) +
                             2 * Tile<Terms, Width>::elements(other_rows<Width>());
        return {&backward_kernel<Terms, Width>, warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  const std::int64_t blocks = blocks_for(longest, chosen.warps * kWarpRows);
  const LaunchShape shape{{blocks_for(blocks * items, 1), chunk_count(params.shape.head_dim)},
                          32 * chosen.warps,
                          chosen.shared_bytes};
  BackwardKernel p{params, Target::query, rowsum, params.d_q,
                   reads_four(params.shape.head_dim, params.q, params.k, params.v, params.prefix_k,
                              params.prefix_v, params.d_z)};
  launch(device.stream(), shape, chosen.kernel, p);
  p.target = Target::key;
  p.gradient = params.d_k;
  launch(device.stream(), shape, chosen.kernel, p);
  p.target = Target::value;
  p.gradient = params.d_v;
  launch(device.stream(), shape, chosen.kernel, p);
}

}  // namespace headspark::cuda
