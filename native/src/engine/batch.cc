// Packing rows and moving their description to the device.
#include "engine/batch.h"

#include <algorithm>

namespace headspark {
namespace {

constexpr std::size_t kAlignment = 16;  // integers: 64 bytes

}  // namespace

void BatchRows::add(std::span<const std::int32_t> own, std::int32_t begin, std::int32_t length) {
  const auto count = static_cast<std::int32_t>(own.size());
  tokens.insert(tokens.end(), own.begin(), own.end());
  for (std::int32_t t = 0; t < count; ++t) positions.push_back(length + t);
  row_begin.push_back(row_begin.back() + count);
  prefix_begin.push_back(begin);
  prefix_length.push_back(length);
  if (length > 0) store_tokens = std::max(store_tokens, begin + length);
  longest_row = std::max(longest_row, count);
  longest_context = std::max(longest_context, length + count);
}

void BatchRows::pad(std::int32_t count) {
  while (rows() < count) {
    tokens.push_back(0);
    positions.push_back(0);
    row_begin.push_back(row_begin.back());
    prefix_begin.push_back(0);
    prefix_length.push_back(0);
  }
}

// All arrays in one, which goes to the device in one copy.
std::vector<std::int32_t> Batch::pack() {
  std::vector<std::int32_t> packed;
  const std::vector<std::int32_t>* const arrays[kArrays] = {
      &host_.tokens, &host_.positions, &host_.row_begin, &host_.prefix_begin, &host_.prefix_length};
  for (std::size_t i = 0; i < kArrays; ++i) {
    begin_[i] = static_cast<std::int64_t>(packed.size());
    packed.insert(packed.end(), arrays[i]->begin(), arrays[i]->end());
    packed.resize((packed.size() + kAlignment - 1) / kAlignment * kAlignment);
  }
  return packed;
}

Batch::Batch(const Context& context, BatchRows rows)
    : host_(std::move(rows)),
      own_(context.backend, std::span<const std::int32_t>(pack())),
      device_(own_.data()) {}

Batch::Batch(BatchRows rows, GrowingBuffer<std::int32_t>& memory)
    : host_(std::move(rows)), device_(memory.assign(pack())) {}

RowLayout Batch::layout() const {
  RowLayout layout;
  layout.rows = host_.rows();
  layout.row_begin = row_begin();
  layout.prefix_begin = array(3);
  layout.prefix_length = array(4);
  layout.store_tokens = host_.store_tokens;
  layout.longest_row = host_.longest_row;
  layout.longest_context = host_.longest_context;
  layout.token_count = host_.token_count();
  return layout;
}

}  // namespace headspark
