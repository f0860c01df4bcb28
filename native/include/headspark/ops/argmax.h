// The largest entry of each row: greedy decoding and accuracy.
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

/// index[r] = position of the largest of x[r, 0 .. width); ties go to the smallest position.
void argmax_rows(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                 std::int32_t* index);

}  // namespace headspark
