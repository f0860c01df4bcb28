// One kernel with two sides: its own tile, up to 64 tokens whose gradients it sums, and the other
// side, walked over in tiles. For d_q a block has queries of its own and walks over keys; for d_k
// and d_v it has keys of its own and walks over queries, on the transposed weights. Weights come
// again from lse.
#include <type_traits>

#include "cuda/attention_backward.h"
#include "cuda/attention_softmax.h"
#include "cuda/reduce.h"
#include "cuda/row_pairs.h"
#include "cuda/term_rows.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {
namespace {

constexpr int kMostThreads = 128;
constexpr int kRowThreads = 128;

// What a block sums. Keys and values share their scores; where registers hold the sums of one
// alone, there is a launch for each.
enum class Target { queries, keys, values, keys_and_values };

constexpr bool has_keys(Target target) {
  return target == Target::keys || target == Target::keys_and_values;
}
constexpr bool has_values(Target target) {
  return target == Target::values || target == Target::keys_and_values;
}

struct BackwardKernel {
  AttentionBackward b;
  HeadTerms q;
  HeadTerms d_raw;
  TermStore k;
  TermStore v;
  float* stats;  // QueryStats, [heads, stats_slots]: stats_begin
  std::int32_t stats_slots;
  bool two;  // rows are read and written two floats at a time
};

// Statistics of a row begin where two of them are aligned to 16 bytes, and reach over the last tile
// of its tokens: a row takes less than kStatsRoom more than it has tokens.
constexpr std::int32_t kStatsTile = kMostThreads / 32 * kWarpRows;
constexpr std::int32_t kStatsAligned = 32;
constexpr std::int32_t kStatsRoom = kStatsTile + kStatsAligned;

// In 32 bits: see HeadAt.
HEADSPARK_DEVICE std::int32_t stats_begin(const BackwardKernel& p, const HeadAt& at) {
  return at.head * p.stats_slots + at.begin / kStatsAligned * kStatsAligned + at.row * kStatsRoom;
}
/// Two floats, QueryStats.
HEADSPARK_DEVICE float* stats_of(const BackwardKernel& p, const HeadAt& at, std::int32_t i) {
  return p.stats + std::int64_t{2} * (stats_begin(p, at) + i);
}
constexpr std::int32_t stats_end(std::int32_t tokens) {
  return (tokens + kStatsTile - 1) / kStatsTile * kStatsTile;
}

// A warp per (row, head, own token and what fills the last tile): the terms of d_raw, and its
// statistics.
template <int Terms>
HEADSPARK_KERNEL(kRowThreads)
d_raw_kernel(BackwardKernel p) {
  const AttentionBackward& b = p.b;
  const std::int64_t item =
      static_cast<std::int64_t>(block_x()) * (kRowThreads / 32) + warp_index();
  const std::int64_t longest = stats_end(b.layout.longest_row);
  if (item >= longest * b.shape.heads * b.layout.rows) return;
  const HeadAt at = head_at(b.shape, b.layout, item / longest);
  const auto i = static_cast<std::int32_t>(item % longest);
  if (i >= stats_end(at.own)) return;
  float* const stats = stats_of(p, at, i);
  if (!at.has_query(i)) {
    if (lane_index() == 0) store_two(stats, {-infinity(), 0.0f});
    return;
  }
  const float scale = gate_scale(b.gate, {at.row, i, at.prefix + i}, at.head, b.shape.heads);
  Bf16* const to = p.d_raw.at(at.begin + i, at.head);
  float sum = 0.0f;
  for (std::int64_t d = 2 * lane_index(); d < p.d_raw.width; d += 64) {
    const Two d_z = read_row_pair(b.d_z + at.query(i), d, b.shape.head_dim, p.two);
    const Two raw = read_row_pair(b.raw + at.query(i), d, b.shape.head_dim, p.two);
    const Two d_raw{scale * d_z.x, scale * d_z.y};
    sum = multiply_add(d_raw.y, raw.y, multiply_add(d_raw.x, raw.x, sum));
    const TermPair<Terms> pair = split_pair<Terms>(d_raw.x, d_raw.y);
    HEADSPARK_UNROLL
    for (int t = 0; t < Terms; ++t) {
      *reinterpret_cast<std::uint32_t*>(to + t * p.d_raw.term_stride + d) = pair.term[t];
    }
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) {
    const float lse = b.lse[(at.begin + i) * b.shape.heads + at.head];
    store_two(stats, {-lse * Exponent<Terms>::kUnit, sum});
  }
}

struct Place {
  HeadAt at;
  std::int32_t first;  // of the block's own tokens
  std::int32_t chunk;
  int chunks;
};

// The first pair of tiles gives scores (q, k), the second d_weights (d_raw, v). Queries are
// numbered by own token.
HEADSPARK_DEVICE HeadRows query_rows(const HeadTerms& terms, const HeadAt& at) {
  return terms.rows(at.begin + at.first_query, at.head, at.first_query, at.own - at.first_query);
}
HEADSPARK_DEVICE HeadRows key_rows(const TermStore& store, const HeadAt& at) {
  return store.own.rows(at.begin, at.kv_head, 0, at.own);
}

// One term of the own rows stays in registers, where sums and both operands leave room for it.
template <int Terms, int Width, Target Of>
constexpr bool holds_own() {
  return Terms == 1 && (Width <= 64 || Of != Target::keys_and_values);
}

template <int Terms, int Width>
struct TilePair {
  Tile<Terms, Width> first;
  Tile<Terms, Width> second;

