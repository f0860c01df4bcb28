// Rotary embedding on the GPU: one thread per rotated pair of both arrays. Formula: rotary_cpu.cc.
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct RotaryKernel {
  const float* cosine;
  const float* sine;
  const std::int32_t* positions;
  std::int64_t pairs;
  std::int64_t head_dim;
  std::int64_t count;  // tokens * (heads + second_heads) * pairs
  float direction;
  std::int64_t heads;
  float* x;
  std::int64_t second_heads;
  float* second;
};

HEADSPARK_KERNEL(kElementThreads) rotary_kernel(RotaryKernel p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const std::int64_t pair = i % p.pairs;
  const std::int64_t heads = p.heads + p.second_heads;
  const std::int64_t token = i / p.pairs / heads;
  const std::int64_t head = i / p.pairs % heads;
  const std::int64_t angle = p.positions[token] * p.pairs + pair;
  float* const first = head < p.heads
                           ? p.x + (token * p.heads + head) * p.head_dim
                           : p.second + (token * p.second_heads + head - p.heads) * p.head_dim;
  float* const x = first + pair;
  const float a = x[0];
  const float b = x[p.pairs];
  const float cosine = load_constant(p.cosine + angle);
  const float sine = p.direction * load_constant(p.sine + angle);
  x[0] = multiply_add(a, cosine, -(b * sine));
  x[p.pairs] = multiply_add(b, cosine, a * sine);
}

/// Uploaded once, for the layers of all passes.
const float* on_device(OpDevice& device, const RotaryTable& table, const SharedFloats& values) {
  return device.table_floats(values.data(), table.positions, table.pairs, values.owner());
}

void rotate(const Context& context, const Rotary& p, float direction) {
  const std::int64_t count = p.tokens * (p.heads + p.second_heads) * p.table->pairs;
  if (count == 0) return;
  OpDevice& device = op_device(context);
  launch(device.stream(), element_shape(count), &rotary_kernel,
         RotaryKernel{on_device(device, *p.table, p.table->cosine),
                      on_device(device, *p.table, p.table->sine), p.positions, p.table->pairs,
                      p.head_dim, count, direction, p.heads, p.x, p.second_heads, p.second});
}

}  // namespace

void rotary_forward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, 1.0f);
}

void rotary_backward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, -1.0f);
}

}  // namespace headspark
