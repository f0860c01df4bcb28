// The largest entry of each row on the GPU: a block per row. As in argmax_cpu.cc, ties go to the
// smallest position, and a NaN is the largest only where it comes first.
#include "cuda/cuda_language.h"
#include "cuda/op_device.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kArgmaxThreads = 256;

struct ArgmaxKernel {
  std::int64_t width;
  const float* x;
  std::int32_t* index;
};

struct Best {
  float value;
  std::int32_t index;  // -1: nothing yet
};

HEADSPARK_DEVICE Best better(const Best& a, const Best& b) {
  if (a.index < 0) return b;
  if (b.index < 0) return a;
  if (a.value != b.value) return a.value > b.value ? a : b;
  return a.index < b.index ? a : b;
}

HEADSPARK_KERNEL(kArgmaxThreads) argmax_kernel(ArgmaxKernel p) {
  const float* x = p.x + block_x() * p.width;
  Best best{0.0f, -1};
  for (std::int64_t i = thread_index(); i < p.width; i += kArgmaxThreads) {
    const float value = x[i];
    if (value == value) best = better(best, {value, static_cast<std::int32_t>(i)});
  }
  SharedMemory memory;
  const SharedArray<Best> partial = memory.take<Best>(kArgmaxThreads);
  const int thread = thread_index();
  partial.store(thread, best);
  for (int half = kArgmaxThreads / 2; half > 0; half /= 2) {
    sync_threads();
    if (thread < half) {
      partial.store(thread, better(partial.load(thread), partial.load(thread + half)));
    }
  }
  if (thread != 0) return;
  const float first = x[0];
  p.index[block_x()] = first == first ? partial.load(0).index : 0;
}

}  // namespace

void argmax_rows_cuda(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                      std::int32_t* index) {
  const LaunchShape shape{
      {blocks_for(rows, 1)}, kArgmaxThreads, kArgmaxThreads * static_cast<int>(sizeof(Best))};
  launch(op_device(context).stream(), shape, &argmax_kernel, ArgmaxKernel{width, x, index});
}

}  // namespace headspark
