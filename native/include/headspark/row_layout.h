// How sequences of unequal length lie in one batch: packed tokens, no padding is ever computed.
// A row may continue a prefix whose keys and values are already stored (a pair's shared prompt, a
// KV cache).
#pragma once

#include <cstdint>

namespace headspark {

struct RowLayout {
  std::int32_t rows = 0;
  const std::int32_t* row_begin = nullptr;      ///< [rows + 1] token offsets; row b is [b, b+1)
  const std::int32_t* prefix_begin = nullptr;   ///< [rows] first token of its prefix in the store
  const std::int32_t* prefix_length = nullptr;  ///< [rows] tokens of its prefix; null: none
  std::int32_t longest_row = 0;                 ///< max over rows of own tokens
  std::int32_t longest_context = 0;             ///< max over rows of prefix + own tokens
  /// Tokens of the batch, the only one hosts may read: row_begin[rows], or more on a device where
  /// the last ones belong to no row.
  std::int32_t token_count = 0;
  /// [rows] own tokens at the start of a row that are keys and values only: attention's outputs
  /// there are not wanted, so an implementation may leave them as they are; null: none.
  const std::int32_t* first_query = nullptr;
  std::int32_t store_tokens = 0;  ///< no prefix ends after so many tokens of the store

  /// For the CPU's kernels: the arrays are memory of the batch's device.
  constexpr std::int32_t prefix(std::int32_t row) const {
    return prefix_length != nullptr ? prefix_length[row] : 0;
  }
  std::int32_t query_begin(std::int32_t row) const {
    return first_query != nullptr ? first_query[row] : 0;
  }
};

}  // namespace headspark
