// Three steps after the plan: rows with pages in common through these, every row through its other
// pages, the merge. A block has a tile of (row, query head) pairs of one key/value head and one
// split; it goes on from what the step before left, so the sums have one order whoever shares.
#include <algorithm>
#include <array>

#include "cuda/decode_attention.h"
#include "cuda/decode_plan.h"
#include "cuda/page_tiles.h"
#include "ops/head_gate_apply.h"

namespace headspark::cuda {
namespace {

constexpr int kMostThreads = 128;
constexpr int kMergeThreads = 128;
constexpr int kTogetherRows = 64;
constexpr std::int64_t kMostPartialBytes = std::int64_t{1} << 30;
constexpr int kMostTokensPerRow = 4;  // of a decode step, on average
// Floats after the values of a partial result: the largest score, the four lanes' sums, padding.
constexpr int kSoftmaxFloats = 8;

struct DecodeKernel {
  PagedAttention a;
  DecodePlan plan;   // rows and splits only, where a row is alone
  float* partials;   // [rows, heads, splits, partial_floats]
  bool four;         // rows of q are aligned
  int group;         // query heads of a key/value head
  int chunks;        // of a head's columns
  int tile_heads;    // of a group, in one tile
  int tile_queries;  // rows in one tile

  constexpr KvPageLayout layout() const { return {a.shape.kv_heads, a.shape.head_dim}; }
  // Each chunk of columns has its own softmax, or blocks would write what others still read.
  constexpr std::int64_t partial_floats() const {
    return layout().padded_dim() + chunks * kSoftmaxFloats;
  }
  HEADSPARK_DEVICE float* partial(std::int32_t row, std::int32_t head, int split) const {
    return partials +
           ((static_cast<std::int64_t>(row) * a.shape.heads + head) * plan.splits + split) *
               partial_floats();
  }
  HEADSPARK_DEVICE float* softmax(float* partial, int chunk) const {
    return partial + layout().padded_dim() + chunk * kSoftmaxFloats;
  }
  // The first position that a row sees.
  HEADSPARK_DEVICE std::int32_t first(std::int32_t row) const {
    return first_key(a.shape, decode_position(a.rows.layout, row));
  }
  HEADSPARK_DEVICE float gate(std::int32_t row, std::int32_t head) const {
    return gate_scale(a.gate, {row, 0, a.rows.layout.prefix(row)}, head, a.shape.heads);
  }
};

// How the warps of a block share its tile. Together: each has 16 of the (row, head) pairs of many
// rows. Else the block has 16 pairs of one row, and a warp scores some keys, then adds up some
// columns of the values.
template <int Terms, int Width, bool Together>
struct Work {
  static constexpr int kAlone = Width == 32 ? 2 : 4;
  static constexpr int kTogether = Terms > 1 && Width > 64 ? 2 : kTogetherRows / kWarpRows;
  static constexpr int kWarps = Together ? kTogether : kAlone;
  static constexpr int kRows = Together ? kWarps * kWarpRows : kWarpRows;
  static constexpr int kPieces = Together ? kStepPieces : kStepPieces / kWarps;
  static constexpr int kColumns = Together ? Width / 8 : Width / 8 / kWarps;
  static constexpr int kScoreStride = kStepKeys + 8;
  // A decode step lives from the bytes under way; here registers leave room for fewer.
  using Walk = PageWalk<Terms, Width, (Together && Terms > 1 && Width > 64 ? 2 : 4)>;

  SharedArray<std::int32_t> members;  // batch rows of the tile
  SharedArray<std::int32_t> rows;     // batch row of each of its rows; -1: none, or its gate is 0
  Tile<Terms, Width> queries;
  SharedArray<float> scores;

