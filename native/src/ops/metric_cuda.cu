// Metrics of logits rows and their gradients on the GPU: a block per row, sums in double in a fixed
// order. Formulas: metric_cpu.cc.
#include "cuda/op_device.h"
#include "cuda/reduce.h"
#include "cuda/token_set.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kMetricThreads = 256;

struct Row {
  std::int64_t vocab;
  SharedArray<double> sums;
  SharedArray<float> maxima;
};

HEADSPARK_DEVICE Row block_row(std::int64_t vocab) {
  SharedMemory memory;
  const SharedArray<double> sums = memory.take<double>(kMetricThreads);
  return {vocab, sums, memory.take<float>(kMetricThreads)};
}

HEADSPARK_DEVICE double log_sum_exp(const Row& row, const float* x) {
  float largest = -infinity();
  for (std::int64_t i = thread_index(); i < row.vocab; i += kMetricThreads) {
    largest = larger(x[i], largest);
  }
  largest = block_largest(row.maxima, kMetricThreads, largest);
  double sum = 0.0;
  for (std::int64_t i = thread_index(); i < row.vocab; i += kMetricThreads) {
    sum += exponential(x[i] - largest);
  }
  return largest + logarithm(block_sum(row.sums, kMetricThreads, sum));
}

HEADSPARK_DEVICE double mass(const Tokens& set, const float* x, double lse) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < set.size; ++i) sum += exponential(x[set.begin[i]] - lse);
  return sum;
}

// Log-sum-exps of the row and, for kl, of the clean row.
struct Normalizers {
  double lse;
  double clean_lse;
};

HEADSPARK_DEVICE Normalizers normalizers(const MetricForward& p, const Row& row, const float* x,
                                         const float* clean) {
  return {p.metric != Metric::logit_diff ? log_sum_exp(row, x) : 0.0,
          clean != nullptr ? log_sum_exp(row, clean) : 0.0};
}

HEADSPARK_DEVICE double kl_divergence(const Row& row, const float* clean, const float* x,
                                      const Normalizers& n) {
  double sum = 0.0;
  for (std::int64_t i = thread_index(); i < row.vocab; i += kMetricThreads) {
    const double log_q = clean[i] - n.clean_lse;
    const double q = exponential(log_q);
    if (q > 0.0) sum += q * (log_q - (x[i] - n.lse));  // q = 0 contributes 0, not 0 * infinity
  }
  return block_sum(row.sums, kMetricThreads, sum);
}

// What both directions read of the block's row.
struct RowInputs {
  std::int64_t index;
  Row row;
  const float* x;
  const float* clean;  // of kl
  Tokens correct;
  Tokens incorrect;
  Normalizers n;
};

HEADSPARK_DEVICE RowInputs row_inputs(const MetricForward& p) {
  const std::int64_t r = block_x();
  const Row row = block_row(p.vocab);
  const float* x = p.logits + r * p.vocab;
  const std::int64_t clean_row = p.clean_row != nullptr ? p.clean_row[r] : r;
  const float* clean = p.metric == Metric::kl ? p.clean_logits + clean_row * p.vocab : nullptr;
  return {r,
          row,
          x,
          clean,
          token_set(p.correct, p.correct_begin, r),
          token_set(p.incorrect, p.incorrect_begin, r),
          normalizers(p, row, x, clean)};
}

HEADSPARK_KERNEL(kMetricThreads) forward_kernel(MetricForward p) {
  const auto [r, row, x, clean, correct, incorrect, n] = row_inputs(p);
  double value = n.lse;
  if (p.metric == Metric::logit_diff) {
    value = mean_logit(correct, x) - mean_logit(incorrect, x);
  } else if (p.metric == Metric::kl) {
    value = kl_divergence(row, clean, x, n);
  } else if (p.metric == Metric::prob_diff) {
    value = mass(correct, x, n.lse) - mass(incorrect, x, n.lse);
  } else {
    value -= x[correct.begin[0]];
  }
  if (thread_index() == 0) p.value[r] = static_cast<float>(value);
}

// How often token i is in a set.
HEADSPARK_DEVICE double times(const Tokens& set, std::int64_t i) {
  double count = 0.0;
  for (std::int64_t j = 0; j < set.size; ++j) count += set.begin[j] == i ? 1.0 : 0.0;
  return count;
}

HEADSPARK_KERNEL(kMetricThreads) backward_kernel(MetricBackward b) {
  const MetricForward& p = b.forward;
  const auto [r, row, x, clean, correct, incorrect, n] = row_inputs(p);
  const auto [lse, clean_lse] = n;
  const double value =
      p.metric == Metric::prob_diff ? mass(correct, x, lse) - mass(incorrect, x, lse) : 0.0;
  const double correct_size = static_cast<double>(correct.size > 0 ? correct.size : 1);
  const double incorrect_size = static_cast<double>(incorrect.size > 0 ? incorrect.size : 1);
  for (std::int64_t i = thread_index(); i < p.vocab; i += kMetricThreads) {
    const double probability = p.metric != Metric::logit_diff ? exponential(x[i] - lse) : 0.0;
    double gradient = 0.0;
    if (p.metric == Metric::logit_diff) {
      gradient = times(correct, i) / correct_size - times(incorrect, i) / incorrect_size;
    } else if (p.metric == Metric::prob_diff) {
      gradient = probability * (times(correct, i) - times(incorrect, i) - value);
    } else if (p.metric == Metric::kl) {
      gradient = probability - exponential(clean[i] - clean_lse);
    } else {
      gradient = probability - times(correct, i);
    }
    b.d_logits[r * p.vocab + i] = static_cast<float>(b.d_value[r] * gradient);
  }
}

LaunchShape rows_shape(std::int64_t rows) {
  return {{blocks_for(rows, 1)},
          kMetricThreads,
          kMetricThreads * static_cast<int>(sizeof(double) + sizeof(float))};
}

}  // namespace

void metric_forward_cuda(const Context& context, const MetricForward& params) {
  launch(op_device(context).stream(), rows_shape(params.rows), &forward_kernel, params);
}

void metric_backward_cuda(const Context& context, const MetricBackward& params) {
  launch(op_device(context).stream(), rows_shape(params.forward.rows), &backward_kernel, params);
}

}  // namespace headspark
