// Specification: drawn[r] = sample_token of the row (sampling.cc says how), on every level.
#include "ops/backends.h"
#include "ops/sampling.h"

namespace headspark {

void sample_rows_cpu(const Context& context, const SampleRows& p) {
  context.threads->parallel_for(p.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const RowDraw& draw = p.draws[row];
      TokenDraw token{draw.options, draw.seed, draw.index, {}, draw.log_prob};
      if (draw.seen_count > 0) {
        token.seen = {p.seen + draw.seen_begin, static_cast<std::size_t>(draw.seen_count)};
      }
      p.drawn[row] = sample_token(context.isa, token,
                                  {p.logits + row * p.stride, static_cast<std::size_t>(p.vocab)});
    }
  });
}

}  // namespace headspark
