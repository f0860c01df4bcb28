// A block has up to 64 queries of one (row, head), a warp 16 of them, and walks over the keys 32 at
// a time from position 0 on, whatever the batch: a query's bits depend on its own row alone. Scores
// and weights stay in registers. Over pages the context is cut into splits, merged in order as in
// decode_attention.cu; in between the sums lie in z. Heads wider than 128 are cut into chunks: a
// block writes one chunk of z and computes the scores anew.
#include <type_traits>

#include "cuda/attention_forward.h"
#include "cuda/attention_softmax.h"
#include "cuda/row_pairs.h"
#include "cuda/term_rows.h"
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

template <int Terms, int Width>
struct Tiles {
  Tile<Terms, Width> queries;
  Tile<Terms, Width> keys;
  Tile<Terms, Width> values;
};

// Pieces of fp32 rows that a thread asks for at once: what registers leave room for.
template <int Terms, int Width>
constexpr int at_once() {
  return Width <= 64 ? 4 : Terms == 1 ? 2 : 1;
}

// Where keys and values come from: pages of fp32, terms of heads that fit one tile, terms of wider
// heads.
enum class Source { pages, terms, wide_terms };

// One term of the queries stays in registers, where there is room for it beside the sums.
template <int Terms, int Width, Source From>
using HeldQueries = std::conditional_t<Terms == 1 && (Width <= 64 || From == Source::terms),
                                       HeldRows<Terms, Width>, NothingHeld>;

template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void add_queries(FragmentC (&s)[kStepPieces], const Tiles<Terms, Width>& tiles,
                                  Held& held, bool new_queries) {
  if (new_queries) held.hold(tiles.queries);
  add_scores(s, left_rows(held, tiles.queries), tiles.keys);
}

// Each query is read by one block only, which splits it.
template <int Terms, int Width>
HEADSPARK_DEVICE void load_queries(const ForwardAttention& p, const Place& place,
                                   const Tiles<Terms, Width>& tiles, int column) {
  tiles.queries.template load<at_once<Terms, Width>()>(
      [&](int r) {
        const std::int32_t token = place.first + r;
        return RowAt{place.at.has_query(token) ? p.q + place.at.query(token) : nullptr, 1};
      },
      {column, p.shape.head_dim, p.four});
}

// The keys or values of a step, from this column on.
template <int Terms, int Width>
HEADSPARK_DEVICE void begin_context(const Place& place, const Tile<Terms, Width>& tile,
                                    const TermStore& store, std::int32_t first_key, int column) {
  tile.begin_copy(ContextTerms::of(place.at, store), first_key, column, store.own.width);
}

// Before the first step: its keys, and the queries of all.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void begin_terms(const ForwardAttention& p, const Place& place,
                                  const Tiles<Terms, Width>& tiles, Held& held) {
  begin_context(place, tiles.keys, p.k_terms, 0, 0);
  commit_copies();
  load_queries(p, place, tiles, 0);
  if constexpr (Held::kHeld) sync_threads();
  held.hold(tiles.queries);
}
// Scores of the block's queries and the keys of a step, whose values follow: each tile is on its
// way while the other is multiplied.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void scores_of_terms(FragmentC (&s)[kStepPieces], const ForwardAttention& p,
                                      const Place& place, const Tiles<Terms, Width>& tiles,
                                      const Held& held, std::int32_t key) {
  end_copies();  // and everyone is done with the values before
  begin_context(place, tiles.values, p.v_terms, key, 0);
  commit_copies();
  multiply_scores(s, left_rows(held, tiles.queries), tiles.keys);
}
template <int Terms, int Width>
HEADSPARK_DEVICE void next_keys(const ForwardAttention& p, const Place& place,
                                const Tiles<Terms, Width>& tiles, std::int32_t key,
                                std::int32_t end) {
  end_copies();  // of the values, and everyone is done with the keys
  if (key >= end) return;
  begin_context(place, tiles.keys, p.k_terms, key, 0);
  commit_copies();
}

// The same over all chunks of the head; the values of the block's chunk are there when it returns.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void scores_of_chunks(FragmentC (&s)[kStepPieces], const ForwardAttention& p,
                                       const Place& place, const Tiles<Terms, Width>& tiles,
                                       Held& held, std::int32_t key) {
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    sync_threads();  // everyone is done with the tiles before
    if (chunk == 0) {
      begin_context(place, tiles.values, p.v_terms, key, place.chunk * Width);
    }
    begin_context(place, tiles.keys, p.k_terms, key, chunk * Width);
    commit_copies();
    load_queries(p, place, tiles, chunk * Width);
    end_copies();
    add_queries(s, tiles, held, true);
  }
}