  /// Pair `number` of those in `all`.
  HEADSPARK_DEVICE static TilePair of(const SharedArray<Bf16>& all, int rows, int number) {
    const int begin = number * elements(rows);
    return {{all, rows, begin}, {all, rows, begin + Tile<Terms, Width>::elements(rows)}};
  }
  static constexpr int elements(int rows) { return 2 * Tile<Terms, Width>::elements(rows); }
};

template <Target Of, int Terms, int Width>
HEADSPARK_DEVICE void begin_own(const TilePair<Terms, Width>& to, const BackwardKernel& p,
                                const Place& place, int column) {
  const HeadAt& at = place.at;
  const auto begin = [&](const Tile<Terms, Width>& tile, const HeadTerms& query,
                         const TermStore& key) {
    tile.begin_copy(Of == Target::queries ? query_rows(query, at) : key_rows(key, at), place.first,
                    column, p.q.width);
  };
  begin(to.first, p.q, p.k);
  if constexpr (Of != Target::values) begin(to.second, p.d_raw, p.v);
}
// `from` counts positions of keys, or own tokens of queries.
template <Target Of, int Terms, int Width>
HEADSPARK_DEVICE void begin_other(const TilePair<Terms, Width>& to, const BackwardKernel& p,
                                  const Place& place, std::int32_t from, int column) {
  const HeadAt& at = place.at;
  const auto begin = [&](const Tile<Terms, Width>& tile, const HeadTerms& query,
                         const TermStore& key) {
    if constexpr (Of == Target::queries) {
      tile.begin_copy(ContextTerms::of(at, key), from, column, p.q.width);
    } else {
      tile.begin_copy(query_rows(query, at), from, column, p.q.width);
    }
  };
  begin(to.first, p.q, p.k);
  begin(to.second, p.d_raw, p.v);
}

template <typename Held>
struct HeldOwn {
  Held first;
  Held second;
};

template <Target Of, int Terms, int Width, typename Held>
HEADSPARK_DEVICE void hold_own(HeldOwn<Held>& held, const TilePair<Terms, Width>& own) {
  held.first.hold(own.first);
  if constexpr (Of != Target::values) held.second.hold(own.second);
}

// Scores and d_weights of tiles that hold whole heads.
template <Target Of, int Terms, int Width, int Pieces, typename Held>
HEADSPARK_DEVICE void pair_scores(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                  const TilePair<Terms, Width>& own,
                                  const TilePair<Terms, Width>& other, const HeldOwn<Held>& held) {
  multiply_scores(s, left_rows(held.first, own.first), other.first);
  if constexpr (Of != Target::values) {
    multiply_scores(d, left_rows(held.second, own.second), other.second);
  }
}
// Adds those of a chunk.
template <Target Of, int Terms, int Width, int Pieces>
HEADSPARK_DEVICE void add_chunk_scores(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                       const TilePair<Terms, Width>& own,
                                       const TilePair<Terms, Width>& other) {
  add_scores(s, left_rows(NothingHeld(), own.first), other.first);
  if constexpr (Of != Target::values) {
    add_scores(d, left_rows(NothingHeld(), own.second), other.second);
  }
}

// What the weights and gradients of a query need besides its scores.
struct QueryStats {
  float shift;   // of its exponent: -lse, in its unit; -infinity where there is no query
  float rowsum;  // of d_raw * raw
};
// Of the two own rows of a lane, where they are queries.
struct OwnStats {
  QueryStats row[2];
};

HEADSPARK_DEVICE OwnStats own_stats(const BackwardKernel& p, const Place& place) {
  OwnStats own;
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int32_t i = place.first + warp_index() * kWarpRows + lane_index() / 4 + 8 * half;
    const Two two = load_two(stats_of(p, place.at, i));
    own.row[half] = {two.x, two.y};
  }
  return own;
}