  HEADSPARK_DEVICE static Work take(SharedMemory& memory) {
    const auto members = memory.take<std::int32_t>(kRows);
    const auto rows = memory.take<std::int32_t>(kRows);
    const auto queries = Tile<Terms, Width>::take(memory, kRows);
    return {members, rows, queries, memory.take<float>(score_floats())};
  }
  static constexpr int score_floats() { return Together ? 0 : kWarpRows * kScoreStride; }
  static constexpr int shared_bytes() {
    return 2 * kRows * 4 + score_floats() * 4 +
           2 * (Walk::elements() + Tile<Terms, Width>::elements(kRows));
  }
  // Of this warp: its first row of the tile, key of a page, and column.
  HEADSPARK_DEVICE static int row() { return Together ? warp_index() * kWarpRows : 0; }
  HEADSPARK_DEVICE static int key() { return Together ? 0 : warp_index() * kPieces * 8; }
  HEADSPARK_DEVICE static int column() { return Together ? 0 : warp_index() * kColumns * 8; }
};

// What a block computes.
struct Segment {
  std::int32_t row;  // whose pages are read
  std::int32_t kv_head;
  std::int32_t first_head;  // of the tile
  int split;
  int chunk;
  int begin;  // pages of the row
  int end;
  bool fresh;  // nothing of the split was computed before
};

template <bool Together>
HEADSPARK_DEVICE Segment segment_of(const DecodeKernel& p) {
  const int rows = p.a.rows.layout.rows;
  const std::int32_t row = block_x() % rows;
  const auto kv_head = static_cast<std::int32_t>(block_x() / rows % p.a.shape.kv_heads);
  const auto tile = static_cast<std::int32_t>(block_x() / rows / p.a.shape.kv_heads);
  const int split = block_z();
  const int first = split * kSplitPages;
  const int shared = p.plan.shared != nullptr ? p.plan.shared[p.plan.at(split, row)] : 0;
  const std::int32_t position = decode_position(p.a.rows.layout, row);
  const std::int32_t seen = first_key(p.a.shape, position) / kStepKeys;  // the row's first page
  const bool sees_shared = shared > 0 && seen < first + shared;
  int begin = Together ? first : first + shared;
  if (!Together && begin < seen) begin = seen;
  int end = position < 0 ? 0 : position / static_cast<int>(kKvPageTokens) + 1;
  if (end > first + kSplitPages) end = first + kSplitPages;
  if (Together) {
    // The block of every tile_queries-th row of a group computes for those up to the next.
    const bool mine = shared > 0 && p.plan.rank[p.plan.at(split, row)] % p.tile_queries == 0;
    end = mine ? first + shared : 0;
  }
  return {row,
          kv_head,
          kv_head * p.group + tile * p.tile_heads,
          split,
          block_y(),
          begin,
          end,
          Together || !sees_shared};
}

// The batch rows of the tile, in order, -1 past the last: those of the group from segment.row on.
// One warp's work.
HEADSPARK_DEVICE void list_members(const SharedArray<std::int32_t>& members, const DecodeKernel& p,
                                   const Segment& segment) {
  const std::int32_t* const leaders = p.plan.leader + p.plan.at(segment.split, 0);
  const std::int32_t rows = p.a.rows.layout.rows;
  int found = 0;
  for (std::int32_t begin = segment.row; begin < rows && found < p.tile_queries; begin += 32) {
    const std::int32_t row = begin + lane_index();
    const bool member = row < rows && leaders[row] == leaders[segment.row];
    const unsigned mask = ballot(member);
    const int place = found + count_bits(mask & ((1u << lane_index()) - 1));
    if (member && place < p.tile_queries) members.store(place, row);
    found += count_bits(mask);
  }
  for (int i = found + lane_index(); i < p.tile_queries; i += 32) members.store(i, -1);
}

// The query head of row i of the tile.
HEADSPARK_DEVICE std::int32_t head_of(const DecodeKernel& p, const Segment& segment, int i) {
  return segment.first_head + i % p.tile_heads;
}

template <bool Together>
HEADSPARK_DEVICE std::int32_t batch_row(const SharedArray<std::int32_t>& members,
                                        const DecodeKernel& p, const Segment& segment, int i) {
  const int query = i / p.tile_heads;
  const std::int32_t head = head_of(p, segment, i);
  if (query >= p.tile_queries || head >= (segment.kv_head + 1) * p.group) return -1;
  const std::int32_t row = Together ? members.load(query) : segment.row;
  if (row < 0 || p.first(row) >= segment.end * kStepKeys) return -1;
  return p.gate(row, head) != 0.0f ? row : -1;
}

// False when no row of the tile is of use.
template <bool Together, typename Tiles>
HEADSPARK_DEVICE bool fill_rows(const Tiles& tiles, const DecodeKernel& p, const Segment& segment) {
  if (Together && warp_index() == 0) list_members(tiles.members, p, segment);
  sync_threads();
  const int i = thread_index();
  if (i < Tiles::kRows) tiles.rows.store(i, batch_row<Together>(tiles.members, p, segment, i));
  sync_threads();
  bool any = false;
  for (int k = lane_index(); k < Tiles::kRows; k += 32) any = any || tiles.rows.load(k) >= 0;
  return any_lane(any);
}

// Every warp's scores, to all warps.
template <int Pieces>
HEADSPARK_DEVICE void gather_scores(FragmentC (&s)[kStepPieces], const FragmentC (&own)[Pieces],
                                    const SharedArray<float>& all, int stride) {
  const int at = lane_index() / 4 * stride + lane_index() % 4 * 2;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; r += 2) {
      all.template store_as<Two>(at + r / 2 * 8 * stride + 8 * (warp_index() * Pieces + n),
                                 {own[n].r[r], own[n].r[r + 1]});
    }
  }
  sync_threads();
  HEADSPARK_UNROLL
  for (int n = 0; n < kStepPieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; r += 2) {
      const Two two = all.template load_as<Two>(at + r / 2 * 8 * stride + 8 * n);
      s[n].r[r] = two.x;
      s[n].r[r + 1] = two.y;
    }
  }
}

