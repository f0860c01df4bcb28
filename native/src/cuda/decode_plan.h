// Which rows of a decode step read the same pages. Rows of one prompt share its pages, but not
// those they went on in, so per split of the context: rows with the same first page form a group,
// and the pages from there on that are the same for all of it are read for all of it at once.
#pragma once

#include "cuda/attention_softmax.h"
#include "cuda/op_device.h"
#include "headspark/ops/paged_attention.h"

namespace headspark::cuda {

constexpr int kSplitPages = kSplitKeys / static_cast<int>(kKvPageTokens);

/// Arrays on the device, [splits, rows].
struct DecodePlan {
  PagedRows rows;
  int splits = 0;
  std::int32_t* leader = nullptr;  ///< the first row of its group; -1: no page, or no decode
  std::int32_t* rank = nullptr;    ///< rows of the group before it
  std::int32_t* shared = nullptr;  ///< pages that the group reads together; 0: the row is alone

  constexpr std::int64_t at(int split, std::int32_t row) const {
    return static_cast<std::int64_t>(split) * rows.layout.rows + row;
  }
};

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

/// What the arrays take.
constexpr std::int64_t decode_plan_bytes(std::int64_t rows, std::int64_t context) {
  return splits_of(context) * rows * 3 * static_cast<std::int64_t>(sizeof(std::int32_t));
}

/// Queued on the device's stream; the arrays are scratch memory (ScratchSlot::attention_plan).
DecodePlan plan_decode(OpDevice& device, const PagedRows& rows);

}  // namespace headspark::cuda
