// The tokens of several rows, packed one after the other, with their positions and the prefixes
// they continue.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/buffer.h"
#include "headspark/context.h"
#include "headspark/row_layout.h"

namespace headspark {

/// Host description of a batch; rows are added in order.
struct BatchRows {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> row_begin{0};
  std::vector<std::int32_t> prefix_begin;
  std::vector<std::int32_t> prefix_length;
  std::int32_t longest_row = 0;
  std::int32_t longest_context = 0;

  /// Adds a row of `own` tokens that continues `length` stored tokens from `begin` on.
  void add(std::span<const std::int32_t> own, std::int32_t begin = 0, std::int32_t length = 0);

  std::int32_t rows() const { return static_cast<std::int32_t>(prefix_begin.size()); }
  std::int32_t token_count() const { return row_begin.back(); }
  std::int32_t length(std::int32_t row) const {
    return row_begin[static_cast<std::size_t>(row) + 1] - row_begin[static_cast<std::size_t>(row)];
  }
};

/// The same on the device.
class Batch {
 public:
  Batch(const Context& context, BatchRows rows);

  const BatchRows& host() const { return host_; }
  RowLayout layout() const;
  std::int64_t tokens() const { return host_.token_count(); }
  std::int32_t rows() const { return host_.rows(); }
  const std::int32_t* token_ids() const { return tokens_.data(); }
  const std::int32_t* positions() const { return positions_.data(); }
  const std::int32_t* row_begin() const { return row_begin_.data(); }

 private:
  BatchRows host_;
  Buffer<std::int32_t> tokens_;
  Buffer<std::int32_t> positions_;
  Buffer<std::int32_t> row_begin_;
  Buffer<std::int32_t> prefix_begin_;
  Buffer<std::int32_t> prefix_length_;
};

}  // namespace headspark
