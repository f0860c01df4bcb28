// Checks of rotary and the choice of its backend.
#include "headspark/ops/rotary.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {
namespace {

/// False when there is nothing to rotate.
bool check_rotary(const Context& context, const Rotary& p, const char* op) {
  check_pointer(p.table, op, "table");
  check_argument(p.tokens >= 0 && p.heads >= 0 && p.second_heads >= 0 && p.head_dim >= 0, op,
                 "tokens, heads, second_heads or head_dim is negative");
  check_argument((p.second != nullptr) == (p.second_heads > 0), op,
                 "second and second_heads go together");
  check_argument(p.table->pairs >= 0 && 2 * p.table->pairs <= p.head_dim, op,
                 "table.pairs rotates more than head_dim dimensions");
  const auto entries = static_cast<std::size_t>(p.table->positions * p.table->pairs);
  check_argument(p.table->cosine.size() == entries && p.table->sine.size() == entries, op,
                 "table.cosine or table.sine does not have positions * pairs values");
  check_argument(p.table->pairs > 0 || (p.x_from == nullptr && p.second_from == nullptr), op,
                 "x_from or second_from is given, but the table has no pairs to rotate");
  if (p.tokens == 0 || p.heads + p.second_heads == 0 || p.table->pairs == 0) return false;
  check_pointer(p.positions, op, "positions");
  if (p.heads > 0) check_pointer(p.x, op, "x");
  if (!context.on_cpu()) return true;
  for (std::int64_t t = 0; t < p.tokens; ++t) {
    check_argument(p.positions[t] >= 0 && p.positions[t] < p.table->positions, op,
                   "a position is outside the table; the sequence is longer than the model allows");
  }
  return true;
}

/// One array after the other, on the CPU.
template <typename Rotate>
void each_array(const Rotary& params, const Rotate& rotate) {
  Rotary one = params;
  one.second_heads = 0;
  one.second = nullptr;
  one.second_from = nullptr;
  if (params.heads > 0) rotate(one);
  one.heads = params.second_heads;
  one.x = params.second;
  one.x_from = params.second_from;
  if (one.heads > 0) rotate(one);
}

}  // namespace

void rotary_forward(const Context& context, const Rotary& params) {
  if (!check_rotary(context, params, "rotary_forward")) return;
  if (!context.on_cpu()) return rotary_forward_cuda(context, params);
  each_array(params, [&](const Rotary& one) {
    if (context.isa != Isa::specification) return rotary_fast(context, one, 1.0f);
    rotary_forward_cpu(context, one);
  });
}

void rotary_backward(const Context& context, const Rotary& params) {
  if (!check_rotary(context, params, "rotary_backward")) return;
  if (!context.on_cpu()) return rotary_backward_cuda(context, params);
  each_array(params, [&](const Rotary& one) {
    if (context.isa != Isa::specification) return rotary_fast(context, one, -1.0f);
    rotary_backward_cpu(context, one);
  });
}

}  // namespace headspark
