// One kernel with two sides: its own tile, up to 64 tokens whose gradients it sums, and the other
// side, walked over in tiles. For d_q a block has queries of its own and walks over keys; for d_k
// and d_v it has keys of its own and walks over queries, on the transposed weights. Weights come
// again from lse.
#include <type_traits>

#include "cuda/attention_backward.h"
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
  float* rowsum;  // [tokens, heads], sum of d_raw * raw
  bool two;       // rows are read and written two floats at a time
};

// A warp per (row, head, own token): the terms of d_raw, and what rowsum says.
template <int Terms>
HEADSPARK_KERNEL(kRowThreads)
d_raw_kernel(BackwardKernel p) {
  const AttentionBackward& b = p.b;
  const std::int64_t item =
      static_cast<std::int64_t>(block_x()) * (kRowThreads / 32) + warp_index();
  const std::int64_t longest = b.layout.longest_row;
  if (item >= longest * b.shape.heads * b.layout.rows) return;
  const HeadAt at = head_at(b.shape, b.layout, item / longest);
  const std::int64_t i = item % longest;
  if (!at.has_query(i)) return;
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
  if (lane_index() == 0) p.rowsum[(at.begin + i) * b.shape.heads + at.head] = sum;
}

struct Place {
  HeadAt at;
  std::int32_t first;  // of the block's own tokens
  std::int32_t chunk;
  int chunks;
};

// The first pair of tiles gives scores (q, k), the second d_weights (d_raw, v).
HEADSPARK_DEVICE TermRow query_row(const BackwardKernel& p, const HeadAt& at, std::int32_t i,
                                   bool second) {
  const HeadTerms& from = second ? p.d_raw : p.q;
  return at.has_query(i) ? from.row(at.begin + i, at.head) : from.zeros();
}

// Row r of a block's own tokens.
template <Target Of>
HEADSPARK_DEVICE TermRow own_row(const BackwardKernel& p, const Place& place, int r, bool second) {
  const std::int32_t i = place.first + r;
  if constexpr (Of == Target::queries) return query_row(p, place.at, i, second);
  const HeadTerms& from = second ? p.v.own : p.k.own;
  return i < place.at.own ? from.row(place.at.begin + i, place.at.kv_head) : from.zeros();
}

// `from` counts positions of keys, or own tokens of queries.
template <Target Of>
HEADSPARK_DEVICE TermRow other_row(const BackwardKernel& p, const Place& place, std::int32_t from,
                                   bool second) {
  if constexpr (Of != Target::queries) return query_row(p, place.at, from, second);
  return context_terms(place.at, second ? p.v : p.k, from);
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
  to.first.begin_copy([&](int r) { return own_row<Of>(p, place, r, false); }, column, p.q.width);
  if constexpr (Of != Target::values) {
    to.second.begin_copy([&](int r) { return own_row<Of>(p, place, r, true); }, column, p.q.width);
  }
}
template <Target Of, int Terms, int Width>
HEADSPARK_DEVICE void begin_other(const TilePair<Terms, Width>& to, const BackwardKernel& p,
                                  const Place& place, std::int32_t from, int column) {
  to.first.begin_copy([&](int r) { return other_row<Of>(p, place, from + r, false); }, column,
                      p.q.width);
  to.second.begin_copy([&](int r) { return other_row<Of>(p, place, from + r, true); }, column,
                       p.q.width);
}

template <int Terms, int Width>
struct HeldOwn {
  HeldRows<Terms, Width> first;
  HeldRows<Terms, Width> second;
};

