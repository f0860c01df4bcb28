// Products by cuBLASLt, against a stand-in for the library that multiplies as its documentation
// says: column-major, strided batches, alpha and beta. The tiling, the terms, the padding and what
// follows the product are headspark's own and tested here; the library itself is not.
#include "cuda/library_gemm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "cuda/lt_products.h"
#include "headspark/backend.h"
#include "headspark/dtype.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;

struct FakeLayout {
  lt::DataType type;
  std::int64_t rows, columns, stride;
  std::int32_t batch = 1;
  std::int64_t batch_stride = 0;
};

struct FakeLibrary {
  int heuristics = 0;
  int multiplications = 0;
  std::set<std::uint64_t> algorithms;  // that products used
  bool has_algorithm = true;
  std::uint32_t reduction_schemes = 99;
};
FakeLibrary fake;

const FakeLayout& of(lt::Layout layout) {
  return *reinterpret_cast<FakeLayout*>(layout);
}

float value_at(const FakeLayout& layout, const void* data, std::int64_t tile, std::int64_t row,
               std::int64_t column) {
  const std::int64_t at = tile * layout.batch_stride + row + column * layout.stride;
  if (layout.type == lt::DataType::f32) return static_cast<const float*>(data)[at];
  return bf16_to_f32(static_cast<const std::uint16_t*>(data)[at]);
}

lt::Status multiply(lt::Handle, lt::MatmulDesc desc, const void* alpha, const void* a,
                    lt::Layout a_layout, const void* b, lt::Layout b_layout, const void* beta,
                    const void* c, lt::Layout c_layout, void* d, lt::Layout,
                    const lt::Algorithm* algorithm, void* workspace, std::size_t, Stream) {
  CHECK(workspace != nullptr);
  const bool transposed = *reinterpret_cast<lt::Operation*>(desc) == lt::Operation::transpose;
  const FakeLayout& left = of(a_layout);
  const FakeLayout& right = of(b_layout);
  const FakeLayout& result = of(c_layout);
  CHECK(left.batch == result.batch);
  CHECK(right.batch == result.batch);
  ++fake.multiplications;
  fake.algorithms.insert(algorithm->data[0]);
  const std::int64_t depth = transposed ? left.rows : left.columns;
  CHECK(depth == right.rows);
  CHECK((transposed ? left.columns : left.rows) == result.rows);
  for (std::int64_t tile = 0; tile < result.batch; ++tile) {
    for (std::int64_t column = 0; column < result.columns; ++column) {
      for (std::int64_t row = 0; row < result.rows; ++row) {
        float sum = 0.0f;
        for (std::int64_t k = 0; k < depth; ++k) {
          sum += value_at(left, a, tile, transposed ? k : row, transposed ? row : k) *
                 value_at(right, b, tile, k, column);
        }
        const float before = *static_cast<const float*>(beta) == 0.0f
                                 ? 0.0f
                                 : value_at(result, c, tile, row, column);
        static_cast<float*>(d)[tile * result.batch_stride + row + column * result.stride] =
            *static_cast<const float*>(alpha) * sum + before;
      }
    }
  }
  return lt::kSuccess;
}

lt::Functions fake_functions() {
  lt::Functions f{};
  f.Create = [](lt::Handle* handle) {
    *handle = reinterpret_cast<lt::Handle>(&fake);
    return lt::kSuccess;
  };
  f.Destroy = [](lt::Handle) { return lt::kSuccess; };
  f.MatmulDescCreate = [](lt::MatmulDesc* desc, lt::ComputeType, lt::DataType) {
    *desc = reinterpret_cast<lt::MatmulDesc>(new lt::Operation(lt::Operation::none));
    return lt::kSuccess;
  };
  f.MatmulDescDestroy = [](lt::MatmulDesc desc) {
    delete reinterpret_cast<lt::Operation*>(desc);
    return lt::kSuccess;
  };
  f.MatmulDescSetAttribute = [](lt::MatmulDesc desc, lt::DescAttribute attribute, const void* value,
                                std::size_t size) {
    if (attribute != lt::DescAttribute::transpose_a) return 15;
    std::memcpy(reinterpret_cast<lt::Operation*>(desc), value, size);
    return lt::kSuccess;
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
    *preference = reinterpret_cast<lt::Preference>(&fake);
    return lt::kSuccess;
  };
  f.MatmulPreferenceDestroy = [](lt::Preference) { return lt::kSuccess; };
  f.MatmulPreferenceSetAttribute = [](lt::Preference, lt::PreferenceAttribute attribute,
                                      const void* value, std::size_t size) {
    if (attribute == lt::PreferenceAttribute::reduction_schemes) {
      std::memcpy(&fake.reduction_schemes, value, size);
    }
    return lt::kSuccess;
  };
  f.MatmulAlgoGetHeuristic = [](lt::Handle, lt::MatmulDesc, lt::Layout, lt::Layout b, lt::Layout,
                                lt::Layout, lt::Preference, int, lt::HeuristicResult* result,
                                int* found) {
    CHECK(of(b).batch == 1);
    CHECK(of(b).columns == kLtTileRows);
    *found = fake.has_algorithm ? 1 : 0;
    result->algorithm.data[0] = static_cast<std::uint64_t>(++fake.heuristics);
    return lt::kSuccess;
  };
  f.Matmul = &multiply;
  return f;
}

