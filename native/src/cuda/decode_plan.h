// Which rows of a decode step read the same pages. Rows of one prompt share its pages, but not
// those they went on in, so per split of the context: rows with the same first page form a group,
// and the pages from there on that are the same for all of it are read for all of it at once.
#pragma once

#include "cuda/attention_softmax.h"
#include "cuda/op_device.h"
#include "headspark/ops/paged_attention.h"

namespace headspark::cuda {

constexpr int kSplitPages = kSplitKeys / static_cast<int>(kKvPageTokens);

/// Of a layer: arrays on the device, [splits, rows], which lie one after the other.
template <typename Integer>
struct PlanArrays {
  PagedRows rows;
  int splits = 0;
  Integer* leader = nullptr;  ///< the first row of its group; -1: no page, or no decode
  Integer* rank = nullptr;    ///< rows of the group before it
  Integer* shared = nullptr;  ///< pages that the group reads together; 0: the row is alone

  constexpr std::int64_t at(int split, std::int32_t row) const {
    return static_cast<std::int64_t>(split) * rows.layout.rows + row;
  }
};
using DecodePlan = PlanArrays<const std::int32_t>;

/// Where the only token of a row stands; -1 where the row has other tokens, or no query.
HEADSPARK_DEVICE std::int32_t decode_position(const RowLayout& layout, std::int32_t row) {
  if (layout.row_begin[row + 1] - layout.row_begin[row] != 1) return -1;
  if (layout.first_query != nullptr && layout.first_query[row] > 0) return -1;
  return layout.prefix(row);
}

/// Splits of a context of this many tokens.
constexpr std::int64_t splits_of(std::int64_t context) {
  return (context + kSplitKeys - 1) / kSplitKeys;
}

/// Integers of the arrays of a layer.
constexpr std::int64_t decode_plan_size(std::int64_t rows, std::int64_t context) {
  return splits_of(context) * rows * 3;
}

/// The arrays at `memory`.
template <typename Integer>
constexpr PlanArrays<Integer> plan_at(const PagedRows& rows, Integer* memory) {
  const std::int64_t splits = splits_of(rows.layout.longest_context);
  const std::int64_t count = splits * rows.layout.rows;
  return {rows, static_cast<int>(splits), memory, memory + count, memory + 2 * count};
}

/// Plans of layers whose tables of pages lie `layer_step` pointers apart.
struct PlannedLayers {
  PagedRows first;  ///< the rows in the first layer
  std::int64_t layers = 1;
  std::int64_t layer_step = 0;
  std::int32_t* memory = nullptr;  ///< [layers, decode_plan_size]

  constexpr PlanArrays<std::int32_t> layer(int index) const {
    PagedRows rows = first;
    rows.pages += index * layer_step;
    const std::int64_t size = decode_plan_size(rows.layout.rows, rows.layout.longest_context);
    return plan_at(rows, memory + index * size);
  }
};

/// Queued on the device's stream: two launches, however many layers.
void plan_decode(OpDevice& device, const PlannedLayers& layers);

/// Of one layer, in scratch memory (ScratchSlot::attention_plan).
DecodePlan plan_decode(OpDevice& device, const PagedRows& rows);

}  // namespace headspark::cuda
