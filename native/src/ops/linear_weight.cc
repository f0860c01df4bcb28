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

}  // namespace headspark
