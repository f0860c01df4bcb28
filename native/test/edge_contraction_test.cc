// edge_contraction and flow_proximity on every level.
#include "headspark/ops/edge_contraction.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct ContractionShape {
  std::int64_t sources = 0;
  std::int64_t destinations = 0;
  std::int64_t length = 0;
  std::int64_t gap = 0;
};

void check_contraction(const ContractionShape& s) {
  Random random(12);
  const std::int64_t stride = s.length + s.gap;
  const std::vector<float> delta = random.values(s.sources * stride);
  const std::vector<float> gradient = random.values(s.destinations * stride);
  const std::vector<float> before = random.values(s.sources * (s.destinations + s.gap));
  check_case({"edge_contraction " + std::to_string(s.sources) + "x" +
                  std::to_string(s.destinations) + "x" + std::to_string(s.length),
              1e-5, [&](const Context& context, Outputs& outputs) {
                const GuardedArray a("delta", delta);
                const GuardedArray b("gradient", gradient);
                edge_contraction(
                    context, {s.sources, s.destinations, s.length, a.data(), stride, b.data(),
                              stride, outputs.initial("scores", before), s.destinations + s.gap});
              }});
}

}  // namespace

TEST_CASE("edge_contraction agrees with the specification") {
  for (const std::int64_t length : {1, 7, 64, 255, 256, 257, 1500}) {
    check_contraction({1, 1, length, 0});
    check_contraction({5, 7, length, 3});
    check_contraction({13, 49, length, 1});
  }
  check_contraction({130, 97, 700, 0});
  check_contraction({0, 4, 10, 0});
  check_contraction({3, 0, 10, 2});
}

TEST_CASE("an edge's score does not depend on the other edges") {
  Random random(1);
  const std::vector<float> delta = random.values(20 * 600);
  const std::vector<float> gradient = random.values(33 * 600);
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    std::vector<float> all(20 * 33);
    edge_contraction(context,
                     {20, 33, 600, delta.data(), 600, gradient.data(), 600, all.data(), 33});
    for (const auto& [u, v] : {std::pair<int, int>{0, 0}, {7, 31}, {19, 32}, {12, 15}}) {
      std::vector<float> one(1);
      edge_contraction(context, {1, 1, 600, delta.data() + u * 600, 600, gradient.data() + v * 600,
                                 600, one.data(), 1});
      check_same_bits(level.name, one, {all[static_cast<std::size_t>(u * 33 + v)]});
    }
  }
}

TEST_CASE("edge_contraction with ends touches no other score") {
  struct Edges {
    std::int64_t sources = 70;
    std::int64_t destinations = 40;
    std::int64_t length = 40;
    std::int64_t step = 13;  // sources of a layer of 7 destinations
  };
  Random random(3);
  // Layers of a few sources and destinations, one that has none; long rows in several segments;
  // more destinations than a tile, and than a launch, of any backend has.
  for (const Edges& e : {Edges{}, Edges{.length = 5000}, Edges{.length = 8203, .step = 5},
                         Edges{150, 140, 33, 7}, Edges{60, 530, 9, 1}}) {
    const std::vector<float> delta = random.values(e.sources * e.length);
    const std::vector<float> gradient = random.values(e.destinations * e.length);
    const std::vector<float> before = random.values(e.sources * e.destinations);
    std::vector<std::int64_t> ends;
    for (std::int64_t v = 0; v < e.destinations; ++v) {
      ends.push_back(std::min<std::int64_t>(v / 7 * e.step, e.sources - 9));
    }
    const std::string name = "edge_contraction with ends " + std::to_string(e.sources) + "x" +
                             std::to_string(e.destinations) + "x" + std::to_string(e.length);
    check_case({name, 1e-5, [&](const Context& context, Outputs& outputs) {
                  float* scores = outputs.initial("scores", before);
                  edge_contraction(
                      context, {e.sources, e.destinations, e.length, delta.data(), e.length,
                                gradient.data(), e.length, scores, e.destinations, ends.data()});
                  for (std::int64_t u = 0; u < e.sources; ++u) {
                    for (std::int64_t v = 0; v < e.destinations; ++v) {
                      const auto at = static_cast<std::size_t>(u * e.destinations + v);
                      if (u >= ends[static_cast<std::size_t>(v)] && scores[at] != before[at]) {
                        FAIL_CHECK("score ", u, ", ", v, " was written");
                      }
                    }
                  }
                }});
  }
}

TEST_CASE("several edge_contractions give the bits of each alone") {
  Random random(8);
  const std::vector<float> delta = random.values(50 * 4000);
  const std::vector<float> gradient = random.values(20 * 4000);
  for (const Level& level : levels()) {
    std::vector<float> together(50 * 20);
    std::vector<float> alone(50 * 20);
    const auto contraction = [&](std::int64_t first, std::int64_t sources, float* scores) {
      return EdgeContraction{sources, 20,
                             4000,    delta.data() + first * 4000,
                             4000,    gradient.data(),
                             4000,    scores + first * 20,
                             20};
    };
    const EdgeContraction both[] = {contraction(0, 17, together.data()),
                                    contraction(17, 0, together.data()),
                                    contraction(17, 33, together.data())};
    edge_contraction(level.context(3), both);
    edge_contraction(level.context(1), contraction(0, 17, alone.data()));
    edge_contraction(level.context(2), contraction(17, 33, alone.data()));
    check_same_bits(level.name, together, alone);
  }
}