// Adds scores and d_weights of the tiles' columns.
template <Target Of, int Terms, int Width, int Pieces, typename Held>
HEADSPARK_DEVICE void pair_scores(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                  const TilePair<Terms, Width>& own,
                                  const TilePair<Terms, Width>& other, Held& held, bool new_own) {
  constexpr bool kSecond = Of != Target::values;
  if constexpr (std::is_same_v<Held, NothingHeld>) {
    add_scores(s, SharedRows<Terms, Width>{own.first}, other.first);
    if constexpr (kSecond) add_scores(d, SharedRows<Terms, Width>{own.second}, other.second);
  } else {
    if (new_own) {
      held.first.hold(own.first);
      if constexpr (kSecond) held.second.hold(own.second);
    }
    add_scores(s, held.first, other.first);
    if constexpr (kSecond) add_scores(d, held.second, other.second);
  }
}

// s becomes p = exp(scale q·k - lse), whose product with d_raw is d_v, and d becomes
// p (d - rowsum) scale, whose products with q and k are d_k and d_q.
template <Target Of, int Pieces>
HEADSPARK_DEVICE void to_weights(FragmentC (&s)[Pieces], FragmentC (&d)[Pieces],
                                 const BackwardKernel& p, const Place& place, std::int32_t from) {
  const HeadAt& at = place.at;
  const float scale = p.b.shape.scale;
  const auto heads = static_cast<std::int32_t>(p.b.shape.heads);  // in 32 bits: see HeadAt
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t own =
          place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
      const std::int32_t other = from + 8 * n + lane_index() % 4 * 2 + r % 2;
      const std::int32_t query = Of == Target::queries ? own : other;
      const std::int32_t key = Of == Target::queries ? other : at.prefix + own;
      float weight = 0.0f;
      float gradient = 0.0f;
      if (at.has_query(query) && key <= at.prefix + query) {
        const std::int32_t index = (at.begin + query) * heads + at.head;
        weight = exponential(multiply_add(s[n].r[r], scale, -p.b.lse[index]));
        if constexpr (Of != Target::values) {
          gradient = weight * ((d[n].r[r] - p.rowsum[index]) * scale);
        }
      }
      s[n].r[r] = weight;
      d[n].r[r] = gradient;
    }
  }
}

template <int Width>
HEADSPARK_DEVICE void write(const BackwardKernel& p, const Place& place, float* gradient,
                            const FragmentC (&sums)[Width / 8]) {
  const HeadAt& at = place.at;
  HEADSPARK_UNROLL
  for (int r = 0; r < 4; r += 2) {
    const std::int32_t i = place.first + warp_index() * kWarpRows + lane_index() / 4 + r / 2 * 8;
    if (i >= at.own) continue;
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      const std::int32_t d = place.chunk * Width + 8 * n + lane_index() % 4 * 2;
      float* const to = gradient + at.query(i) + d;
      if (p.two && d < p.b.shape.head_dim) {
        store_two(to, {sums[n].r[r], sums[n].r[r + 1]});
        continue;
      }
      if (d < p.b.shape.head_dim) to[0] = sums[n].r[r];
      if (d + 1 < p.b.shape.head_dim) to[1] = sums[n].r[r + 1];
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
  const Place place{head_at(p.b.shape, p.b.layout, block_x() / blocks), block_x() % blocks * rows,
                    Chunked ? block_y() : 0,
                    Chunked ? static_cast<int>((p.b.shape.head_dim + Width - 1) / Width) : 1};
  const HeadAt& at = place.at;
  if (place.first >= at.own) return;
  SharedMemory memory;
  using Pair = TilePair<Terms, Width>;
  // The own rows last: the others then lie at places that the compiler knows.
  const auto others = memory.take<Bf16>((kTwo ? 2 : 1) * Pair::elements(kOther));
  const Pair own = Pair::of(memory.take<Bf16>(Pair::elements(rows)), rows, 0);
  std::conditional_t<holds_own<Terms, Width, Of>(), HeldOwn<Terms, Width>, NothingHeld> held;
  FragmentC sums[Of != Target::values ? Width / 8 : 1] = {};
  FragmentC sums_of_values[has_values(Of) ? Width / 8 : 1] = {};
  const std::int32_t last = place.first + rows < at.own ? place.first + rows : at.own;
  // Queries see keys up to themselves; keys are seen by their own query and those after it.
  const std::int32_t begin = Of == Target::queries ? 0 : place.first / kOther * kOther;
  const std::int32_t seen = Of == Target::queries ? at.prefix + last : at.own;
  const std::int32_t end = silent(p.b, at) ? begin : seen;
  const float keep[2] = {1.0f, 1.0f};
  if (!Chunked && begin < end) {
    begin_own<Of>(own, p, place, 0);
    begin_other<Of>(Pair::of(others, kOther, 0), p, place, begin, 0);
    commit_copies();
  }
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
        pair_scores<Of>(s, d, own, other, held, true);
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
      pair_scores<Of>(s, d, own, other, held, from == begin);
    }
    to_weights<Of>(s, d, p, place, from);
    if constexpr (has_values(Of)) {
      add_weighted(sums_of_values, LeftTerms<Terms, kPieces>(s), other.second, keep);
      sync_warp();  // one product after the other, for the sake of registers
    }
    if constexpr (Of != Target::values) {
      add_weighted(sums, LeftTerms<Terms, kPieces>(d), other.first, keep);
    }
    if (!kTwo && !Chunked && from + kOther < end) {
      sync_threads();
      begin_other<Of>(other, p, place, from + kOther, 0);
      commit_copies();
    }
  }
  if constexpr (Of == Target::queries) write<Width>(p, place, p.b.d_q, sums);
  if constexpr (has_keys(Of)) write<Width>(p, place, p.b.d_k, sums);
  if constexpr (has_values(Of)) write<Width>(p, place, p.b.d_v, sums_of_values);
}

