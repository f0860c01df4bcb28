// Attention forward over pages: the blocks of attention_forward.cu, whose keys and values come page
// by page. The context is cut into splits, merged in order as in decode_attention.cu, so that
// prefill and decode give the same bits; in between the sums lie in z.
#include <type_traits>

#include "cuda/forward_tile.h"
#include "cuda/page_tiles.h"

namespace headspark::cuda {
namespace {

struct Split {
  std::int32_t begin;  // its first key
  std::int32_t end;
};

// Adds a split to those before it that a query sees, which lie in z; after the last the sums of all
// are in `sums`.
template <int Width>
HEADSPARK_DEVICE void add_split(Totals& totals, FragmentC (&sums)[Width / 8],
                                const Softmax& softmax, const ForwardAttention& p,
                                const Place& place, const Split& split, bool last) {
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const MergedSoftmax own{softmax.largest[half], whole_sum(softmax.sum[half])};
    const std::int32_t token = token_of(place, 2 * half);
    const std::int32_t position = place.at.prefix + token;
    const bool sees = position >= split.begin;
    // Whether it has seen keys of the splits before; if not, this is its first or none of its own.
    const bool before = first_key(p.shape, position) < split.begin;
    if (!before) totals[half] = own;
    MergeFactors factors{1.0f, 0.0f};
    if (before && sees) factors = merge(totals[half], own);
    if (!place.at.has_query(token)) continue;
    float* const z = p.z + place.at.query(token);
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        const std::int32_t d = column_of<Width>(place, n, r);
        if (d >= p.shape.head_dim) continue;
        float& sum = sums[n].r[r];
        if (before) sum = sees ? merge(factors, z[d], sum) : z[d];
        if (!last) z[d] = sum;
      }
    }
  }
}

template <int Terms, int Width>
using Walk = PageWalk<Terms, Width, at_once<Terms, Width>()>;

// One term of the queries stays in registers.
template <int Terms, int Width>
using HeldQueries = std::conditional_t<Terms == 1, HeldRows<Terms, Width>, NothingHeld>;

// Scores of the block's queries and a page's keys, over all chunks of the head.
template <int Terms, int Width, typename Held>
HEADSPARK_DEVICE void page_scores(FragmentC (&s)[kStepPieces], const ForwardAttention& p,
                                  const Place& place, const Tile<Terms, Width>& queries,
                                  Walk<Terms, Width>& walk, Held& held, std::int32_t page,
                                  bool first) {
  for (int chunk = 0; chunk < place.chunks; ++chunk) {
    const bool new_queries = place.chunks > 1 || first;
    walk.step(page, chunk);
    if (new_queries) load_queries(p, place, queries, chunk * Width);
    if (Terms > 1 || new_queries) sync_threads();
    if (new_queries) held.hold(queries);
    add_page_scores(s, left_rows(held, queries), walk.keys(), 0);
  }
}

template <int Terms, int Width>
HEADSPARK_KERNEL(kMostForwardThreads, 2)
paged_kernel(ForwardAttention p) {
  const int rows = block_threads() / 32 * kWarpRows;
  const Place place = place_of(p, rows, Width);
  if (!has_queries(p, place, rows)) return;
  const HeadAt& at = place.at;
  SharedMemory memory;
  auto walk = Walk<Terms, Width>::take(memory);
  // Last, since the others then lie at places that the compiler knows.
  const auto queries = Tile<Terms, Width>::take(memory, rows);
  HeldQueries<Terms, Width> held;
  Totals totals = {{-infinity(), 0.0f}, {-infinity(), 0.0f}};
  FragmentC sums[Width / 8] = {};
  const std::int32_t begin = context_begin(p, place);
  const std::int32_t end = context_end(p, place, rows);
  if (begin < end) {
    walk.begin({p.pages + p.page_begin[at.row],
                {p.shape.kv_heads, p.shape.head_dim, page_type(Terms)},
                at.kv_head,
                at.prefix + at.own,
                (end + kStepKeys - 1) / kStepKeys,
                place.chunks,
                place.chunk},
               begin / kStepKeys);
  }
  for (Split split{begin / kSplitKeys * kSplitKeys, end}; split.begin < end;
       split.begin = split.end) {
    split.end = split_end(split.begin, end);
    Softmax softmax = nothing_seen();
    HEADSPARK_UNROLL
    for (int n = 0; n < Width / 8; ++n) sums[n] = {};
    std::int32_t key = split.begin > begin ? split.begin : begin;
    for (; key < split.end; key += kStepKeys) {
      FragmentC s[kStepPieces] = {};
      page_scores(s, p, place, queries, walk, held, key / kStepKeys, key == begin);
      float shrink[2];
      weigh<Terms>(s, softmax, shrink, seen_keys(p, place), key, p.shape.scale);
      const LeftTerms<Terms, kStepPieces> weights(s);
      scale_rows(sums, shrink);
      add_weighted(sums, weights, walk.values(key / kStepKeys));
    }
    add_split<Width>(totals, sums, softmax, p, place, split, split.end == end);
  }
  write<Width>(p, place, totals, sums);
}

}  // namespace

void paged_forward_kernels(OpDevice& device, Precision precision, const ForwardAttention& params) {
  const std::int32_t longest = params.layout.longest_row;
  if (longest <= 0) return;
  ForwardAttention p = params;
  p.two = pairs_aligned(p.shape.head_dim, p.z, p.raw);
  const ForwardChoice chosen =
      choose_tiles(precision, p.shape.head_dim, [&]<int Terms, int Width>() -> ForwardChoice {
        const int warps = warps_for<Terms, Width>(longest);
        const int elements =
            Walk<Terms, Width>::elements() + Tile<Terms, Width>::elements(warps * kWarpRows);
        return {&paged_kernel<Terms, Width>, warps, elements * static_cast<int>(sizeof(Bf16))};
      });
  launch_forward(device, chosen, p);
}

}  // namespace headspark::cuda
