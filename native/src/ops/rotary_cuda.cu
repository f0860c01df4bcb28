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
  float direction;
  std::int64_t heads;
  float* x;
  const float* x_from;  // or x
  std::int64_t second_heads;
  float* second;
  const float* second_from;  // or second
};

HEADSPARK_DEVICE Two rotated(const Two& x, float cosine, float sine) {
  return {multiply_add(x.x, cosine, -(x.y * sine)), multiply_add(x.y, cosine, x.x * sine)};
}

/// One pair, its halves `apart` elements from each other.
struct OnePair {
  static constexpr int kWidth = 1;
  HEADSPARK_DEVICE static void copy(const float* from, float* to) { *to = *from; }
  HEADSPARK_DEVICE static void rotate(const float* from, float* to, std::int64_t apart,
                                      const float* cosine, const float* sine, float direction) {
    const Two turned =
        rotated({from[0], from[apart]}, load_constant(cosine), direction * load_constant(sine));
    to[0] = turned.x;
    to[apart] = turned.y;
  }
};

struct FourPairs {
  static constexpr int kWidth = 4;
  HEADSPARK_DEVICE static void copy(const float* from, float* to) {
    store_four(to, read_four(from));
  }
  HEADSPARK_DEVICE static void rotate(const float* from, float* to, std::int64_t apart,
                                      const float* cosine, const float* sine, float direction) {
    const Four a = read_four(from);
    const Four b = read_four(from + apart);
    const Four c = load_four(cosine);
    const Four s = load_four(sine);
    const Two x = rotated({a.x, b.x}, c.x, direction * s.x);
    const Two y = rotated({a.y, b.y}, c.y, direction * s.y);
    const Two z = rotated({a.z, b.z}, c.z, direction * s.z);
    const Two w = rotated({a.w, b.w}, c.w, direction * s.w);
    store_four(to, {x.x, y.x, z.x, w.x});
    store_four(to + apart, {x.y, y.y, z.y, w.y});
  }
};

template <typename Pairs>
HEADSPARK_KERNEL(kElementThreads)
rotary_kernel(RotaryKernel p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const std::int64_t parts = (p.pairs + p.rest) / Pairs::kWidth;
  const std::int64_t pair = i % parts * Pairs::kWidth;
  const std::int64_t heads = p.heads + p.second_heads;
  const std::int64_t token = i / parts / heads;
  const std::int64_t head = i / parts % heads;
  const std::int64_t at = head < p.heads ? (token * p.heads + head) * p.head_dim
                                         : (token * p.second_heads + head - p.heads) * p.head_dim;
  const float* const from = (head < p.heads ? p.x_from : p.second_from) + at;
  float* const to = (head < p.heads ? p.x : p.second) + at;
  if (pair >= p.pairs) {
    return Pairs::copy(from + p.pairs + pair, to + p.pairs + pair);
  }
  const std::int64_t angle = p.positions[token] * p.pairs + pair;
  Pairs::rotate(from + pair, to + pair, p.pairs, p.cosine + angle, p.sine + angle, p.direction);
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
  const std::int64_t threads = four ? count / FourPairs::kWidth : count;
  launch(device.stream(), element_shape(threads),
         four ? &rotary_kernel<FourPairs> : &rotary_kernel<OnePair>,
         RotaryKernel{on_device(device, *p.table, p.table->cosine),
                      on_device(device, *p.table, p.table->sine), p.positions, p.table->pairs, rest,
                      p.head_dim, threads, direction, p.heads, p.x, p.source(), p.second_heads,
                      p.second, second_from});
}

}  // namespace

void rotary_forward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, 1.0f);
}

void rotary_backward_cuda(const Context& context, const Rotary& params) {
  rotate(context, params, -1.0f);
}

}  // namespace headspark