// Scores of the tile and a page, over all chunks of the head.
template <int Terms, int Width, bool Together>
HEADSPARK_DEVICE void page_scores(FragmentC (&s)[kStepPieces],
                                  const Work<Terms, Width, Together>& tiles,
                                  typename Work<Terms, Width, Together>::Walk& walk,
                                  const DecodeKernel& p, const Segment& segment, int page) {
  using Tiles = Work<Terms, Width, Together>;
  FragmentC own[Tiles::kPieces] = {};
  for (int chunk = 0; chunk < p.chunks; ++chunk) {
    const bool new_queries = p.chunks > 1 || page == segment.begin;
    walk.step(page, chunk);
    if (new_queries) {
      tiles.queries.template load<1>(
          [&](int i) -> const float* {
            const std::int32_t row = tiles.rows.load(i);
            if (row < 0) return nullptr;
            const std::int64_t query =
                p.a.rows.layout.row_begin[row] * p.a.shape.heads + head_of(p, segment, i);
            return p.a.q + query * p.a.shape.head_dim;
          },
          {chunk * std::int64_t{Width}, p.a.shape.head_dim, p.four});
    }
    if (Terms > 1 || new_queries) sync_threads();
    add_page_scores(own, SharedRows<Terms, Width>{tiles.queries, Tiles::row()}, walk.keys(),
                    Tiles::key());
  }
  if constexpr (Together) {
    HEADSPARK_UNROLL
    for (int n = 0; n < kStepPieces; ++n) s[n] = own[n];
  } else {
    gather_scores(s, own, tiles.scores, Tiles::kScoreStride);
  }
}

// What the split has come to so far, from or to device memory.
template <bool Store, int Width, typename Tiles, int Columns>
HEADSPARK_DEVICE void move_partial(Softmax& softmax, FragmentC (&sums)[Columns], const Tiles& tiles,
                                   const DecodeKernel& p, const Segment& segment) {
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int i = Tiles::row() + lane_index() / 4 + 8 * half;
    const std::int32_t row = tiles.rows.load(i);
    if (row < 0) continue;
    float* const partial = p.partial(row, head_of(p, segment, i), segment.split);
    float* const kept = p.softmax(partial, segment.chunk);
    if (!Store) {
      softmax.largest[half] = kept[0];
      softmax.sum[half] = kept[1 + lane_index() % 4];
    } else if (Tiles::column() == 0) {
      if (lane_index() % 4 == 0) kept[0] = softmax.largest[half];
      kept[1 + lane_index() % 4] = softmax.sum[half];
    }
    HEADSPARK_UNROLL
    for (int n = 0; n < Columns; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        const int d =
            segment.chunk * Width + Tiles::column() + 8 * n + lane_index() % 4 * 2 + r % 2;
        if (d >= p.a.shape.head_dim) continue;
        if (Store) {
          partial[d] = sums[n].r[r];
        } else {
          sums[n].r[r] = partial[d];
        }
      }
    }
  }
}

