// copy_blocks moves every block bit for bit and touches nothing between them.
#include "headspark/ops/copy_blocks.h"

#include <doctest/doctest.h>

#include "headspark/dtype.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

constexpr std::int64_t kGap = 3;  // floats between targets

/// Block i goes to place count - 1 - i.
void run_blocks(const Context& context, const std::vector<float>& x, std::int64_t count,
                std::int64_t width, float* y) {
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t i = 0; i < count; ++i) {
    from.push_back(x.data() + i * width);
    to.push_back(y + (count - 1 - i) * (width + kGap));
  }
  copy_blocks(context, {count, width, from.data(), to.data()});
}

}  // namespace

TEST_CASE("copy_blocks copies every block and only those") {
  for (const auto& [count, width] : {std::pair{1, 1}, {5, 64}, {3, 20000}, {70, 33}, {2, 8192}}) {
    CAPTURE(count);
    CAPTURE(width);
    std::vector<float> x = Random(3).values(std::int64_t{count} * width);
    x[0] = bits_to_f32(0x7fc12345u);  // a NaN keeps its payload
    const std::int64_t places = std::int64_t{count} * (width + kGap);
    const std::vector<float> before = Random(4).values(places);
    check_case({.name = "copy_blocks",
                .tolerance = 0.0,
                .run =
                    [&, n = count, w = width](const Context& context, Outputs& outputs) {
                      float* y = outputs.initial("y", before);
                      run_blocks(context, x, n, w, y);
                    },
                .fast_tolerance = 0.0});
    std::vector<float> expected = before;
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(x.begin() + i * width, width,
                  expected.begin() + (count - 1 - i) * (width + kGap));
    }
    std::vector<float> y = before;
    run_blocks(make_cpu_context(2, Isa::specification), x, count, width, y.data());
    check_same_bits("copy_blocks", y, expected);
  }
}

TEST_CASE("copy_blocks refuses bad arguments by name and does nothing for nothing") {
  const Context context = make_cpu_context(1, Isa::specification);
  float x = 1.0f;
  const float* from[] = {nullptr};
  float* to[] = {&x};
  CHECK_THROWS_WITH_AS(copy_blocks(context, {1, 1, from, to}), doctest::Contains("entry of from"),
                       Error);
  CHECK_THROWS_WITH_AS(copy_blocks(context, {1, 1, nullptr, to}), doctest::Contains("from is null"),
                       Error);
  CHECK_THROWS_WITH_AS(copy_blocks(context, {-1, 1, from, to}), doctest::Contains("negative"),
                       Error);
  copy_blocks(context, {0, 1, nullptr, nullptr});
  copy_blocks(context, {1, 0, nullptr, nullptr});
}

}  // namespace headspark::test
