// The orders of transformers' fused projections: GPT-2's and Phi-3's blocks, GPT-NeoX's heads.
#include "model/fused_rows.h"

namespace headspark {
namespace {

/// One after the other.
std::vector<FusedRows> blocks(std::initializer_list<std::int64_t> counts) {
  std::vector<FusedRows> parts;
  std::int64_t first = 0;
  for (const std::int64_t count : counts) {
    parts.push_back({first, count, count, count});
    first += count;
  }
  return parts;
}

}  // namespace

std::vector<float> FusedRows::of(const std::vector<float>& matrix, std::int64_t width) const {
  std::vector<float> rows;
  rows.reserve(static_cast<std::size_t>(count * width));
  for (std::int64_t row = 0; row < count; ++row) {
    const auto from = matrix.begin() + at(row) * width;
    rows.insert(rows.end(), from, from + width);
  }
  return rows;
}

std::vector<FusedRows> qkv_rows(const ArchitectureSpec& spec, const ModelConfig& config) {
  const std::int64_t width = config.head_dim;
  const std::int64_t q = config.heads * width;
  const std::int64_t kv = config.kv_heads * width;
  switch (spec.fused_qkv) {
    case FusedQkv::blocks:
      return blocks({q, kv, kv});
    case FusedQkv::per_head:
      return {
          {0, q, width, 3 * width}, {width, q, width, 3 * width}, {2 * width, q, width, 3 * width}};
    case FusedQkv::none:
      break;
  }
  return {};
}

std::vector<FusedRows> gate_up_rows(const ArchitectureSpec& spec, const ModelConfig& config) {
  if (spec.names.gate_up == nullptr) return {};
  return blocks({config.intermediate, config.intermediate});
}

std::int64_t total_rows(const std::vector<FusedRows>& parts) {
  std::int64_t total = 0;
  for (const FusedRows& part : parts) total += part.count;
  return total;
}

}  // namespace headspark
