// How gemm cuts a product, and its operands as the items of a product read them.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "cpu/kernel_table.h"
#include "cpu/range.h"
#include "cpu/scratch.h"

namespace headspark {

inline char* scratch_bytes(ScratchSlot slot, std::int64_t bytes) {
  return reinterpret_cast<char*>(scratch(slot, ceil_divide(bytes, 4)));
}

/// Bytes of rows that stay in L2 with what they meet.
inline constexpr std::int64_t kCachedRows = 512 << 10;

struct GemmBlocking {
  std::int64_t row_block = 0;
  std::int64_t row_blocks = 0;
  std::int64_t group = 0;  // panels per item
  std::int64_t groups = 0;

  std::int64_t pieces() const { return row_blocks * groups; }
  /// Items go down all depths of few panels.
  bool streams() const { return row_blocks == 1; }
};

/// The rows of one operand against the depths of another, in blocks of depth.
struct GemmSum {
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  float a_scale = 1.0f;
  const PackedPanels* b = nullptr;
  std::int64_t first_depth = 0;  ///< of b, lead included
  std::int64_t lead = 0;         ///< 1: packed pairs start one depth early, against a zero of A
  std::int64_t depth = 0;        ///< lead included
  std::int64_t block = 0;

  std::int64_t depth_at(std::int64_t k) const { return std::min(block, depth - k); }
  /// `count` rows from `row` on, of the block of depth at k, as kernels.pack_a packs them.
  void pack_a(const GemmKernels& kernels, std::int64_t row, std::int64_t count, std::int64_t k,
              char* packed) const;
};

struct GemmPiece;

/// A product with the choices that all its items share.
struct GemmPlan {
  const Gemm& p;
  const KernelTable& kernels;
  Range span;  ///< whole panels of the operand; the first and last may stick out of the product
  GemmBlocking blocking;
  GemmSum main;

  /// The product outlives the plan.
  GemmPlan(const Context& context, const Gemm& product);

  GemmSum sum_over(const float* a, std::int64_t a_stride, const PackedPanels& b,
                   const Range& depths) const;
  /// One of blocking.pieces(): all blocks of rows of a group of panels, then the next group.
  GemmPiece piece(std::int64_t index) const;
  /// The block of depth at k of some panels.
  Fetch read_at(const Range& panels, std::int64_t k) const;
  /// Bytes of the packed A of one row block, up to depth k.
  std::int64_t a_offset(std::int64_t k) const;
};

/// What a thread does at once: a block of rows times a group of panels.
struct GemmPiece {
  const GemmPlan* plan = nullptr;  ///< null: nothing
  std::int64_t row_block = 0;
  Range span;
};

}  // namespace headspark
