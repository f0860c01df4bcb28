// embedding on every level and storage type.
#include "headspark/ops/embedding.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

const std::vector<std::int32_t> kIndices{4, 0, 10, 4, 3, 7};

void check_embedding(DType dtype, std::int64_t width) {
  Random random(2);
  const std::vector<float> f32 = random.values(11 * width);
  std::vector<std::uint16_t> narrow;
  for (std::int64_t i = 0; i < 11 * width; ++i) {
    narrow.push_back(static_cast<std::uint16_t>(random.below(0x7000)));  // finite in both types
  }
  const void* data = dtype == DType::f32 ? static_cast<const void*>(f32.data()) : narrow.data();
  WeightView table = contiguous_view(data, dtype, 11, width);
  const std::vector<float> before = random.values(6 * width);
  for (const bool by_column : {false, true}) {
    if (by_column) {  // the same numbers read as a transposed table
      table.group_stride = 1;
      table.col_stride = 11;
    }
    check_case({"embedding", 0.0, [&](const Context& context, Outputs& outputs) {
                  EmbeddingForward p{&table, kIndices.data(), 6, outputs.dense("y", 6 * width)};
                  embedding_forward(context, p);
                  const EmbeddingForward plain = p;
                  p.scale = 25.298222f;  // the square root of 640 (Gemma 3)
                  p.y = outputs.dense("scaled", 6 * width);
                  embedding_forward(context, p);
                  p.y = outputs.initial("scaled and added", before);
                  p.add_to_y = true;
                  embedding_forward(context, p);
                  p = plain;
                  p.y = outputs.initial("added", before);
                  p.add_to_y = true;
                  embedding_forward(context, p);
                  for (std::int64_t i = 0; i < width; ++i) {
                    CHECK(outputs["y"].data()[2 * width + i] == table.at(10, i));
                    CHECK(outputs["scaled"].data()[2 * width + i] == 25.298222f * table.at(10, i));
                  }
                }});
  }
}

}  // namespace

TEST_CASE("embedding copies exactly") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const std::int64_t width : {1, 8, 21, 64}) check_embedding(dtype, width);
  }
}

TEST_CASE("embedding refuses tokens outside its table") {
  const std::vector<float> values(8);
  const WeightView table = contiguous_view(values.data(), DType::f32, 4, 2);
  float y[2];
  for (const std::int32_t index : {-1, 4}) {
    CHECK_THROWS_WITH_AS(
        embedding_forward(make_cpu_context(1, Isa::specification), {&table, &index, 1, y}),
        doctest::Contains("outside the table"), Error);
  }
}

}  // namespace headspark::test
