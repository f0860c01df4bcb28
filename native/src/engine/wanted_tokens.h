// Which tokens of a batch somebody reads at the end: in the last layer all the others are keys and
// values only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "headspark/engine.h"

namespace headspark {

/// The wanted tokens stand at the end of each row. Packed: [wanted tokens, width], in order.
class WantedTokens {
 public:
  /// counts[b]: wanted tokens of row b, from 0 to its length.
  WantedTokens(const Context& context, const BatchRows& rows, std::span<const std::int32_t> counts);

  std::int64_t count() const { return count_; }
  /// [count] batch tokens, ascending.
  const std::int32_t* tokens() const { return tokens_.data(); }
  const std::int32_t* positions() const { return positions_.data(); }      ///< [count]
  const std::int32_t* first_query() const { return first_query_.data(); }  ///< see RowLayout

  /// packed = the wanted rows of x [batch tokens, width].
  void pack(const Context& context, std::int64_t width, const float* x, float* packed) const;
  Buffer<float> pack(const Context& context, std::int64_t width, const float* x) const;
  /// Moves the packed rows at the start of x [batch tokens, width] to their tokens; the other rows
  /// become 0.
  void spread(const Context& context, std::int64_t width, float* x) const;

 private:
  std::int64_t count_ = 0;
  Buffer<std::int32_t> tokens_;
  Buffer<std::int32_t> positions_;
  Buffer<std::int32_t> first_query_;
  Buffer<std::int32_t> places_;  ///< [batch tokens] packed row, or `count` where not wanted
};

}  // namespace headspark
