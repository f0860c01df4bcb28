// The metrics on every level: known values, token sets, gradients.
#include "headspark/ops/metric.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "headspark/error.h"
#include "metric_answers.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

constexpr Metric kMetrics[] = {Metric::logit_diff, Metric::prob_diff, Metric::kl, Metric::nll};
const std::vector<std::int32_t> kOneBegin{0, 1, 2, 3};

MetricForward make_metric(Metric metric, const std::vector<float>& logits,
                          const std::vector<float>& clean) {
  MetricForward p;
  p.metric = metric;
  p.rows = 3;
  p.vocab = static_cast<std::int64_t>(logits.size()) / 3;
  p.logits = logits.data();
  p.clean_logits = clean.data();
  p.correct = kCorrect.data();
  p.correct_begin = metric == Metric::nll ? kOneBegin.data() : kCorrectBegin.data();
  p.incorrect = kIncorrect.data();
  p.incorrect_begin = kIncorrectBegin.data();
  return p;
}

float single(const Context& context, MetricForward p) {
  float value = NAN;
  p.value = &value;
  metric_forward(context, p);
  return value;
}

}  // namespace

TEST_CASE("metrics agree with the specification") {
  for (const Metric metric : kMetrics) {
    for (const std::int64_t vocab : {9, 16, 131, 5003}) {
      Random random(6);
      const std::vector<float> logits = random.values(3 * vocab, -8.0f, 8.0f);
      const std::vector<float> clean = random.values(3 * vocab, -8.0f, 8.0f);
      const std::vector<float> d_value = {0.5f, -2.0f, 1.0f};
      check_case(
          {"metric " + std::to_string(static_cast<int>(metric)), 3e-6,
           [&](const Context& context, Outputs& outputs) {
             MetricForward p = make_metric(metric, logits, clean);
             p.value = outputs.dense("value", 3);
             metric_forward(context, p);
             metric_backward(context, {p, d_value.data(), outputs.dense("d_logits", 3 * vocab)});
           }});
    }
  }
}

// Rows of one clean row are added up side by side, in any number, and blocks of the vocabulary
// follow each other; a token that the clean row rules out counts nothing, whatever the row says.
TEST_CASE("kl: rows that share a clean row have the bits of rows that have their own") {
  constexpr std::int64_t kRows = 12;
  const std::vector<std::int32_t> clean_row = {2, 0, 2, 2, 1, 2, 2, 2, 0, 2, 2, 2};
  for (const std::int64_t vocab : {7, 2048, 5003}) {
    Random random(21);
    std::vector<float> logits = random.values(kRows * vocab, -8.0f, 8.0f);
    std::vector<float> clean = random.values(3 * vocab, -8.0f, 8.0f);
    clean[static_cast<std::size_t>(2 * vocab + 3)] = -5000.0f;
    logits[static_cast<std::size_t>(5 * vocab + 3)] = -std::numeric_limits<float>::infinity();
    const std::vector<float> d_value = random.values(kRows);
    std::vector<float> own;
    for (const std::int32_t row : clean_row) {
      own.insert(own.end(), clean.begin() + row * vocab, clean.begin() + (row + 1) * vocab);
    }
    const auto run = [&](const Context& context, bool shared, Outputs& outputs) {
      MetricForward p{.metric = Metric::kl, .rows = kRows, .vocab = vocab, .logits = logits.data()};
      p.clean_logits = shared ? clean.data() : own.data();
      if (shared) {
        p.clean_row = clean_row.data();
        p.clean_rows = 3;
      }
      p.value = outputs.dense("value", kRows);
      metric_forward(context, p);
      metric_backward(context, {p, d_value.data(), outputs.dense("d_logits", kRows * vocab)});
    };
    check_case({"kl of shared clean rows", 3e-6,
                [&](const Context& context, Outputs& outputs) { run(context, true, outputs); }});
    for (const Level& level : levels()) {
      Outputs shared, apart;
      run(level.context(2), true, shared);
      run(level.context(1), false, apart);
      for (const char* name : {"value", "d_logits"}) {
        check_same_bits(std::string(name) + " on " + level.name, shared[name].values(),
                        apart[name].values());
        CHECK(std::isfinite(shared[name].values()[5]));
      }
    }
  }
}

