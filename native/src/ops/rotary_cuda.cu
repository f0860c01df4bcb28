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
  std::int64_t rest;  // elements of a head behind its pairs that are copied
  std::int64_t head_dim;
  std::int64_t count;  // tokens * (heads + second_heads) * (pairs + rest)
  float direction;
  std::int64_t heads;
  float* x;
  const float* x_from;  // or x
  std::int64_t second_heads;
  float* second;
  const float* second_from;  // or second
};

HEADSPARK_KERNEL(kElementThreads) rotary_kernel(RotaryKernel p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const std::int64_t parts = p.pairs + p.rest;
  const std::int64_t pair = i % parts;
  const std::int64_t heads = p.heads + p.second_heads;
  const std::int64_t token = i / parts / heads;
  const std::int64_t head = i / parts % heads;
  const std::int64_t at = head < p.heads ? (token * p.heads + head) * p.head_dim
                                         : (token * p.second_heads + head - p.heads) * p.head_dim;
  const float* const from = (head < p.heads ? p.x_from : p.second_from) + at;
  float* const to = (head < p.heads ? p.x : p.second) + at;
  if (pair >= p.pairs) {
    to[p.pairs + pair] = from[p.pairs + pair];
    return;
  }
  const std::int64_t angle = p.positions[token] * p.pairs + pair;
  float* const x = to + pair;
  const float a = from[pair];
  const float b = from[pair + p.pairs];
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
  const bool in_place = p.x_from == nullptr && p.second_from == nullptr;
  const std::int64_t rest = in_place ? 0 : p.head_dim - 2 * p.table->pairs;
  const std::int64_t count = p.tokens * (p.heads + p.second_heads) * (p.table->pairs + rest);
  if (count == 0) return;
  OpDevice& device = op_device(context);
  launch(device.stream(), element_shape(count), &rotary_kernel,
         RotaryKernel{on_device(device, *p.table, p.table->cosine),
                      on_device(device, *p.table, p.table->sine), p.positions, p.table->pairs, rest,
                      p.head_dim, count, direction, p.heads, p.x, p.source(), p.second_heads,
                      p.second, p.second_from != nullptr ? p.second_from : p.second});
}

}  // namespace

void rotary_forward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, 1.0f);
}

void rotary_backward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, -1.0f);
}

}  // namespace headspark
