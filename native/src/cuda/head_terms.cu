// Four elements of a row per thread.
#include "cuda/attention_tiles.h"
#include "cuda/elements.h"
#include "cuda/head_terms.h"

namespace headspark::cuda {
namespace {

constexpr std::int64_t kElementsOf16Bytes = 8;

struct SplitHeads {
  const float* values;
  HeadTerms to;
  std::int64_t rows;  // of heads
  std::int64_t head_dim;
  bool four;
};

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
split_heads_kernel(SplitHeads p) {
  const std::int64_t pieces = p.to.width / 4;
  const std::int64_t i = element_index();
  const std::int64_t row = i / pieces;
  if (row >= p.rows) return;
  const std::int64_t column = i % pieces * 4;
  const Four v = read_columns(p.values + row * p.head_dim, {0, p.head_dim, p.four}, column);
  const TermPair<Terms> low = split_pair<Terms>(v.x, v.y);
  const TermPair<Terms> high = split_pair<Terms>(v.z, v.w);
  Bf16* const to = p.to.data + row * p.to.width + column;
  HEADSPARK_UNROLL
  for (int t = 0; t < Terms; ++t) {
    store_four_bf16(to + t * p.to.term_stride, {low.term[t], high.term[t]});
  }
}

}  // namespace

void place_head_terms(OpDevice& device, int terms, std::int64_t head_dim,
                      std::span<const HeadValues> arrays) {
  const std::int64_t width =
      (head_dim + kElementsOf16Bytes - 1) / kElementsOf16Bytes * kElementsOf16Bytes;
  std::int64_t elements = 0;
  for (const HeadValues& array : arrays) elements += terms * array.tokens * array.heads * width;
  auto* data = static_cast<Bf16*>(device.scratch(
      ScratchSlot::attention_terms, elements * static_cast<std::int64_t>(sizeof(Bf16))));
  for (const HeadValues& array : arrays) {
    const std::int64_t term_stride = array.tokens * array.heads * width;
    *array.terms = {array.tokens > 0 ? data : nullptr, term_stride,
                    static_cast<std::int32_t>(array.heads), static_cast<std::int32_t>(width)};
    data += terms * term_stride;
  }
}

void split_heads(OpDevice& device, int terms, std::int64_t head_dim,
                 std::span<const HeadValues> arrays) {
  for (const HeadValues& array : arrays) {
    if (array.values == nullptr || array.terms->data == nullptr) continue;
    const std::int64_t rows = array.tokens * array.heads;
    launch(
        device.stream(), element_shape(rows * array.terms->width / 4),
        terms == 1 ? &split_heads_kernel<1> : &split_heads_kernel<3>,
        SplitHeads{array.values, *array.terms, rows, head_dim, reads_four(head_dim, array.values)});
  }
}

}  // namespace headspark::cuda
