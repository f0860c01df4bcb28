// What every op with a norm in it asks of the norm.
#pragma once

#include <cstdint>

#include "headspark/ops/norm.h"
#include "ops/check.h"

namespace headspark {

/// The norm's width. Throws INVALID_ARGUMENT where it is null or its arrays do not fit each other.
inline std::int64_t check_norm(const NormWeight* norm, const char* op) {
  check_pointer(norm, op, "norm");
  check_argument(!norm->empty(), op, "norm.weight is empty");
  check_argument(norm->bias.empty() || norm->bias.size() == norm->weight.size(), op,
                 "norm.bias does not have the width of norm.weight");
  return static_cast<std::int64_t>(norm->weight.size());
}

}  // namespace headspark