// s becomes the weights p = exp(scale q·k - lse), whose product with d_raw is d_v, and d becomes
// p (d - rowsum), whose products with q and k are d_k and d_q but for the scale.
template <Target Of, int Terms, int Pieces>
HEADSPARK_DEVICE void to_weights(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                 const BackwardKernel& p, const Place& place, std::int32_t from,
                                 const OwnStats& own) {
  const std::int32_t first = place.first + warp_index() * kWarpRows + lane_index() / 4;
  if constexpr (Of == Target::queries) {
    const std::int32_t position = place.at.prefix + first;
    const SeenKeys seen = seen_keys(p.b.shape, position, position + 8);
    hide_later_keys(s, seen.last, from);
    hide_earlier_keys(s, seen.first, from);
  } else {
    hide_earlier_queries(s, first, from);
    const auto window = static_cast<std::int32_t>(p.b.shape.window);
    if (window > 0) hide_later_queries(s, first + window, from);
  }
  const float scale = p.b.shape.scale * Exponent<Terms>::kUnit;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    QueryStats other[2];
    if constexpr (Of != Target::queries) {
      const Four four = load_four(stats_of(p, place.at, from + 8 * n + lane_index() % 4 * 2));
      other[0] = {four.x, four.y};
      other[1] = {four.z, four.w};
    }
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const QueryStats& query = Of == Target::queries ? own.row[r / 2] : other[r % 2];
      s[n].r[r] = Exponent<Terms>{scale, query.shift}.weight(s[n].r[r]);
      if constexpr (Of != Target::values) d[n].r[r] = s[n].r[r] * (d[n].r[r] - query.rowsum);
    }
  }
}

