// A block has up to 64 queries of one (row, head), a warp 16 of them, and walks over the keys 32 at
// a time, at the same places whatever the batch: a query's bits depend on its own row alone. Scores
// and weights stay in registers. Heads wider than 128 are cut into chunks: a block writes one chunk
// of z and computes the scores anew.
#include <type_traits>

#include "cuda/forward_tile.h"
#include "cuda/term_rows.h"

namespace headspark::cuda {
namespace {

template <int Terms, int Width>
struct Tiles {
  Tile<Terms, Width> queries;
  Tile<Terms, Width> keys;
  Tile<Terms, Width> values;
};

// Terms of heads that fit one tile, or of wider ones.
enum class Source { terms, wide_terms };

// One term of the queries stays in registers, where there is room for it beside the sums.
template <int Terms, int Width, Source From>
using HeldQueries = std::conditional_t<Terms == 1 && (Width <= 64 || From == Source::terms),
                                       HeldRows<Terms, Width>, NothingHeld>;

// The keys or values of a step, from this column on.
template <int Terms, int Width>
HEADSPARK_DEVICE void begin_context(const Place& place, const Tile<Terms, Width>& tile,
                                    const TermStore& store, std::int32_t first_key, int column) {
  tile.begin_copy(ContextTerms::of(place.at, store), first_key, column, store.own.width);
}

// Before the first step: its keys, and the queries of all.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void begin_terms(const ForwardAttention& p, const Place& place,
                                  const Tiles<Terms, Width>& tiles, Held& held, std::int32_t key) {
  begin_context(place, tiles.keys, p.k_terms, key, 0);
  commit_copies();
  load_queries(p, place, tiles.queries, 0);
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
    load_queries(p, place, tiles.queries, chunk * Width);
    end_copies();
    held.hold(tiles.queries);
    add_scores(s, left_rows(held, tiles.queries), tiles.keys);
  }
}

template <int Terms, int Width, Source From>
HEADSPARK_KERNEL(kMostForwardThreads, 2)
forward_kernel(ForwardAttention p) {
  const int rows = block_threads() / 32 * kWarpRows;
  const Place place = place_of(p, rows, Width);
  if (!has_queries(p, place, rows)) return;
  SharedMemory memory;
  // The queries last: the others then lie at places that the compiler knows.
  const auto keys = Tile<Terms, Width>::take(memory, kStepKeys);
  const auto values = Tile<Terms, Width>::take(memory, kStepKeys);
  const Tiles<Terms, Width> tiles{Tile<Terms, Width>::take(memory, rows), keys, values};
  HeldQueries<Terms, Width, From> held;
  Softmax softmax = nothing_seen();
  FragmentC sums[Width / 8] = {};
  const std::int32_t begin = context_begin(p, place);
  const std::int32_t end = context_end(p, place, rows);
  if constexpr (From == Source::terms) {
    if (begin < end) begin_terms(p, place, tiles, held, begin);
  }
  for (std::int32_t key = begin; key < end; key += kStepKeys) {
    FragmentC s[kStepPieces] = {};
    if constexpr (From == Source::wide_terms) {
      scores_of_chunks(s, p, place, tiles, held, key);
    } else {
      scores_of_terms(s, p, place, tiles, held, key);
    }
    float shrink[2];
    weigh<Terms>(s, softmax, shrink, seen_keys(p, place), key, p.shape.scale);
    const LeftTerms<Terms, kStepPieces> weights(s);
    if constexpr (From == Source::terms) next_keys(p, place, tiles, key + kStepKeys, end);
    scale_rows(sums, shrink);
    add_weighted(sums, weights, tiles.values);
  }
  Totals totals;
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    totals[half] = {softmax.largest[half], whole_sum(softmax.sum[half])};
  }
  write<Width>(p, place, totals, sums);
}

template <int Terms, int Width>
auto kernel_of(const ForwardAttention& p) {
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
  split_context(device, precision, p);
  const ForwardChoice chosen =
      choose_tiles(precision, p.shape.head_dim, [&]<int Terms, int Width>() -> ForwardChoice {
        const int warps = warps_for<Terms, Width>(longest);
        const int elements = Tile<Terms, Width>::elements(warps * kWarpRows) +
                             2 * Tile<Terms, Width>::elements(kStepKeys);
        return {kernel_of<Terms, Width>(p), warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  launch_forward(device, chosen, p);
}

}  // namespace headspark::cuda
