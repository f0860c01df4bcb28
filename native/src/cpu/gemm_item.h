// What one thread computes at once: a piece of a product, and the first factor of a low-rank term.
#pragma once

#include <atomic>

#include "cpu/gemm_plan.h"

namespace headspark {

/// The way down of a product's low-rank term: [rows, rank] = a down, from the packed A of the
/// product itself. Its pieces are multiplied as those of any product.
class GemmWayDown {
 public:
  /// `inner` gets the result. Both outlive this.
  GemmWayDown(const Context& context, const GemmPlan& product, float* inner);
  GemmWayDown(const GemmWayDown&) = delete;
  GemmWayDown& operator=(const GemmWayDown&) = delete;

  const GemmPlan& plan() const { return plan_; }
  /// What its pieces read of the product's packed A; null: they pack their own.
  const char* packed(const char* packed_a) const { return same_depths_ ? packed_a : nullptr; }

  /// Counts down from the number of its pieces, in any order and on any thread.
  void finish_piece();
  /// All are, or will never be: nobody waits any more.
  void finish();
  /// The result, once all pieces are finished.
  const float* wait() const;

 private:
  Gemm product_;
  GemmPlan plan_;
  bool same_depths_;
  std::atomic<int> unfinished_;
};

/// c of a piece. `then`: what this thread takes next. `packed_a`: A in the blocks of rows and depth
/// of the plan; null: the piece packs its own. `down` of the product's low-rank term, which is
/// added once that is there; null: no such term.
void multiply_piece(const GemmPiece& now, const GemmPiece& then, const char* packed_a,
                    const GemmWayDown* down);

}  // namespace headspark