template <int Width>
HEADSPARK_DEVICE void write(const BackwardKernel& p, const Place& place, float* gradient,
                            const FragmentC (&sums)[Width / 8], float scale) {
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; r += 2) {
    const std::int32_t i = place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
    if (i >= at.own) continue;
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      const std::int32_t d = place.chunk * Width + 8 * n + lane_index() % 4 * 2;
      write_row_pair(gradient + at.query(i), d, p.b.shape.head_dim, p.two,
                     {scale * sums[n].r[r], scale * sums[n].r[r + 1]});
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

// Rows of the other side at once: what fits into kLargestShared, and with its products into
// registers.
template <int Terms, int Width>
constexpr int other_rows() {
  return Terms > 1 && Width > 64 ? 16 : 32;
}
// Pairs of tiles of the other side: where there is room for two, one is on its way while the other
// is multiplied.
template <int Terms, int Width>
constexpr int other_pairs() {
  return Terms > 1 && Width > 32 ? 1 : 2;
}

template <int Terms, int Width, bool Chunked, Target Of>
HEADSPARK_KERNEL(kMostThreads, 2)
backward_kernel(BackwardKernel p) {
  constexpr int kOther = other_rows<Terms, Width>();
  constexpr int kPieces = kOther / 8;
  constexpr bool kTwo = !Chunked && other_pairs<Terms, Width>() == 2;
  const int rows = block_threads() / 32 * kWarpRows;
  const int blocks = (p.b.layout.longest_row + rows - 1) / rows;
  // Those that see most begin first: late queries, early keys.
  const int turn = block_x() % blocks;
  const Place place{head_at(p.b.shape, p.b.layout, block_x() / blocks),
                    (Of == Target::queries ? blocks - 1 - turn : turn) * rows,
                    Chunked ? block_y() : 0,
                    Chunked ? static_cast<int>((p.b.shape.head_dim + Width - 1) / Width) : 1};
  const HeadAt& at = place.at;
  if (place.first >= at.own) return;
  SharedMemory memory;
  using Pair = TilePair<Terms, Width>;
  // The own rows last: the others then lie at places that the compiler knows.
  const auto others = memory.take<Bf16>((kTwo ? 2 : 1) * Pair::elements(kOther));
  const Pair own = Pair::of(memory.take<Bf16>(Pair::elements(rows)), rows, 0);
  constexpr bool kHolds = !Chunked && holds_own<Terms, Width, Of>();
  HeldOwn<std::conditional_t<kHolds, HeldRows<Terms, Width>, NothingHeld>> held;
  FragmentC sums[Of != Target::values ? Width / 8 : 1] = {};
  FragmentC sums_of_values[has_values(Of) ? Width / 8 : 1] = {};
  const std::int32_t last = place.first + rows < at.own ? place.first + rows : at.own;
  // Queries see keys up to themselves; keys are seen by their own query and those after it.
  const std::int32_t first =
      Of == Target::queries ? first_key(p.b.shape, at.prefix + place.first) : place.first;
  const std::int32_t begin = first / kOther * kOther;
  const std::int32_t seen =
      Of == Target::queries ? at.prefix + last : seen_until(p.b.shape, last - 1, at.own);
  const std::int32_t end = silent(p.b, at) ? begin : seen;
  if (!Chunked && begin < end) {
    begin_own<Of>(own, p, place, 0);
    begin_other<Of>(Pair::of(others, kOther, 0), p, place, begin, 0);
    commit_copies();
  }
  OwnStats own_rows = {};
  if constexpr (Of == Target::queries) own_rows = own_stats(p, place);
  int step = 0;
  for (std::int32_t from = begin; from < end; from += kOther) {
    FragmentC s[kPieces] = {};
    FragmentC d[kPieces] = {};
    const Pair other = Pair::of(others, kOther, kTwo ? step % 2 : 0);
    if constexpr (Chunked) {
      for (int chunk = 0; chunk < place.chunks; ++chunk) {
        sync_threads();  // everyone is done with the tiles before
        begin_own<Of>(own, p, place, chunk * Width);
        begin_other<Of>(other, p, place, from, chunk * Width);
        commit_copies();
        end_copies();
        add_chunk_scores<Of>(s, d, own, other);
      }
      sync_threads();
      begin_other<Of>(other, p, place, from, place.chunk * Width);
      commit_copies();
      end_copies();
    } else {
      end_copies();  // and everyone is done with the tiles before
      if (kTwo && from + kOther < end) {
        ++step;
        begin_other<Of>(Pair::of(others, kOther, step % 2), p, place, from + kOther, 0);
        commit_copies();
      }
      if (from == begin) hold_own<Of>(held, own);
      pair_scores<Of>(s, d, own, other, held);
    }
    to_weights<Of, Terms>(s, d, p, place, from, own_rows);
    if constexpr (has_values(Of)) {
      add_weighted(sums_of_values, LeftTerms<Terms, kPieces>(s), other.second);
      sync_warp();  // one product after the other, for the sake of registers
    }
    if constexpr (Of != Target::values) {
      add_weighted(sums, LeftTerms<Terms, kPieces>(d), other.first);
    }
    if (!kTwo && !Chunked && from + kOther < end) {
      sync_threads();
      begin_other<Of>(other, p, place, from + kOther, 0);
      commit_copies();
    }
  }
  const float scale = p.b.shape.scale;
  if constexpr (Of == Target::queries) write<Width>(p, place, p.b.d_q, sums, scale);
  if constexpr (has_keys(Of)) write<Width>(p, place, p.b.d_k, sums, scale);
  if constexpr (has_values(Of)) write<Width>(p, place, p.b.d_v, sums_of_values, 1.0f);
}

using Choice = AttentionChoice<void (*)(BackwardKernel)>;

// Sums of keys and of values are 128 registers where heads are wide; three terms of chunks leave no
// room for both either.
constexpr bool sums_together(int terms, int width, bool chunked) {
  return width <= 64 && !(terms > 1 && chunked);
}

// Null: not launched.
template <int Terms, int Width, bool Chunked, Target Of>
void (*kernel_of())(BackwardKernel) {
  constexpr bool kTogether = sums_together(Terms, Width, Chunked);
  if constexpr (Of == Target::queries || (Of == Target::keys_and_values) == kTogether) {
    return &backward_kernel<Terms, Width, Chunked, Of>;
  }
  return nullptr;
}
template <int Terms, int Width, Target Of>
auto kernel_of(std::int64_t head_dim) {
  if constexpr (Width == 64) {
    if (chunk_count(head_dim) > 1) return kernel_of<Terms, 64, true, Of>();
  }
  return kernel_of<Terms, Width, false, Of>();
}

template <Target Of, int Terms, int Width>
Choice choice(std::int64_t head_dim, std::int32_t longest) {
  using Pair = TilePair<Terms, Width>;
  const int warps = warps_for<Terms, Width>(longest);
  const int elements = Pair::elements(warps * kWarpRows) +
                       other_pairs<Terms, Width>() * Pair::elements(other_rows<Terms, Width>());
  return {kernel_of<Terms, Width, Of>(head_dim), warps, elements * static_cast<int>(sizeof(Bf16))};
}

template <Target Of>
void launch_kernel(OpDevice& device, Precision precision, const BackwardKernel& p) {
  const std::int64_t head_dim = p.b.shape.head_dim;
  const std::int32_t longest = p.b.layout.longest_row;
  const Choice chosen = choose_tiles(precision, head_dim, [&]<int Terms, int Width>() -> Choice {
    return choice<Of, Terms, Width>(head_dim, longest);
  });
  const std::int64_t blocks = blocks_for(longest, chosen.warps * kWarpRows);
  const std::int64_t items = p.b.shape.heads * p.b.layout.rows;
  launch(device.stream(),
         {{blocks_for(blocks * items, 1), chunk_count(head_dim)},
          32 * chosen.warps,
          chosen.shared_bytes},
         chosen.kernel, p);
}

}  // namespace

