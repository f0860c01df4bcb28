// Checks of the metrics and the choice of their backend.
#include "headspark/ops/metric.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"
#include "ops/token_set.h"

namespace headspark {
namespace {

void check_one_per_row(const MetricForward& p, const char* op) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    check_argument(p.correct_begin[r + 1] - p.correct_begin[r] == 1, op,
                   "nll needs exactly one correct token per row");
  }
}

void check_clean_rows(const MetricForward& p, const char* op) {
  for (std::int64_t r = 0; r < p.rows; ++r) {
    check_argument(p.clean_row[r] >= 0 && p.clean_row[r] < p.clean_rows, op,
                   "clean_row does not list rows of clean_logits");
  }
}

void check_metric(const Context& context, const MetricForward& p, const char* op) {
  check_argument(p.rows >= 0 && p.vocab > 0, op, "rows is negative or vocab is not positive");
  if (p.rows == 0) return;
  check_pointer(p.logits, op, "logits");
  if (p.metric == Metric::kl) {
    check_pointer(p.clean_logits, op, "clean_logits");
    if (context.on_cpu() && p.clean_row != nullptr) check_clean_rows(p, op);
    return;
  }
  check_pointer(p.correct_begin, op, "correct_begin");
  if (p.metric != Metric::nll) check_pointer(p.incorrect_begin, op, "incorrect_begin");
  if (!context.on_cpu()) return;
  check_token_sets({p.correct, p.correct_begin, p.rows, p.vocab}, op,
                   "correct does not list tokens of the vocabulary");
  if (p.metric == Metric::nll) return check_one_per_row(p, op);
  check_token_sets({p.incorrect, p.incorrect_begin, p.rows, p.vocab}, op,
                   "incorrect does not list tokens of the vocabulary");
}

}  // namespace

void metric_forward(const Context& context, const MetricForward& params) {
  const char* op = "metric_forward";
  check_metric(context, params, op);
  if (params.rows == 0) return;
  check_pointer(params.value, op, "value");
  if (!context.on_cpu()) return metric_forward_cuda(context, params);
  if (context.isa != Isa::specification) return metric_forward_fast(context, params);
  metric_forward_cpu(context, params);
}

void metric_backward(const Context& context, const MetricBackward& params) {
  const char* op = "metric_backward";
  check_metric(context, params.forward, op);
  if (params.forward.rows == 0) return;
  check_pointer(params.d_value, op, "d_value");
  check_pointer(params.d_logits, op, "d_logits");
  if (!context.on_cpu()) return metric_backward_cuda(context, params);
  if (context.isa != Isa::specification) return metric_backward_fast(context, params);
  metric_backward_cpu(context, params);
}

}  // namespace headspark
