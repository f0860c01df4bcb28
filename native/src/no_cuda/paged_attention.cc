// Linked in builds without CUDA: the symbols of paged_attention_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"
#include "ops/paged_attention_memory.h"

namespace headspark {

void paged_store_cuda(const Context&, const PagedStore&) {
  throw_no_cuda("paged_store");
}

std::int64_t paged_attention_bytes_cuda(const PagedAttentionSize&) {
  throw_no_cuda("paged_attention");
}

std::int64_t paged_plan_size_cuda(const AttentionShape&, const RowLayout&) {
  throw_no_cuda("paged_plan");
}

void paged_plan_cuda(const Context&, const PagedPlan&) {
  throw_no_cuda("paged_plan");
}

void paged_attention_cuda(const Context&, const PagedAttention&) {
  throw_no_cuda("paged_attention");
}

}  // namespace headspark
