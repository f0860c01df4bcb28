// Construction of weights over mapped data.
#include <algorithm>
#include <memory>
#include <utility>

#include "cpu/packed_weights.h"
#include "headspark/weight.h"
#include "ops/check.h"

namespace headspark {
namespace {

LowRankFactor factor_of(std::shared_ptr<const void> values, DType dtype, std::int64_t rows,
                        std::int64_t cols) {
  LowRankFactor factor;
  factor.view = contiguous_view(values.get(), dtype, rows, cols);
  factor.view.owner = values;
  factor.values = std::move(values);
  factor.packed = std::make_shared<PackedWeights>(factor.view, PackedWeights::Fp32::whole);
  return factor;
}

// Adapters that were trained or saved in bf16 take half the bytes, and one product instead of
// three where fp32 is split.
LowRankFactor make_factor(std::vector<float> values, std::int64_t rows, std::int64_t cols) {
  const bool narrow = std::all_of(values.begin(), values.end(),
                                  [](float value) { return (f32_to_bits(value) & 0xffffu) == 0; });
  if (!narrow) {
    auto kept = std::make_shared<const std::vector<float>>(std::move(values));
    return factor_of({kept, kept->data()}, DType::f32, rows, cols);
  }
  auto kept = std::make_shared<std::vector<std::uint16_t>>();
  kept->reserve(values.size());
  for (const float value : values) kept->push_back(f32_to_bf16(value));
  return factor_of({kept, kept->data()}, DType::bf16, rows, cols);
}

}  // namespace

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
  low->a = make_factor(std::move(a), rank, in);
  low->b = make_factor(std::move(b), out, rank);
  return low;
}

int factor_terms(const LowRank& low, Precision precision) {
  const bool narrow = low.a.view.dtype == DType::bf16 && low.b.view.dtype == DType::bf16;
  return narrow || precision == Precision::fast ? 1 : 3;
}

std::int64_t device_ranks(const LowRank& low, Precision precision) {
  const std::int64_t ranks = factor_terms(low, precision) * device_rank(low.rank);
  return (ranks + kDeviceTileDepth - 1) / kDeviceTileDepth * kDeviceTileDepth;
}

std::vector<float> factor_values(const LowRankFactor& factor) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(factor.count()));
  for (std::int64_t row = 0; row < factor.view.rows; ++row) {
    for (std::int64_t col = 0; col < factor.view.cols; ++col) values.push_back(factor.at(row, col));
  }
  return values;
}

}  // namespace headspark
