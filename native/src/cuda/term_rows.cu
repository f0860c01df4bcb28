// Eight elements per thread: 16 bytes of every term.
#include "cuda/lt_products.h"
#include "cuda/term_elements.h"
#include "cuda/term_rows.h"

namespace headspark::cuda {
namespace {

struct SplitRows {
  const float* a;
  std::int64_t stride;
  bool whole;  // see read_row_eight
  TermRows to;
};

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
split_rows_kernel(SplitRows p) {
  const TermPlace at = term_place(p.to);
  if (at.row >= p.to.rows) return;
  const float* const a = p.a + at.row * p.stride;
  store_eight<Terms>(p.to, at, read_row_eight(a, at.k, p.to.depth, p.whole));
}

std::int64_t rounded(std::int64_t value, std::int64_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

TermRows term_rows(OpDevice& device, int terms, std::int64_t rows, std::int64_t depth,
                   std::int64_t sets, ScratchSlot slot) {
  const std::int64_t stride = rounded(depth, kElementsOf16Bytes);
  const std::int64_t term_stride = rounded(rows, kLtTileRows) * stride;
  const std::int64_t bytes = sets * terms * term_stride * std::int64_t{sizeof(std::uint16_t)};
  return {static_cast<std::uint16_t*>(device.scratch(slot, bytes)),
          terms,
          rows,
          depth,
          stride,
          term_stride};
}

TermRows next_set(const TermRows& rows) {
  TermRows next = rows;
  next.data += rows.terms * rows.term_stride;
  return next;
}

void split_rows(OpDevice& device, const float* a, std::int64_t a_stride, const TermRows& to) {
  if (to.rows == 0 || to.stride == 0) return;
  const bool whole = reads_eight(to.depth, a) && a_stride % 4 == 0;
  launch(device.stream(), term_shape(to),
         to.terms == 1 ? &split_rows_kernel<1> : &split_rows_kernel<3>,
         SplitRows{a, a_stride, whole, to});
}

}  // namespace headspark::cuda
