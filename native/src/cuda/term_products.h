// Which products of two operands' bf16 terms count.
#pragma once

namespace headspark::cuda {

/// i + j of the smallest products of terms i and j: what is smaller lies below the last bit.
constexpr int last_sum(int terms_a, int terms_b) {
  return (terms_a > terms_b ? terms_a : terms_b) - 1;
}

}  // namespace headspark::cuda
