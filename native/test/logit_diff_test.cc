// logit_diff on every level and storage type: against all logits and their metric, gradients.
#include "headspark/ops/logit_diff.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "headspark/error.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/metric.h"
#include "metric_answers.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kVocab = 9;
const std::vector<float> kDValue{0.5f, -2.0f, 1.0f};

LogitDiffForward make_logit_diff(const LinearWeight& unembedding, const std::vector<float>& x) {
  LogitDiffForward p;
  p.unembedding = &unembedding;
  p.rows = kRows;
  p.x = x.data();
  p.correct = kCorrect.data();
  p.correct_begin = kCorrectBegin.data();
  p.incorrect = kIncorrect.data();
  p.incorrect_begin = kIncorrectBegin.data();
  return p;
}

/// By way of all logits, as the other metrics are read.
void by_all_logits(const LinearWeight& unembedding, const std::vector<float>& x, float* value,
                   float* d_x) {
  const Context context = make_cpu_context(1, Isa::specification);
  std::vector<float> logits(kRows * kVocab);
  LinearForward forward;
  forward.weight = &unembedding;
  forward.tokens = kRows;
  forward.x = x.data();
  forward.x_stride = unembedding.in();
  forward.y = logits.data();
  forward.y_stride = kVocab;
  linear_forward(context, forward);
  MetricForward metric;
  metric.rows = kRows;
  metric.vocab = kVocab;
  metric.logits = logits.data();
  metric.correct = kCorrect.data();
  metric.correct_begin = kCorrectBegin.data();
  metric.incorrect = kIncorrect.data();
  metric.incorrect_begin = kIncorrectBegin.data();
  metric.value = value;
  metric_forward(context, metric);
  std::vector<float> d_logits(kRows * kVocab);
  metric_backward(context, {metric, kDValue.data(), d_logits.data()});
  LinearBackward backward;
  backward.weight = &unembedding;
  backward.tokens = kRows;
  backward.d_y = d_logits.data();
  backward.d_y_stride = kVocab;
  backward.d_x = d_x;
  backward.d_x_stride = unembedding.in();
  linear_backward(context, backward);
}

}  // namespace

TEST_CASE("logit_diff agrees with the metric of all logits") {
  for (const bool bf16 : {false, true}) {
    for (const bool bias : {false, true}) {
      for (const std::int64_t width : {1, 16, 300}) {
        Random random(8);
        const StoredLayer layer(kVocab, width, {.bf16 = bf16, .bias = bias}, random);
        const std::vector<float> x = random.values(kRows * width);
        std::vector<float> value(kRows);
        std::vector<float> d_x(static_cast<std::size_t>(kRows * width));
        by_all_logits(layer.weight, x, value.data(), d_x.data());
        check_case({"logit_diff", 2e-6, [&](const Context& context, Outputs& outputs) {
                      LogitDiffForward p = make_logit_diff(layer.weight, x);
                      p.value = outputs.dense("value", kRows);
                      logit_diff_forward(context, p);
                      logit_diff_backward(context,
                                          {p, kDValue.data(), outputs.dense("d_x", kRows * width)});
                      check_near("value", outputs["value"].values(), value, 2e-6);
                      check_near("d_x", outputs["d_x"].values(), d_x, 2e-6);
                    }});
      }
    }
  }
}

TEST_CASE("logit_diff gradients equal finite differences") {
  Random random(14);
  const StoredLayer layer(kVocab, 16, {.bf16 = true, .bias = true}, random);
  const std::vector<float> x = random.values(kRows * 16);
  for (const Level& level : levels()) {
    std::vector<float> d_x(x.size());
    logit_diff_backward(level.context(1),
                        {make_logit_diff(layer.weight, x), kDValue.data(), d_x.data()});
    check_gradient({.name = "logit_diff on " + level.name,
                    .x = x,
                    .gradient = d_x,
                    .loss = [&](const std::vector<float>& moved) {
                      float value[kRows];
                      LogitDiffForward p = make_logit_diff(layer.weight, moved);
                      p.value = value;
                      logit_diff_forward(make_cpu_context(1, Isa::specification), p);
                      return weighted_sum(kDValue, value);
                    }});
  }
}

TEST_CASE("logit_diff refuses bad tokens and low-rank terms by name") {
  Random random(3);
  const Context context = make_cpu_context(1, Isa::specification);
  const std::vector<float> x = random.values(kRows * 4);
  float value[kRows];
  const StoredLayer plain(kVocab, 4, {}, random);
  LogitDiffForward p = make_logit_diff(plain.weight, x);
  p.value = value;
  const std::int32_t outside[] = {3, 1, 9, 8, 0, 5};
  p.correct = outside;
  CHECK_THROWS_WITH_AS(logit_diff_forward(context, p), doctest::Contains("correct"), Error);
  p.correct = kCorrect.data();
  p.incorrect = outside;
  CHECK_THROWS_WITH_AS(logit_diff_forward(context, p), doctest::Contains("incorrect"), Error);
  const StoredLayer adapted(kVocab, 4, {.rank = 2}, random);
  p = make_logit_diff(adapted.weight, x);
  p.value = value;
  CHECK_THROWS_WITH_AS(logit_diff_forward(context, p), doctest::Contains("low-rank"), Error);
}

}  // namespace headspark::test
