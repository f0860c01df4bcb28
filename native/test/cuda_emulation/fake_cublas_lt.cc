// Every mistake in a call is a status, which headspark reports as an error.
#include "cuda_emulation/fake_cublas_lt.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/lt_products.h"
#include "cuda_emulation/runtime_emulated.h"
#include "headspark/dtype.h"

namespace headspark::test {
namespace {

namespace lt = cuda::lt;
using cuda::Stream;

struct FakeLayout {
  lt::DataType type;
  std::int64_t rows, columns, stride;
  std::int32_t batch = 1;
  std::int64_t batch_stride = 0;
};

struct FakeDesc {
  lt::Operation weight = lt::Operation::none;
  lt::Epilogue epilogue = lt::Epilogue::none;
  const float* bias = nullptr;
};

constexpr lt::Status kInvalid = 7;

FakeCublasLt& fake() {
  return FakeCublasLt::get();
}

const FakeLayout& of(lt::Layout layout) {
  return *reinterpret_cast<FakeLayout*>(layout);
}

float value_at(const FakeLayout& layout, const void* data, std::int64_t tile, std::int64_t row,
               std::int64_t column) {
  const std::int64_t at = tile * layout.batch_stride + row + column * layout.stride;
  if (layout.type == lt::DataType::f32) return static_cast<const float*>(data)[at];
  return bf16_to_f32(static_cast<const std::uint16_t*>(data)[at]);
}

struct Product {
  bool transposed;
  const float* bias;  // or null
  FakeLayout left, right, result;
  float alpha, beta;
  const void *a, *b, *c;
  void* d;
  bool from_end;  // the order of the sums
  bool cuts;      // rounds them towards zero
};

float added(float sum, float product, bool cuts) {
  if (!cuts) return sum + product;
  const double exact = static_cast<double>(sum) + static_cast<double>(product);
  const auto nearest = static_cast<float>(exact);
  return std::fabs(static_cast<double>(nearest)) > std::fabs(exact) ? std::nextafter(nearest, 0.0f)
                                                                    : nearest;
}

void compute(const Product& p) {
  const std::int64_t depth = p.transposed ? p.left.rows : p.left.columns;
  for (std::int64_t tile = 0; tile < p.result.batch; ++tile) {
    for (std::int64_t column = 0; column < p.result.columns; ++column) {
      for (std::int64_t row = 0; row < p.result.rows; ++row) {
        float sum = 0.0f;
        for (std::int64_t step = 0; step < depth; ++step) {
          const std::int64_t k = p.from_end ? depth - 1 - step : step;
          const float left =
              value_at(p.left, p.a, tile, p.transposed ? k : row, p.transposed ? row : k);
          sum = added(sum, left * value_at(p.right, p.b, tile, k, column), p.cuts);
        }
        const float product = p.alpha * sum;
        const std::int64_t at = tile * p.result.batch_stride + row + column * p.result.stride;
        float value =
            p.beta == 0.0f ? product : product + value_at(p.result, p.c, tile, row, column);
        if (p.bias != nullptr) value += p.bias[row];
        if (p.result.type == lt::DataType::bf16) {
          static_cast<std::uint16_t*>(p.d)[at] = f32_to_bf16(value);
        } else {
          static_cast<float*>(p.d)[at] = value;
        }
      }
    }
  }
}

lt::Status multiply(lt::Handle, lt::MatmulDesc desc, const void* alpha, const void* a,
                    lt::Layout a_layout, const void* b, lt::Layout b_layout, const void* beta,
                    const void* c, lt::Layout c_layout, void* d, lt::Layout,
                    const lt::Algorithm* algorithm, void* workspace, std::size_t, Stream stream) {
  const auto& how = *reinterpret_cast<const FakeDesc*>(desc);
  const bool transposed = how.weight == lt::Operation::transpose;
  const bool biased = how.epilogue == lt::Epilogue::bias;
  const FakeLayout& left = of(a_layout);
  const FakeLayout& right = of(b_layout);
  const FakeLayout& result = of(c_layout);
  const std::int64_t depth = transposed ? left.rows : left.columns;
  const bool fits = left.batch == result.batch && right.batch == result.batch &&
                    depth == right.rows && (transposed ? left.columns : left.rows) == result.rows &&
                    right.columns == result.columns;
  if (workspace == nullptr || !fits) return kInvalid;
  const bool one_tile = result.batch == 1 && result.columns == cuda::kLtTileRows;
  if (fake().refuses_one_tile && one_tile) return kInvalid;
  for (const void* matrix : {a, b, c, static_cast<const void*>(d)}) {
    if (reinterpret_cast<std::uintptr_t>(matrix) % fake().least_alignment != 0) return kInvalid;
  }
  const auto bias_address = reinterpret_cast<std::uintptr_t>(how.bias);
  if (biased && (how.bias == nullptr || bias_address % fake().least_alignment != 0 ||
                 result.type != lt::DataType::f32)) {
    return kInvalid;
  }
  const bool in_parts = algorithm->data[0] > kInParts;
  const bool as_matrix = fake().many_round_otherwise || fake().matrix_rounds_otherwise;
  const bool otherwise = result.columns > cuda::kLtTileRows
                             ? (in_parts ? fake().parts_round_otherwise : as_matrix)
                             : !in_parts && fake().many_round_otherwise && result.batch > 1;
  ++fake().multiplications;
  fake().biases += biased ? 1 : 0;
  fake().tiles += result.batch * (result.columns / cuda::kLtTileRows);
  fake().deepest = std::max(fake().deepest, depth);
  fake().algorithms.insert(algorithm->data[0]);
  const Product product{transposed,
                        biased ? how.bias : nullptr,
                        left,
                        right,
                        result,
                        *static_cast<const float*>(alpha),
                        *static_cast<const float*>(beta),
                        a,
                        b,
                        c,
                        d,
                        (fake().few_round_otherwise && algorithm->data[0] == 1) || otherwise,
                        fake().cuts_sums};
  cuda::queue(stream, [product] { compute(product); });
  return lt::kSuccess;
}

}  // namespace

FakeCublasLt& FakeCublasLt::get() {
  static FakeCublasLt library;
  return library;
}

lt::Functions fake_cublas_lt() {
  lt::Functions f{};
  f.Create = [](lt::Handle* handle) {
    *handle = reinterpret_cast<lt::Handle>(&fake());
    return lt::kSuccess;
  };
  f.Destroy = [](lt::Handle) { return lt::kSuccess; };
  f.MatmulDescCreate = [](lt::MatmulDesc* desc, lt::ComputeType, lt::DataType) {
    *desc = reinterpret_cast<lt::MatmulDesc>(new FakeDesc);
    return lt::kSuccess;
  };
  f.MatmulDescDestroy = [](lt::MatmulDesc desc) {
    delete reinterpret_cast<FakeDesc*>(desc);
    return lt::kSuccess;
  };
  f.MatmulDescSetAttribute = [](lt::MatmulDesc desc, lt::DescAttribute attribute, const void* value,
                                std::size_t size) {
    auto& how = *reinterpret_cast<FakeDesc*>(desc);
    const auto set = [&](auto& to) {
      if (size != sizeof to) return kInvalid;
      std::memcpy(&to, value, size);
      return lt::kSuccess;
    };
    switch (attribute) {
      case lt::DescAttribute::transpose_a:
        return set(how.weight);
      case lt::DescAttribute::epilogue:
        return set(how.epilogue);
      case lt::DescAttribute::bias_pointer:
        return set(how.bias);
      default:
        return lt::Status{15};
    }
  };
  f.MatrixLayoutCreate = [](lt::Layout* layout, lt::DataType type, std::uint64_t rows,
                            std::uint64_t columns, std::int64_t stride) {
    *layout = reinterpret_cast<lt::Layout>(new FakeLayout{
        type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), stride});
    return lt::kSuccess;
  };
  f.MatrixLayoutDestroy = [](lt::Layout layout) {
    delete reinterpret_cast<FakeLayout*>(layout);
    return lt::kSuccess;
  };
  f.MatrixLayoutSetAttribute = [](lt::Layout layout, lt::LayoutAttribute attribute,
                                  const void* value, std::size_t size) {
    auto* const fake_layout = reinterpret_cast<FakeLayout*>(layout);
    if (attribute == lt::LayoutAttribute::batch_count) {
      std::memcpy(&fake_layout->batch, value, size);
    } else {
      std::memcpy(&fake_layout->batch_stride, value, size);
    }
    return lt::kSuccess;
  };
  f.MatmulPreferenceCreate = [](lt::Preference* preference) {
    *preference = reinterpret_cast<lt::Preference>(&fake());
    return lt::kSuccess;
  };
  f.MatmulPreferenceDestroy = [](lt::Preference) { return lt::kSuccess; };
  f.MatmulPreferenceSetAttribute = [](lt::Preference, lt::PreferenceAttribute attribute,
                                      const void* value, std::size_t size) {
    if (attribute == lt::PreferenceAttribute::reduction_schemes) {
      std::memcpy(&fake().reduction_schemes, value, size);
    } else if (attribute != lt::PreferenceAttribute::max_workspace_bytes) {
      std::memcpy(&fake().least_alignment, value, size);  // the same of all four
    }
    return lt::kSuccess;
  };
  f.MatmulAlgoGetHeuristic = [](lt::Handle, lt::MatmulDesc desc, lt::Layout, lt::Layout b,
                                lt::Layout, lt::Layout d, lt::Preference, int,
                                lt::HeuristicResult* result, int* found) {
    const std::int32_t batch = of(b).batch;
    const bool in_parts = of(b).columns == cuda::kStepTiles * cuda::kLtTileRows;
    const bool one_matrix = of(b).columns == cuda::kManyTiles * cuda::kLtTileRows;
    if (one_matrix && batch != 1) return kInvalid;
    if (!in_parts && batch != 1 && batch != cuda::kManyTiles) return kInvalid;
    if (!in_parts && !one_matrix && of(b).columns != cuda::kLtTileRows) return kInvalid;
    ++fake().heuristics;
    const bool plain = reinterpret_cast<const FakeDesc*>(desc)->epilogue == lt::Epilogue::none &&
                       of(d).type == lt::DataType::f32;
    const bool has = in_parts ? fake().has_parts : fake().has_algorithm;
    *found = has && (plain || fake().has_epilogues) ? 1 : 0;
    result->algorithm.data[0] = (in_parts     ? kInParts
                                 : one_matrix ? kOneMatrix - 1
                                              : 0) +
                                static_cast<std::uint64_t>(batch);
    return lt::kSuccess;
  };
  f.Matmul = &multiply;
  return f;
}

}  // namespace headspark::test
