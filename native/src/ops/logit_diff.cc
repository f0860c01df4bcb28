// Checks of logit_diff and the choice of its backend.
#include "headspark/ops/logit_diff.h"

#include "ops/backends.h"
#include "ops/check.h"
#include "ops/token_set.h"

namespace headspark {
namespace {

void check_logit_diff(const Context& context, const LogitDiffForward& p, const char* op) {
  check_pointer(p.unembedding, op, "unembedding");
  check_pointer(p.unembedding->view.data, op, "unembedding.view.data");
  check_argument(low_rank_of(*p.unembedding) == nullptr, op, "the unembedding has a low-rank term");
  check_argument(p.rows >= 0, op, "rows is negative");
  if (p.rows == 0) return;
  check_pointer(p.correct_begin, op, "correct_begin");
  check_pointer(p.incorrect_begin, op, "incorrect_begin");
  if (!context.on_cpu()) return;
  const std::int64_t vocab = p.unembedding->out();
  check_token_sets({p.correct, p.correct_begin, p.rows, vocab}, op,
                   "correct does not list tokens of the vocabulary");
  check_token_sets({p.incorrect, p.incorrect_begin, p.rows, vocab}, op,
                   "incorrect does not list tokens of the vocabulary");
}

}  // namespace

void logit_diff_forward(const Context& context, const LogitDiffForward& params) {
  const char* op = "logit_diff_forward";
  check_logit_diff(context, params, op);
  if (params.rows == 0) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.value, op, "value");
  if (!context.on_cpu()) return logit_diff_forward_cuda(context, params);
  logit_diff_forward_cpu(context, params);
}

void logit_diff_backward(const Context& context, const LogitDiffBackward& params) {
  const char* op = "logit_diff_backward";
  check_logit_diff(context, params.forward, op);
  if (params.forward.rows == 0) return;
  check_pointer(params.d_value, op, "d_value");
  check_pointer(params.d_x, op, "d_x");
  if (!context.on_cpu()) return logit_diff_backward_cuda(context, params);
  logit_diff_backward_cpu(context, params);
}

}  // namespace headspark