TEST_CASE("metrics of known logits") {
  const float logits[] = {std::log(1.0f), std::log(2.0f), std::log(5.0f)};  // p = 1/8, 2/8, 5/8
  const float clean[] = {0.0f, 0.0f, 0.0f};
  const std::int32_t correct[] = {2};
  const std::int32_t incorrect[] = {0, 1};
  const std::int32_t one[] = {0, 1};
  const std::int32_t two[] = {0, 2};
  for (const Level& level : levels()) {
    const Context context = level.context(1);
    MetricForward p{Metric::logit_diff, 1, 3, logits, correct, one, incorrect, two, clean};
    CHECK(single(context, p) == doctest::Approx(std::log(5.0) - std::log(2.0) / 2));
    p.metric = Metric::prob_diff;
    CHECK(single(context, p) == doctest::Approx(0.25));
    p.metric = Metric::nll;
    CHECK(single(context, p) == doctest::Approx(-std::log(0.625)));
    p.metric = Metric::kl;
    CHECK(single(context, p) ==
          doctest::Approx((std::log(8.0 / 3) + std::log(8.0 / 6) + std::log(8.0 / 15)) / 3));
  }
}

TEST_CASE("kl of equal logits is 0 and large logits do not overflow") {
  const std::vector<float> logits = {1000.0f, -1000.0f, 999.0f};
  const std::int32_t correct[] = {2};
  const std::int32_t one[] = {0, 1};
  for (const Level& level : levels()) {
    const Context context = level.context(1);
    MetricForward p{Metric::kl, 1, 3, logits.data(), correct, one, correct, one, logits.data()};
    CHECK(std::fabs(single(context, p)) <= 1e-6f);
    p.metric = Metric::nll;
    CHECK(single(context, p) == doctest::Approx(1.0 + std::log1p(std::exp(-1.0))));
  }
}

TEST_CASE("metric gradients equal finite differences") {
  for (const Metric metric : kMetrics) {
    Random random(14);
    const std::vector<float> logits = random.values(3 * 9, -2.0f, 2.0f);
    const std::vector<float> clean = random.values(3 * 9, -2.0f, 2.0f);
    const std::vector<float> d_value = {0.5f, -2.0f, 1.0f};
    for (const Level& level : levels()) {
      std::vector<float> d_logits(logits.size());
      metric_backward(level.context(1),
                      {make_metric(metric, logits, clean), d_value.data(), d_logits.data()});
      check_gradient({.name = "metric " + std::to_string(static_cast<int>(metric)),
                      .x = logits,
                      .gradient = d_logits,
                      .loss = [&](const std::vector<float>& x) {
                        float value[3];
                        MetricForward p = make_metric(metric, x, clean);
                        p.value = value;
                        metric_forward(make_cpu_context(1, Isa::specification), p);
                        return weighted_sum(d_value, value);
                      }});
    }
  }
}

TEST_CASE("metrics refuse bad tokens by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  const std::vector<float> logits(27);
  float value[3];
  MetricForward p = make_metric(Metric::logit_diff, logits, logits);
  p.value = value;
  const std::int32_t outside[] = {3, 1, 9, 8, 0, 5};
  p.correct = outside;
  CHECK_THROWS_WITH_AS(metric_forward(context, p), doctest::Contains("correct"), Error);
  p = make_metric(Metric::nll, logits, logits);
  p.value = value;
  p.correct_begin = kCorrectBegin.data();
  CHECK_THROWS_WITH_AS(metric_forward(context, p), doctest::Contains("exactly one"), Error);
  p = make_metric(Metric::kl, logits, logits);
  p.value = value;
  const std::int32_t clean_row[] = {0, 2, 1};
  p.clean_row = clean_row;
  p.clean_rows = 2;
  CHECK_THROWS_WITH_AS(metric_forward(context, p), doctest::Contains("clean_row"), Error);
  p.clean_logits = nullptr;
  CHECK_THROWS_WITH_AS(metric_forward(context, p), doctest::Contains("clean_logits"), Error);
}

}  // namespace headspark::test