/// The emulated device with a library.
class LibraryDevice final : public OpDevice, public WeightMemory {
 public:
  LibraryDevice() : products_(fake_functions(), *this) { fake = {}; }
  Stream stream() override { return nullptr; }
  DeviceMatrix matrix(const LinearWeight&) override { return {}; }
  DeviceMatrix table(const WeightView&) override { return {}; }
  const void* constant(const void* host, std::int64_t) override { return host; }
  void* scratch(ScratchSlot slot, std::int64_t bytes) override {
    auto& memory = scratch_[slot];
    memory.assign(static_cast<std::size_t>(bytes), std::byte{0xff});
    return memory.data();
  }
  LtProducts* products() override { return &products_; }
  void* allocate(std::int64_t bytes) override {
    return ::operator new(static_cast<std::size_t>(bytes));
  }
  void release(void* memory) noexcept override { ::operator delete(memory); }
  void copy(void*, const void*, std::int64_t) override {}

 private:
  std::map<ScratchSlot, std::vector<std::byte>> scratch_;
  LtProducts products_;
};

struct Problem {
  std::int64_t rows, columns, depth;
  bool by_depth;
  std::vector<float> a, initial, bias;
  std::vector<std::uint16_t> weight;
  std::int64_t weight_stride;

  Problem(std::int64_t m, std::int64_t n, std::int64_t k, bool deep)
      : rows(m), columns(n), depth(k), by_depth(deep) {
    Random random(7);
    a = random.values(m * (k + 5));
    initial = random.values(m * (n + 3));
    bias = random.values(n);
    weight_stride = ((deep ? n : k) + 15) / 8 * 8;
    const std::int64_t elements = (deep ? k : n) * weight_stride;
    for (const float value : random.values(elements)) weight.push_back(f32_to_bf16(value));
  }
  float weight_at(std::int64_t column, std::int64_t k) const {
    const std::int64_t at = by_depth ? k * weight_stride + column : column * weight_stride + k;
    return bf16_to_f32(weight[static_cast<std::size_t>(at)]);
  }
  /// c of the first `count` rows, stride columns + 3.
  std::vector<float> run(OpDevice& device, Precision precision, std::int64_t count) const {
    std::vector<float> c(static_cast<std::size_t>(count * (columns + 3)), -1.0f);
    Gemm g;
    g.rows = count;
    g.columns = columns;
    g.depth = depth;
    g.a = a.data();
    g.a_stride = depth + 5;
    g.b = {weight.data(), DType::bf16, weight_stride, by_depth};
    g.scale = 0.5f;
    g.c = c.data();
    g.c_stride = columns + 3;
    g.bias = bias.data();
    g.initial = initial.data();
    CHECK(library_gemm(device, precision, g));
    return c;
  }
};

}  // namespace

TEST_CASE("products by cuBLASLt are the products, in terms that hold all bits") {
  for (const bool by_depth : {false, true}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      const Problem problem(150, 20, 37, by_depth);
      LibraryDevice device;
      const std::vector<float> c = problem.run(device, precision, problem.rows);
      CHECK(fake.multiplications == (precision == Precision::exact ? 3 : 1));
      CHECK(fake.reduction_schemes == 0);
      double largest = 0.0;
      for (std::int64_t row = 0; row < problem.rows; ++row) {
        for (std::int64_t column = 0; column < problem.columns + 3; ++column) {
          const std::int64_t at = row * (problem.columns + 3) + column;
          if (column >= problem.columns) {
            CHECK(c[static_cast<std::size_t>(at)] == -1.0f);
            continue;
          }
          double sum = 0.0;
          for (std::int64_t k = 0; k < problem.depth; ++k) {
            sum += static_cast<double>(
                       problem.a[static_cast<std::size_t>(row * (problem.depth + 5) + k)]) *
                   problem.weight_at(column, k);
          }
          const double expected = 0.5 * sum + problem.bias[static_cast<std::size_t>(column)] +
                                  problem.initial[static_cast<std::size_t>(at)];
          const double difference = std::fabs(c[static_cast<std::size_t>(at)] - expected);
          if (!(difference <= largest)) largest = difference;
        }
      }
      CHECK(largest <= (precision == Precision::exact ? 4e-6 : 6e-2));
    }
  }
}

TEST_CASE(
    "products by cuBLASLt: one algorithm per shape of the weight, the same bits for any rows") {
  const Problem problem(300, 24, 40, false);
  LibraryDevice device;
  const std::vector<float> all = problem.run(device, Precision::exact, 300);
  for (const std::int64_t rows : {1, 127, 128, 129, 256}) {
    const std::vector<float> some = problem.run(device, Precision::exact, rows);
    check_same_bits("rows", some,
                    {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(some.size())});
  }
  CHECK(fake.heuristics == 1);
  CHECK(fake.algorithms.size() == 1);
}

TEST_CASE("what cuBLASLt cannot do is left to the own kernel, by the weight alone") {
  const Problem problem(4, 8, 16, false);
  LibraryDevice device;
  std::vector<float> c(1000);
  Gemm g;
  g.rows = 4;
  g.columns = 8;
  g.depth = 16;
  g.a = problem.a.data();
  g.a_stride = 21;
  g.b = {problem.weight.data(), DType::bf16, problem.weight_stride, false};
  g.c = c.data();
  g.c_stride = 8;
  CHECK(library_gemm(device, Precision::exact, g));
  Gemm other = g;
  other.b.dtype = DType::f16;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.b.data = problem.weight.data() + 1;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.b.stride = 19;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.columns = 7;  // a shape of its own
  fake.has_algorithm = false;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
}

}  // namespace headspark::test