// The same over pages, which are split here.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void scores_of_pages(FragmentC (&s)[kStepPieces], const ForwardAttention& p,
                                      const Place& place, const Tiles<Terms, Width>& tiles,
                                      Held& held, std::int32_t key) {
  constexpr int kAtOnce = at_once<Terms, Width>();
  const HeadAt& at = place.at;
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    const Columns columns{chunk * static_cast<std::int64_t>(Width), p.shape.head_dim, p.four};
    const bool new_queries = place.chunks > 1 || key == 0;
    sync_threads();  // everyone is done with the tiles before
    if (chunk == 0) {
      tiles.values.template load<kAtOnce>(
          [&](int r) { return context_row<true>(at, p.store, key + r, true); },
          {place.chunk * std::int64_t{Width}, p.shape.head_dim, p.four});
    }
    tiles.keys.template load<kAtOnce, kStepKeys>(
        [&](int r) { return context_row<true>(at, p.store, key + r, false); }, columns);
    if (new_queries) load_queries(p, place, tiles, chunk * Width);
    sync_threads();
    add_queries(s, tiles, held, new_queries);
  }
}

template <int Terms, int Width, Source From>
HEADSPARK_KERNEL(kMostThreads, 2)
forward_kernel(ForwardAttention p) {
  constexpr bool kPaged = From == Source::pages;
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
  HeldQueries<Terms, Width, From> held;
  Totals totals = {{-infinity(), 0.0f}, {-infinity(), 0.0f}};
  FragmentC sums[Width / 8] = {};
  const std::int32_t last = place.first + rows < at.own ? place.first + rows : at.own;
  const std::int32_t end = hidden(p, place) ? 0 : at.prefix + last;
  if constexpr (From == Source::terms) {
    if (end > 0) begin_terms(p, place, tiles, held);
  }
  for (Split split{0, end}; split.begin < end; split.begin = split.end) {
    if constexpr (kPaged) split.end = split_end(split.begin, end);
    Softmax softmax = nothing_seen();
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) sums[n] = {};
    for (std::int32_t key = split.begin; key < split.end; key += kStepKeys) {
      FragmentC s[kStepPieces] = {};
      if constexpr (kPaged) {
        scores_of_pages(s, p, place, tiles, held, key);
      } else if constexpr (From == Source::wide_terms) {
        scores_of_chunks(s, p, place, tiles, held, key);
      } else {
        scores_of_terms(s, p, place, tiles, held, key);
      }
      float shrink[2];
      const std::int32_t positions[2] = {at.prefix + token_of(place, 0),
                                         at.prefix + token_of(place, 2)};
      weigh<Terms>(s, softmax, shrink, positions, key, p.shape.scale);
      const LeftTerms<Terms, kStepPieces> weights(s);
      if constexpr (From == Source::terms) next_keys(p, place, tiles, key + kStepKeys, end);
      scale_rows(sums, shrink);
      add_weighted(sums, weights, tiles.values);
    }
    add_split<Width, kPaged>(totals, sums, softmax, p, place, split, split.end == end);
  }
  write<Width>(p, place, totals, sums);
}

using Choice = AttentionChoice<void (*)(ForwardAttention)>;

template <int Terms, int Width>
auto kernel_of(const ForwardAttention& p) {
  if (p.store.pages != nullptr) return &forward_kernel<Terms, Width, Source::pages>;
  if constexpr (Width == 64) {
    if (chunk_count(p.shape.head_dim) > 1) {
      return &forward_kernel<Terms, Width, Source::wide_terms>;
    }
  }
  return &forward_kernel<Terms, Width, Source::terms>;
}

// Tokens that no row has are split as well: where they lie is memory, and nobody reads the terms.
void split_context(OpDevice& device, Precision precision, ForwardAttention& p) {
  const int terms = term_count(precision);
  const std::int64_t tokens = p.layout.token_count;
  const std::int64_t stored = p.store.prefix_k != nullptr ? p.layout.store_tokens : 0;
  const std::int64_t heads = p.shape.kv_heads;
  const HeadValues arrays[] = {{p.store.k, tokens, heads, &p.k_terms.own},
                               {p.store.v, tokens, heads, &p.v_terms.own},
                               {p.store.prefix_k, stored, heads, &p.k_terms.prefix},
                               {p.store.prefix_v, stored, heads, &p.v_terms.prefix}};
  place_head_terms(device, terms, p.shape.head_dim, arrays);
  split_heads(device, terms, p.shape.head_dim, arrays);
}

}  // namespace

void attention_forward_kernels(OpDevice& device, Precision precision,
                               const ForwardAttention& params) {
  const std::int32_t longest = params.layout.longest_row;
  if (longest <= 0) return;
  ForwardAttention p = params;
  p.two = pairs_aligned(p.shape.head_dim, p.z, p.raw);
  if (p.store.pages == nullptr) split_context(device, precision, p);
  const Choice chosen =
      choose_tiles(precision, p.shape.head_dim, [&]<int Terms, int Width>() -> Choice {
        const int warps = warps_for<Terms, Width>(longest);
        const int elements = Tile<Terms, Width>::elements(warps * kWarpRows) +
                             2 * Tile<Terms, Width>::elements(kStepKeys);
        return {kernel_of<Terms, Width>(p), warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  const std::int64_t blocks = blocks_for(longest, chosen.warps * kWarpRows);
  const LaunchShape shape{
      {blocks_for(blocks * p.shape.heads * p.layout.rows, 1), chunk_count(p.shape.head_dim)},
      32 * chosen.warps,
      chosen.shared_bytes};
  launch(device.stream(), shape, chosen.kernel, p);
}

}  // namespace headspark::cuda
