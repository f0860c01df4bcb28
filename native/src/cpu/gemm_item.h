// What one thread computes at once: a piece of a product, and the first factor of a low-rank term.
#pragma once

#include "cpu/gemm_plan.h"

namespace headspark {

/// c of a piece. `then`: what this thread takes next. `packed_a`: A in the blocks of rows and depth
/// of the plan; null: the piece packs its own. `inner`: all rows of A times the way down of a
/// low-rank term, which is then added; null: no such term.
void multiply_piece(const GemmPiece& now, const GemmPiece& then, const char* packed_a,
                    const float* inner);

/// The first factor of a low-rank term: inner = a down, from the packed A of the product itself.
class GemmWayDown {
 public:
  GemmWayDown(const Context& context, const GemmPlan& plan, const char* packed_a, float* inner);

  std::int64_t row_blocks() const { return plan_.blocking.row_blocks; }
  void run(std::int64_t row_block) const;

 private:
  Gemm product_;
  GemmPlan plan_;
  const char* packed_a_;
};

}  // namespace headspark