using Choice = AttentionChoice<void (*)(BackwardKernel)>;

template <int Terms, int Width, Target Of>
auto kernel_of(std::int64_t head_dim) {
  if constexpr (Width == 64) {
    if (chunk_count(head_dim) > 1) return &backward_kernel<Terms, 64, true, Of>;
  }
  return &backward_kernel<Terms, Width, false, Of>;
}

template <Target Of, int Terms, int Width>
Choice choice(std::int64_t head_dim, std::int32_t longest) {
  using Pair = TilePair<Terms, Width>;
  const int warps = warps_for<Terms, Width>(longest);
  const int elements = Pair::elements(warps * kWarpRows) +
                       other_pairs<Terms, Width>() * Pair::elements(other_rows<Terms, Width>());
  return {kernel_of<Terms, Width, Of>(head_dim), warps, elements * static_cast<int>(sizeof(Bf16))};
}

// Sums of keys and of values are 128 registers where heads are that wide.
constexpr int kWidestTogether = 64;

template <int Width, Target Of>
constexpr bool is_launched() {
  if (Of == Target::queries) return true;
  return (Of == Target::keys_and_values) == (Width <= kWidestTogether);
}

template <Target Of>
void launch_kernel(OpDevice& device, Precision precision, const BackwardKernel& p) {
  const std::int64_t head_dim = p.b.shape.head_dim;
  const std::int32_t longest = p.b.layout.longest_row;
  const Choice chosen = choose_tiles(precision, head_dim, [&]<int Terms, int Width>() -> Choice {
    if constexpr (is_launched<Width, Of>()) return choice<Of, Terms, Width>(head_dim, longest);
    return {};
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
  // Own tokens lie packed, so there are at most longest * rows of them.
  p.rowsum = device.scratch_floats(ScratchSlot::attention_rows, items * longest);
  launch(device.stream(), {{blocks_for(items * longest, kRowThreads / 32)}, kRowThreads},
         terms == 1 ? &d_raw_kernel<1> : &d_raw_kernel<3>, p);
  launch_kernel<Target::queries>(device, precision, p);
  if (chunk_width(shape.head_dim) <= kWidestTogether) {
    return launch_kernel<Target::keys_and_values>(device, precision, p);
  }
  launch_kernel<Target::keys>(device, precision, p);
  launch_kernel<Target::values>(device, precision, p);
}

}  // namespace headspark::cuda
