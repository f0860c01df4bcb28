// Row movement and element-wise sums on the GPU: one thread per element, every sum in order, in
// fp32 with fused multiply-adds but where rows are summed in double. Formulas: rows_cpu.cc.
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "cuda/stored_value.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct MoveRows {
  std::int64_t count;
  std::int64_t width;
  const std::int32_t* index;
  const float* x;
  float* y;
};

HEADSPARK_KERNEL(kElementThreads) gather_kernel(MoveRows p) {
  const std::int64_t i = element_index();
  if (i >= p.count * p.width) return;
  p.y[i] = p.x[p.index[i / p.width] * p.width + i % p.width];
}

HEADSPARK_KERNEL(kElementThreads) scatter_add_kernel(MoveRows p) {
  const std::int64_t i = element_index();
  if (i >= p.count * p.width) return;
  p.y[p.index[i / p.width] * p.width + i % p.width] += p.x[i];
}

HEADSPARK_KERNEL(kElementThreads) combine_kernel(Combine p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const float* base = p.base != nullptr ? p.base : p.y;
  const float y = p.b != 0.0f ? p.b * base[i] : 0.0f;
  store_value(p.y, p.type, i, multiply_add(p.a, p.x[i], y));
}

HEADSPARK_KERNEL(kElementThreads) interpolate_kernel(Interpolate p) {
  const std::int64_t i = element_index();
  if (i >= p.rows * p.width) return;
  const float alpha = p.alpha[i / p.width];
  p.y[i] = multiply_add(alpha, p.clean[i], (1.0f - alpha) * p.corrupted[i]);
}

HEADSPARK_KERNEL(kElementThreads) sum_blocks_kernel(SumBlocks p) {
  const std::int64_t i = element_index();
  if (i >= p.groups * p.block) return;
  const float* x = p.x + i / p.block * p.steps * p.block + i % p.block;
  float sum = p.add_to_y ? p.y[i] : 0.0f;
  for (std::int64_t s = 0; s < p.steps; ++s) sum += x[s * p.block];
  store_value(p.y, p.type, i, sum);
}

// A thread per sum, so that its rows are added in order: those of its slot, of all that there are.
HEADSPARK_KERNEL(kElementThreads) sum_rows_kernel(SumRows p) {
  const std::int64_t i = element_index();
  if (i >= p.slot_count * p.width) return;
  const std::int64_t slot = i / p.width;
  const float* x = p.x + i % p.width;
  double sum = p.sums[i];
  for (std::int64_t t = 0; t < p.rows; ++t) {
    if (p.slots == nullptr || p.slots[t] == slot) sum += x[t * p.width];
  }
  p.sums[i] = sum;
}

}  // namespace

void gather_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y) {
  launch(op_device(context).stream(), element_shape(count * width), &gather_kernel,
         MoveRows{count, width, index, x, y});
}

void scatter_add_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                           const std::int32_t* index, const float* x, float* y) {
  launch(op_device(context).stream(), element_shape(count * width), &scatter_add_kernel,
         MoveRows{count, width, index, x, y});
}

void combine_cuda(const Context& context, const Combine& params) {
  launch(op_device(context).stream(), element_shape(params.count), &combine_kernel, params);
}

void interpolate_cuda(const Context& context, const Interpolate& params) {
  launch(op_device(context).stream(), element_shape(params.rows * params.width),
         &interpolate_kernel, params);
}

void sum_blocks_cuda(const Context& context, const SumBlocks& params) {
  launch(op_device(context).stream(), element_shape(params.groups * params.block),
         &sum_blocks_kernel, params);
}

void sum_rows_cuda(const Context& context, const SumRows& params) {
  launch(op_device(context).stream(), element_shape(params.slot_count * params.width),
         &sum_rows_kernel, params);
}

}  // namespace headspark