void attention_backward_kernels(OpDevice& device, Precision precision,
                                const AttentionBackward& params) {
  const std::int32_t longest = params.layout.longest_row;
  if (longest <= 0) return;
  const AttentionShape& shape = params.shape;
  const std::int64_t tokens = params.layout.token_count;
  const std::int64_t stored = params.prefix_k != nullptr ? params.layout.store_tokens : 0;
  const int terms = term_count(precision);
  BackwardKernel p{};
  p.b = params;
  p.two = pairs_aligned(shape.head_dim, params.raw, params.d_z, params.d_q, params.d_k, params.d_v);
  const HeadValues arrays[] = {{params.q, tokens, shape.heads, &p.q},
                               {nullptr, tokens, shape.heads, &p.d_raw},
                               {params.k, tokens, shape.kv_heads, &p.k.own},
                               {params.v, tokens, shape.kv_heads, &p.v.own},
                               {params.prefix_k, stored, shape.kv_heads, &p.k.prefix},
                               {params.prefix_v, stored, shape.kv_heads, &p.v.prefix}};
  place_head_terms(device, terms, shape.head_dim, arrays);
  split_heads(device, terms, shape.head_dim, arrays);
  const std::int64_t items = shape.heads * params.layout.rows;
  const std::int64_t slots = (tokens + kStatsAligned - 1) / kStatsAligned * kStatsAligned +
                             std::int64_t{kStatsRoom} * params.layout.rows;
  p.stats_slots = static_cast<std::int32_t>(slots);
  p.stats = device.scratch_floats(ScratchSlot::attention_rows, 2 * shape.heads * slots);
  launch(device.stream(), {{blocks_for(items * stats_end(longest), kRowThreads / 32)}, kRowThreads},
         terms == 1 ? &d_raw_kernel<1> : &d_raw_kernel<3>, p);
  launch_kernel<Target::queries>(device, precision, p);
  const bool chunked = chunk_count(shape.head_dim) > 1;
  if (sums_together(terms, chunk_width(shape.head_dim), chunked)) {
    return launch_kernel<Target::keys_and_values>(device, precision, p);
  }
  launch_kernel<Target::keys>(device, precision, p);
  launch_kernel<Target::values>(device, precision, p);
}

}  // namespace headspark::cuda
