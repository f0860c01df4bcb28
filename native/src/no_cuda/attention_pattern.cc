// Linked in builds without CUDA: the symbol of attention_pattern_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void attention_pattern_cuda(const Context&, const AttentionPattern&) {
  throw_no_cuda("attention_pattern");
}

}  // namespace headspark
