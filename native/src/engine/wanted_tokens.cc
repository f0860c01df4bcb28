// Index lists on the host, moves on the device.
#include "engine/wanted_tokens.h"

#include "headspark/ops/rows.h"

namespace headspark {

WantedTokens::WantedTokens(const Context& context, const BatchRows& rows,
                           std::span<const std::int32_t> counts) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> first_query;
  for (std::int32_t row = 0; row < rows.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    first_query.push_back(rows.length(row) - counts[index]);
    for (std::int32_t t = rows.row_begin[index + 1] - counts[index]; t < rows.row_begin[index + 1];
         ++t) {
      tokens.push_back(t);
      positions.push_back(rows.positions[static_cast<std::size_t>(t)]);
    }
  }
  count_ = static_cast<std::int64_t>(tokens.size());
  std::vector<std::int32_t> places(static_cast<std::size_t>(rows.token_count()),
                                   static_cast<std::int32_t>(count_));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    places[static_cast<std::size_t>(tokens[i])] = static_cast<std::int32_t>(i);
  }
  const auto device = [&](const std::vector<std::int32_t>& values) {
    return Buffer<std::int32_t>(context.backend, std::span<const std::int32_t>(values));
  };
  tokens_ = device(tokens);
  positions_ = device(positions);
  first_query_ = device(first_query);
  places_ = device(places);
}

void WantedTokens::pack(const Context& context, std::int64_t width, const float* x,
                        float* packed) const {
  gather_rows(context, count_, width, tokens_.data(), x, packed);
}

Buffer<float> WantedTokens::pack(const Context& context, std::int64_t width, const float* x) const {
  Buffer<float> packed(context.backend, count_ * width);
  pack(context, width, x, packed.data());
  return packed;
}

void WantedTokens::spread(const Context& context, std::int64_t width, float* x) const {
  Buffer<float> packed(context.backend, (count_ + 1) * width);  // the last row is 0
  packed.zero();
  if (count_ > 0) {
    combine(context, {.count = count_ * width, .x = x, .b = 0.0f, .y = packed.data()});
  }
  gather_rows(context, places_.size(), width, places_.data(), packed.data(), x);
}

}  // namespace headspark
