// The tokens of several rows, packed one after the other, with their positions and the prefixes
// they continue.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/growing_buffer.h"
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
  std::int32_t store_tokens = 0;  // no prefix ends after so many
  std::int32_t longest_context = 0;

  /// Adds a row of `own` tokens that continues `length` stored tokens from `begin` on.
  void add(std::span<const std::int32_t> own, std::int32_t begin = 0, std::int32_t length = 0);
  /// Up to `count` rows, the new ones empty, each with a token that belongs to none: what is
  /// computed of it is not read, and batches come in fewer sizes. Not for attention on the CPU.
  void pad(std::int32_t count);

  std::int32_t rows() const { return static_cast<std::int32_t>(prefix_begin.size()); }
  std::int32_t token_count() const { return static_cast<std::int32_t>(tokens.size()); }
  std::int32_t length(std::int32_t row) const {
    return row_begin[static_cast<std::size_t>(row) + 1] - row_begin[static_cast<std::size_t>(row)];
  }
};

/// The same on the device.
class Batch {
 public:
  Batch(const Context& context, BatchRows rows);
  /// In `memory`, which it is valid in until the next use of that.
  Batch(BatchRows rows, GrowingBuffer<std::int32_t>& memory);

  const BatchRows& host() const { return host_; }
  RowLayout layout() const;
  std::int64_t tokens() const { return host_.token_count(); }
  std::int32_t rows() const { return host_.rows(); }
  const std::int32_t* token_ids() const { return array(0); }
  const std::int32_t* positions() const { return array(1); }
  const std::int32_t* row_begin() const { return array(2); }

 private:
  static constexpr std::size_t kArrays = 5;

  std::vector<std::int32_t> pack();
  const std::int32_t* array(std::size_t index) const { return device_ + begin_[index]; }

  BatchRows host_;
  std::array<std::int64_t, kArrays> begin_{};  // of each array in:
  Buffer<std::int32_t> own_;
  const std::int32_t* device_ = nullptr;  // tokens, positions, row_begin, prefix_begin and _length
};

}  // namespace headspark
