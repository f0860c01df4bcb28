// Rotary embedding on the GPU: a thread rotates four neighbouring pairs of a head of either array,
// or one where rows do not allow 16 bytes at once. Formula: rotary_cpu.cc.
#include "cuda/alignment.h"
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
  std::int64_t count;  // threads: tokens * (heads + second_heads) * (pairs + rest) / Width
  float cosine_scale;
  float sine_scale;  // negative: backward
  std::int64_t heads;
  float* x;
  const float* x_from;  // or x
  std::int64_t second_heads;
  float* second;
  const float* second_from;  // or second
};

template <int Width>
HEADSPARK_KERNEL(kElementThreads)
rotary_kernel(RotaryKernel p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const std::int64_t parts = (p.pairs + p.rest) / Width;
  const std::int64_t pair = i % parts * Width;
  const std::int64_t heads = p.heads + p.second_heads;
  const std::int64_t token = i / parts / heads;
  const std::int64_t head = i / parts % heads;
  const std::int64_t at = head < p.heads ? (token * p.heads + head) * p.head_dim
                                         : (token * p.second_heads + head - p.heads) * p.head_dim;
  const float* const from = (head < p.heads ? p.x_from : p.second_from) + at;
  float* const to = (head < p.heads ? p.x : p.second) + at;
  if (pair >= p.pairs) {
    const std::int64_t element = p.pairs + pair;
    return store_elements(to + element, read_elements<Width>(from + element));
  }
  const std::int64_t angle = p.positions[token] * p.pairs + pair;
  Elements<Width> a = read_elements<Width>(from + pair);
  Elements<Width> b = read_elements<Width>(from + pair + p.pairs);
  const Elements<Width> cosines = load_elements<Width>(p.cosine + angle);
  const Elements<Width> sines = load_elements<Width>(p.sine + angle);
  HEADSPARK_UNROLL
  for (int j = 0; j < Width; ++j) {
    const Two x{a.v[j], b.v[j]};
    const float cosine = p.cosine_scale * cosines.v[j];
    const float sine = p.sine_scale * sines.v[j];
    a.v[j] = multiply_add(x.x, cosine, -(x.y * sine));
    b.v[j] = multiply_add(x.y, cosine, x.x * sine);
  }
  store_elements(to + pair, a);
  store_elements(to + pair + p.pairs, b);
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
  const float* const second_from = p.second_from != nullptr ? p.second_from : p.second;
  const bool four = p.table->pairs % 4 == 0 && rest % 4 == 0 && p.head_dim % 4 == 0 &&
                    aligned_to(16, p.x) && aligned_to(16, p.source()) && aligned_to(16, p.second) &&
                    aligned_to(16, second_from);
  const std::int64_t threads = four ? count / 4 : count;
  launch(device.stream(), element_shape(threads), four ? &rotary_kernel<4> : &rotary_kernel<1>,
         RotaryKernel{on_device(device, *p.table, p.table->cosine),
                      on_device(device, *p.table, p.table->sine), p.positions, p.table->pairs, rest,
                      p.head_dim, threads, p.scale, direction * p.scale, p.heads, p.x, p.source(),
                      p.second_heads, p.second, second_from});
}

}  // namespace

void rotary_forward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, 1.0f);
}

void rotary_backward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, -1.0f);
}

}  // namespace headspark