TEST_CASE("many edge_contractions of different lengths give the bits of each alone") {
  constexpr std::int64_t kSources = 5;
  constexpr std::int64_t kDestinations = 6;
  constexpr std::int64_t kStride = 8300;
  constexpr std::int64_t kCount = 35;
  Random random(9);
  const std::vector<float> delta = random.values(kSources * kStride + kCount);
  const std::vector<float> gradient = random.values(kDestinations * kStride + kCount);
  const std::int64_t ends[] = {0, 2, 2, 3, 5, 5};
  for (const Level& level : levels()) {
    const auto contractions = [&](std::vector<float>& scores) {
      std::vector<EdgeContraction> all;
      for (std::int64_t i = 0; i < kCount; ++i) {
        const std::int64_t length = i == 20 ? kStride : 1 + 3 * i;
        all.push_back({kSources, kDestinations, length, delta.data() + i, kStride,
                       gradient.data() + i, kStride, scores.data() + i * kSources * kDestinations,
                       kDestinations, ends});
      }
      return all;
    };
    std::vector<float> together(kCount * kSources * kDestinations, 0.5f);
    std::vector<float> alone = together;
    edge_contraction(level.context(2), contractions(together));
    for (const EdgeContraction& one : contractions(alone)) {
      edge_contraction(level.context(1), one);
    }
    check_same_bits(level.name, together, alone);
  }
}

TEST_CASE("flow_proximity agrees with the specification") {
  for (const std::int64_t width : {1, 8, 24, 67}) {
    Random random(5);
    const std::vector<float> input = random.values(9 * width);
    std::vector<float> write = random.values(4 * (9 * width + 2), -0.4f, 0.4f);
    for (std::int64_t i = 0; i < 9 * width; ++i) {
      write[static_cast<std::size_t>(i)] += 0.7f * input[static_cast<std::size_t>(i)];
    }
    const std::vector<float> before = random.values(4);
    check_case({"flow_proximity", 2e-6, [&](const Context& context, Outputs& outputs) {
                  flow_proximity(context, {4, 9, width, input.data(), write.data(), 9 * width + 2,
                                           outputs.initial("scores", before)});
                }});
  }
}

TEST_CASE("flow_proximity of several pairs: each has the bits that it has alone") {
  constexpr std::int64_t kSources = 37;
  constexpr std::int64_t kTokens = 30;
  constexpr std::int64_t kWidth = 140;
  const std::int32_t begin[] = {0, 4, 5, 30};
  Random random(6);
  const std::vector<float> input = random.values(kTokens * kWidth);
  std::vector<float> write = random.values(kSources * kTokens * kWidth, -0.4f, 0.4f);
  for (std::size_t i = 0; i < input.size(); ++i) write[i] += 0.7f * input[i];
  check_case({"flow_proximity", 2e-6, [&](const Context& context, Outputs& outputs) {
                float* scores = outputs.initial("scores", std::vector<float>(3 * kSources, 0.5f));
                const FlowProximity all{.sources = kSources,
                                        .tokens = kTokens,
                                        .width = kWidth,
                                        .input = input.data(),
                                        .write = write.data(),
                                        .write_stride = kTokens * kWidth,
                                        .scores = scores,
                                        .pairs = 3,
                                        .begin = begin};
                flow_proximity(context, all);
                for (std::int64_t pair = 0; pair < 3; ++pair) {
                  std::vector<float> alone(kSources, 0.5f);
                  FlowProximity one = all;
                  one.tokens = begin[pair + 1] - begin[pair];
                  one.input += begin[pair] * kWidth;
                  one.write += begin[pair] * kWidth;
                  one.scores = alone.data();
                  one.pairs = 1;
                  one.begin = nullptr;
                  flow_proximity(context, one);
                  const float* own = scores + pair * kSources;
                  CHECK(std::vector<float>(own, own + kSources) == alone);
                }
              }});
}

TEST_CASE("flow_proximity of known writes") {
  // The first source writes the input itself, the second nothing, the third the opposite.
  const float input[] = {1.0f, -2.0f, 0.0f, 0.0f};
  const float write[] = {1.0f, -2.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 1.0f, -1.0f, 2.0f, 0.0f, 0.0f};
  for (const Level& level : levels()) {
    std::vector<float> scores(3);
    flow_proximity(level.context(1), {3, 2, 2, input, write, 4, scores.data()});
    check_same_bits(level.name, scores, {1.0f, 0.0f, 0.0f});
  }
}

TEST_CASE("edge_contraction refuses bad arguments by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  float x[4] = {};
  CHECK_THROWS_WITH_AS(edge_contraction(context, {1, 1, 4, x, 3, x, 4, x, 1}),
                       doctest::Contains("delta_stride"), Error);
  CHECK_THROWS_WITH_AS(edge_contraction(context, {1, 1, 4, x, 4, x, 4, nullptr, 1}),
                       doctest::Contains("scores is null"), Error);
  const std::int64_t ends[] = {2};
  CHECK_THROWS_WITH_AS(edge_contraction(context, {1, 1, 4, x, 4, x, 4, x, 1, ends}),
                       doctest::Contains("ends"), Error);
  CHECK_THROWS_WITH_AS(flow_proximity(context, {1, 1, 4, x, x, 4, x, 2}),
                       doctest::Contains("begin is null"), Error);
}

}  // namespace headspark::test
