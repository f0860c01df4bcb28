// logit_diff on the GPU: a block per row, a thread per column and stride, sums in double in a fixed
// order. Formulas: logit_diff_cpu.cc. Tokens are not checked here, where the host cannot see them.
#include "cuda/op_device.h"
#include "cuda/reduce.h"
#include "cuda/stored_value.h"
#include "cuda/token_set.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kLogitDiffThreads = 256;

struct LogitDiffKernel {
  DeviceMatrix unembedding;
  const float* bias;  // may be null
  const std::int32_t* correct;
  const std::int32_t* correct_begin;
  const std::int32_t* incorrect;
  const std::int32_t* incorrect_begin;
  const float* in;  // [rows, width] x, or [rows] d_value
  float* out;       // [rows] value, or [rows, width] d_x
};

HEADSPARK_DEVICE double mean_weight(const DeviceMatrix& matrix, const Tokens& set,
                                    std::int64_t column) {
  return token_mean(set, [&](std::int32_t token) {
    return stored_value(matrix.data, matrix.dtype, token * matrix.cols + column);
  });
}

/// Element `column` of a row's direction.
HEADSPARK_DEVICE double direction(const LogitDiffKernel& s, std::int64_t row, std::int64_t column) {
  const Tokens correct = token_set(s.correct, s.correct_begin, row);
  const Tokens incorrect = token_set(s.incorrect, s.incorrect_begin, row);
  return mean_weight(s.unembedding, correct, column) -
         mean_weight(s.unembedding, incorrect, column);
}

HEADSPARK_KERNEL(kLogitDiffThreads) forward_kernel(LogitDiffKernel s) {
  SharedMemory memory;
  const SharedArray<double> sums = memory.take<double>(kLogitDiffThreads);
  const std::int64_t row = block_x();
  const std::int64_t width = s.unembedding.cols;
  double sum = 0.0;
  for (std::int64_t k = thread_index(); k < width; k += kLogitDiffThreads) {
    sum += s.in[row * width + k] * direction(s, row, k);
  }
  sum = block_sum(sums, kLogitDiffThreads, sum);
  if (thread_index() != 0) return;
  if (s.bias != nullptr) {
    sum += mean_logit(token_set(s.correct, s.correct_begin, row), s.bias) -
           mean_logit(token_set(s.incorrect, s.incorrect_begin, row), s.bias);
  }
  s.out[row] = static_cast<float>(sum);
}

HEADSPARK_KERNEL(kLogitDiffThreads) backward_kernel(LogitDiffKernel s) {
  const std::int64_t row = block_x();
  const std::int64_t width = s.unembedding.cols;
  for (std::int64_t k = thread_index(); k < width; k += kLogitDiffThreads) {
    s.out[row * width + k] = static_cast<float>(s.in[row] * direction(s, row, k));
  }
}

LogitDiffKernel kernel_params(OpDevice& device, const LogitDiffForward& p, const float* in,
                              float* out) {
  // In every precision as the checkpoint has them: few rows are read.
  return {device.matrix(*p.unembedding),
          device.constant_floats(p.unembedding->bias),
          p.correct,
          p.correct_begin,
          p.incorrect,
          p.incorrect_begin,
          in,
          out};
}

LaunchShape rows_shape(std::int64_t rows, int shared_bytes) {
  return {{blocks_for(rows, 1)}, kLogitDiffThreads, shared_bytes};
}

}  // namespace

void logit_diff_forward_cuda(const Context& context, const LogitDiffForward& params) {
  OpDevice& device = op_device(context);
  launch(device.stream(),
         rows_shape(params.rows, kLogitDiffThreads * static_cast<int>(sizeof(double))),
         &forward_kernel, kernel_params(device, params, params.x, params.value));
}

void logit_diff_backward_cuda(const Context& context, const LogitDiffBackward& params) {
  OpDevice& device = op_device(context);
  launch(device.stream(), rows_shape(params.forward.rows, 0), &backward_kernel,
         kernel_params(device, params.forward, params.d_value, params.d_x));
}

}  // namespace headspark