// The keys up to `last` that this lane's rows of the tile see. Rows that share pages see from
// different ones on.
template <typename Tiles>
HEADSPARK_DEVICE SeenKeys seen_by_tile(const Tiles& tiles, const DecodeKernel& p,
                                       std::int32_t last) {
  SeenKeys seen{{0, 0}, {last, last}};
  if (p.a.shape.window == 0) return seen;
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int32_t row = tiles.rows.load(Tiles::row() + lane_index() / 4 + 8 * half);
    if (row >= 0) seen.first[half] = p.first(row);
  }
  return seen;
}

template <int Terms, int Width, bool Together>
HEADSPARK_KERNEL(kMostThreads, 2)
decode_kernel(DecodeKernel p) {
  using Tiles = Work<Terms, Width, Together>;
  const Segment segment = segment_of<Together>(p);
  if (segment.begin >= segment.end) return;
  SharedMemory memory;
  auto walk = Tiles::Walk::take(memory);
  const Tiles tiles = Tiles::take(memory);
  if (!fill_rows<Together>(tiles, p, segment)) return;
  Softmax softmax = nothing_seen();
  FragmentC sums[Tiles::kColumns] = {};
  if (!segment.fresh) move_partial<false, Width>(softmax, sums, tiles, p, segment);
  // Pages that are read together are whole for all their rows.
  const std::int32_t last =
      Together ? segment.end * kStepKeys - 1 : decode_position(p.a.rows.layout, segment.row);
  const SeenKeys seen = seen_by_tile(tiles, p, last);
  const PagedRows& paged = p.a.rows;
  walk.begin({paged.pages + paged.page_begin[segment.row],
              {p.a.shape.kv_heads, p.a.shape.head_dim, page_type(Terms)},
              segment.kv_head,
              last + 1,
              segment.end,
              p.chunks,
              segment.chunk},
             segment.begin);
  for (int page = segment.begin; page < segment.end; ++page) {
    FragmentC s[kStepPieces];
    page_scores(s, tiles, walk, p, segment, page);
    float shrink[2];
    weigh<Terms>(s, softmax, shrink, seen, page * kStepKeys, p.a.shape.scale);
    const LeftTerms<Terms, kStepPieces> weights(s);
    scale_rows(sums, shrink);
    add_weighted(sums, weights, walk.values(page), Tiles::column());
  }
  move_partial<true, Width>(softmax, sums, tiles, p, segment);
}

// A block per (row, head), a thread per column: the splits in order, as in attention_forward.cu.
HEADSPARK_KERNEL(kMergeThreads) merge_kernel(DecodeKernel p) {
  const auto row = static_cast<std::int32_t>(block_x() / p.a.shape.heads);
  const auto head = static_cast<std::int32_t>(block_x() % p.a.shape.heads);
  const std::int32_t position = decode_position(p.a.rows.layout, row);
  if (position < 0) return;
  const std::int64_t head_dim = p.a.shape.head_dim;
  const float scale = p.gate(row, head);
  // A row without a gate may point past the replacements.
  const float* replacement = scale == 1.0f ? nullptr
                                           : gate_replacement(p.a.gate, {row, 0, position}, head,
                                                              p.a.shape.heads, head_dim);
  float* z = p.a.z + (p.a.rows.layout.row_begin[row] * p.a.shape.heads + head) * head_dim;
  const int first = first_key(p.a.shape, position) / kSplitKeys;
  const int splits = scale == 0.0f ? 0 : position / kSplitKeys + 1;
  for (std::int64_t d = thread_index(); d < head_dim; d += kMergeThreads) {
    float sum = 0.0f;
    MergedSoftmax merged{-infinity(), 0.0f};
    for (int split = first; split < splits; ++split) {
      float* const partial = p.partial(row, head, split);
      const float* const kept = p.softmax(partial, 0);
      const MergedSoftmax own{kept[0], whole_sum(kept + 1)};
      if (split == first) {
        merged = own;
        sum = partial[d];
      } else {
        sum = merge(merge(merged, own), sum, partial[d]);
      }
    }
    // The line that gates a head.
    z[d] = gated_value(scale, sum / merged.sum, replacement != nullptr ? replacement[d] : 0.0f);
  }
}

