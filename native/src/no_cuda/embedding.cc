// Linked in builds without CUDA: the symbols of embedding_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void embedding_forward_cuda(const Context&, const EmbeddingForward&) {
  throw_no_cuda("embedding_forward");
}

}  // namespace headspark
