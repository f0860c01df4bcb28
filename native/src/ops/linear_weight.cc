// Construction of weights over mapped data.
#include <memory>
#include <utility>

#include "cpu/packed_weights.h"
#include "headspark/weight.h"
#include "ops/check.h"

namespace headspark {

WeightView contiguous_view(const void* data, DType dtype, std::int64_t rows, std::int64_t cols) {
  WeightView view;
  view.data = data;
  view.dtype = dtype;
  view.rows = rows;
  view.cols = cols;
  // With the default groups of one row, a row's offset is row * group_stride.
  view.row_stride = cols;
  view.group_stride = cols;
  return view;
}

LinearWeight make_linear_weight(const WeightView& view, std::vector<float> bias) {
  const char* op = "make_linear_weight";
  check_argument(view.rows >= 0 && view.cols >= 0 && view.row_group > 0, op,
                 "view has a negative shape or an empty row group");
  check_argument(bias.empty() || static_cast<std::int64_t>(bias.size()) == view.rows, op,
                 "bias does not have one value per output");
  LinearWeight weight;
  weight.view = view;
  weight.bias = std::move(bias);
  weight.packed = std::make_shared<PackedWeights>(view);
  return weight;
}

std::shared_ptr<const LowRank> make_low_rank(std::int64_t rank, float scale, std::vector<float> a,
                                             std::vector<float> b) {
  const auto columns = [rank](const std::vector<float>& values) {
    const auto count = static_cast<std::int64_t>(values.size());
    check_argument(rank > 0 ? count % rank == 0 : rank == 0 && count == 0, "make_low_rank",
                   "a or b has values that are no rows or columns of this rank");
    return rank > 0 ? count / rank : 0;
  };
  const std::int64_t in = columns(a);
  const std::int64_t out = columns(b);
  auto low = std::make_shared<LowRank>();
  low->rank = rank;
  low->scale = scale;
  low->a = std::move(a);
  low->b = std::move(b);
  const auto packed = [](const std::vector<float>& values, std::int64_t rows, std::int64_t cols) {
    return std::make_shared<PackedWeights>(contiguous_view(values.data(), DType::f32, rows, cols),
                                           PackedWeights::Fp32::whole);
  };
  low->packed_a = packed(low->a, rank, in);
  low->packed_b = packed(low->b, out, rank);
  return low;
}

}  // namespace headspark