using Choice = AttentionChoice<void (*)(DecodeKernel)>;

template <bool Together>
void launch_step(OpDevice& device, Precision precision, DecodeKernel p) {
  int tile_rows = 0;
  const Choice chosen =
      choose_tiles(precision, p.a.shape.head_dim, [&]<int Terms, int Width>() -> Choice {
        using Tiles = Work<Terms, Width, Together>;
        tile_rows = Tiles::kRows;
        return {&decode_kernel<Terms, Width, Together>, Tiles::kWarps, Tiles::shared_bytes()};
      });
  p.tile_heads = std::min(p.group, tile_rows);
  p.tile_queries = Together ? tile_rows / p.tile_heads : 1;
  const std::int64_t tiles = (p.group + p.tile_heads - 1) / p.tile_heads;
  const int blocks = blocks_for(tiles * p.a.shape.kv_heads * p.a.rows.layout.rows, 1);
  launch(device.stream(),
         {{blocks, p.chunks, p.plan.splits}, 32 * chosen.warps, chosen.shared_bytes}, chosen.kernel,
         p);
}

// What a batch's sizes decide.
DecodeKernel decode_of(const AttentionShape& shape, const RowLayout& layout) {
  DecodeKernel p{};
  p.a.shape = shape;
  p.a.rows.layout = layout;
  p.plan.splits = static_cast<int>(splits_of(layout.longest_context));
  p.group = static_cast<int>(shape.heads / shape.kv_heads);
  p.chunks = chunk_count(shape.head_dim);
  return p;
}

std::int64_t partial_count(const DecodeKernel& p) {
  return p.a.rows.layout.rows * p.a.shape.heads * p.plan.splits * p.partial_floats();
}

}  // namespace

bool is_decode_step(const AttentionShape& shape, const RowLayout& layout) {
  if (layout.token_count > std::int64_t{kMostTokensPerRow} * layout.rows) return false;
  return partial_count(decode_of(shape, layout)) * 4 <= kMostPartialBytes;
}

std::int64_t attention_plan_size(const AttentionShape& shape, const RowLayout& layout) {
  if (layout.rows <= 1 || !is_decode_step(shape, layout)) return 0;
  return decode_plan_size(layout.rows, layout.longest_context);
}

std::int64_t decode_attention_bytes(const PagedAttentionSize& size) {
  RowLayout layout;
  layout.rows = static_cast<std::int32_t>(size.rows);
  layout.longest_context = static_cast<std::int32_t>(size.context);
  const std::int64_t partials = 4 * partial_count(decode_of(size.shape, layout));
  // One more for a layer without a plan, which is made in scratch memory.
  const std::int64_t plans = (1 + size.planned_layers) * decode_plan_size(size.rows, size.context);
  return std::min(partials, kMostPartialBytes) +
         plans * static_cast<std::int64_t>(sizeof(std::int32_t));
}

void decode_attention_kernels(OpDevice& device, Precision precision, const PagedAttention& params,
                              const std::function<void()>& store) {
  const RowLayout& layout = params.rows.layout;
  DecodeKernel p = decode_of(params.shape, layout);
  p.a = params;
  p.plan.rows = params.rows;
  p.four = reads_four(params.shape.head_dim, params.q);
  p.partials = device.scratch_floats(ScratchSlot::attention_splits, partial_count(p));
  if (layout.rows > 1) {
    p.plan = params.plan != nullptr ? plan_at(params.rows, params.plan)
                                    : plan_decode(device, params.rows);
    const auto together = [&] { launch_step<true>(device, precision, p); };
    device.side_by_side(std::array<std::function<void()>, 2>{together, store});
  } else {
    store();
  }
  launch_step<false>(device, precision, p);
  const std::int64_t heads = layout.rows * params.shape.heads;
  launch(device.stream(), {{blocks_for(heads, 1)}, kMergeThreads}, &merge_kernel, p);
}

}  // namespace headspark::cuda
