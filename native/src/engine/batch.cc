// Packing rows and moving their description to the device.
#include "engine/batch.h"

#include <algorithm>

namespace headspark {

void BatchRows::add(std::span<const std::int32_t> own, std::int32_t begin, std::int32_t length) {
  const auto count = static_cast<std::int32_t>(own.size());
  tokens.insert(tokens.end(), own.begin(), own.end());
  for (std::int32_t t = 0; t < count; ++t) positions.push_back(length + t);
  row_begin.push_back(row_begin.back() + count);
  prefix_begin.push_back(begin);
  prefix_length.push_back(length);
  longest_row = std::max(longest_row, count);
  longest_context = std::max(longest_context, length + count);
}

Batch::Batch(const Context& context, BatchRows rows)
    : host_(std::move(rows)),
      tokens_(context.backend, std::span<const std::int32_t>(host_.tokens)),
      positions_(context.backend, std::span<const std::int32_t>(host_.positions)),
      row_begin_(context.backend, std::span<const std::int32_t>(host_.row_begin)),
      prefix_begin_(context.backend, std::span<const std::int32_t>(host_.prefix_begin)),
      prefix_length_(context.backend, std::span<const std::int32_t>(host_.prefix_length)) {}

RowLayout Batch::layout() const {
  RowLayout layout;
  layout.rows = host_.rows();
  layout.row_begin = row_begin_.data();
  layout.prefix_begin = prefix_begin_.data();
  layout.prefix_length = prefix_length_.data();
  layout.longest_row = host_.longest_row;
  layout.longest_context = host_.longest_context;
  layout.token_count = host_.token_count();
  return layout;
}

}  // namespace headspark
