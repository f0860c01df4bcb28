// edge_sum block of positions by block of positions: the differences that any destination reads are
// brought into L2 once and summed for all destinations, each in registers. Rows of differences lie
// whole pages apart, where a few of them would fill their cache sets; their copies lie side by
// side.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/range.h"
#include "cpu/scratch.h"
#include "ops/edge_sum_groups.h"

namespace headspark {
namespace {

// Positions that are summed at once: of 96 sources 24 KB, which stay in L1 for all destinations.
constexpr std::int64_t kPiece = 64;
constexpr std::int64_t kSummedSources = 96;
// Positions of a block: 2 KB of each source, long enough to be streams of memory.
constexpr std::int64_t kSummedPositions = 8 * kPiece;

/// Sums of the same differences.
class Group {
 public:
  Group(const Context& context, std::span<const EdgeSum> sums)
      : kernels_(kernel_table(context)), sums_(sums) {
    for (const EdgeSum& sum : sums) {
      for (std::int64_t v = 0; v < sum.destinations; ++v) columns_.push_back({&sum, v});
    }
    find_sources();
    list_offsets();
  }

  /// Calls work with each block of positions.
  template <typename Work>
  void for_blocks(const Work& work) const {
    const EdgeSum& sum = sums_.front();
    const bool some = sum.index != nullptr;
    const std::int64_t width = some ? sum.width : sum.length;
    for (std::int64_t t = 0; t * width < sum.length; ++t) {
      const std::int64_t first = some ? sum.index[t] * width : 0;
      for_ranges(width, kSummedPositions, [&](const Range& range) {
        work(Range{first + range.begin, first + range.end});
      });
    }
  }

  void sum_block(const Range& positions) const {
    float* rows = scratch(ScratchSlot::edge_differences, kSummedSources * kSummedPositions);
    const auto chunks = static_cast<std::int64_t>(chunks_.size());
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      copy_rows(chunk, positions, rows);
      for_ranges(positions.count(), kPiece, [&](const Range& piece) {
        const Range at{positions.begin + piece.begin, positions.begin + piece.end};
        sum_piece(chunk, at, rows + piece.begin * kSummedSources);
      });
    }
  }

 private:
  struct Column {
    const EdgeSum* sum;
    std::int64_t destination;

    float* y() const { return sum->y + destination * sum->y_stride; }
    bool reads(std::int64_t source) const {
      return source < sum->sources && sum->mask[source * sum->mask_stride + destination] != 0;
    }
  };
  /// Up to kSummedSources of the sources, in order, and what every column adds of them.
  struct Chunk {
    Range sources;                      // in sources_
    std::vector<std::int64_t> offsets;  // of a source in a piece's rows, column by column
    std::vector<std::int64_t> ends;     // [columns] in offsets
  };

  void find_sources() {
    std::int64_t count = 0;
    for (const EdgeSum& sum : sums_) count = std::max(count, sum.sources);
    for (std::int64_t u = 0; u < count; ++u) {
      const bool read = std::any_of(columns_.begin(), columns_.end(),
                                    [&](const Column& column) { return column.reads(u); });
      if (read) sources_.push_back(u);
    }
  }

  void list_offsets() {
    // One chunk at least, which copies the base.
    const auto count = std::max<std::int64_t>(std::ssize(sources_), 1);
    for_ranges(count, kSummedSources, [&](const Range& range) {
      Chunk chunk;
      chunk.sources = {range.begin, std::min<std::int64_t>(range.end, std::ssize(sources_))};
      for (const Column& column : columns_) {
        for (std::int64_t i = chunk.sources.begin; i < chunk.sources.end; ++i) {
          if (!column.reads(sources_[static_cast<std::size_t>(i)])) continue;
          chunk.offsets.push_back((i - chunk.sources.begin) * kPiece);
        }
        chunk.ends.push_back(std::ssize(chunk.offsets));
      }
      chunks_.push_back(std::move(chunk));
    });
  }

  const float* difference(std::int64_t index) const {
    const EdgeSum& sum = sums_.front();
    return sum.difference + sources_[static_cast<std::size_t>(index)] * sum.difference_stride;
  }

  /// rows[piece][source][kPiece]
  void copy_rows(std::int64_t chunk, const Range& positions, float* rows) const {
    const Range& sources = chunks_[static_cast<std::size_t>(chunk)].sources;
    constexpr std::int64_t ahead = 2;
    constexpr std::int64_t line = 16;  // floats
    for (std::int64_t i = sources.begin; i < sources.end; ++i) {
      const float* from = difference(i) + positions.begin;
      const float* next = difference(std::min(i + ahead, sources.end - 1)) + positions.begin;
      float* to = rows + (i - sources.begin) * kPiece;
      for_ranges(positions.count(), kPiece, [&](const Range& piece) {
        for (std::int64_t at = piece.begin; at < piece.end; at += line)
          __builtin_prefetch(next + at);
        std::memcpy(to + piece.begin * kSummedSources, from + piece.begin,
                    static_cast<std::size_t>(piece.count()) * sizeof(float));
      });
    }
  }

  void sum_piece(std::int64_t index, const Range& at, const float* rows) const {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(index)];
    std::int64_t begin = 0;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const Column& column = columns_[c];
      float* y = column.y() + at.begin;
      AddRows sum;
      sum.rows = rows;
      sum.offsets = chunk.offsets.data() + begin;
      sum.count = chunk.ends[c] - begin;
      sum.base = index == 0 && column.sum->base != nullptr ? column.sum->base + at.begin : y;
      sum.y = y;
      sum.length = at.count();
      begin = chunk.ends[c];
      if (sum.count > 0 || sum.base != y) kernels_.add_rows(sum);
    }
  }

  const KernelTable& kernels_;
  std::span<const EdgeSum> sums_;
  std::vector<Column> columns_;
  std::vector<std::int64_t> sources_;  // that any column reads, ascending
  std::vector<Chunk> chunks_;
};

}  // namespace

void edge_sum_fast(const Context& context, std::span<const EdgeSum> sums) {
  std::vector<Group> groups;
  for_same_differences(sums,
                       [&](std::span<const EdgeSum> same) { groups.emplace_back(context, same); });
  struct Item {
    const Group* group;
    Range positions;
  };
  std::vector<Item> items;
  for (const Group& group : groups) {
    group.for_blocks([&](const Range& positions) { items.push_back({&group, positions}); });
  }
  context.threads->for_each(items, [](const Item& item) { item.group->sum_block(item.positions); });
}

}  // namespace headspark
