// Per-thread workspaces of the CPU drivers: they grow to the largest use and are then reused, so a
// warm engine allocates nothing. A slot's contents are lost when it grows.
#pragma once

#include <cstdint>

namespace headspark {

/// One slot per live array of a driver; drivers that nest use different slots.
enum class ScratchSlot {
  gemm_a,
  gemm_shared_a,
  gemm_b,
  gemm_b_terms,
  gemm_c,
  low_rank,
  key_panels,
  value_panels,
  key_terms,
  value_terms,
  key_column_terms,
  query_packed,
  grad_packed,
  query_column_terms,
  grad_column_terms,
  packed_rows,
  head_sums,
  head_multiples,
  head_constants,
  key_columns,
  query_rows,
  query_columns,
  grad_rows,
  grad_columns,
  scores,
  d_scores,
  scores_transposed,
  d_scores_transposed,
  output,
  d_output,
  d_key,
  d_value,
  paged_queries,
  paged_scores,
  paged_partials,
  contraction,
  contraction_terms,
  contraction_rows,
  contraction_sums,
  contraction_partials,
  edge_differences,
  block_input,
  block_rows,
  block_first,
  block_second,
  block_inner,
  block_second_inner,
  block_out,
  block_second_out,
  block_low_rank,
  block_second_low_rank,
  block_third_low_rank,
  block_low_rank_packed,
  block_second_low_rank_packed,
  block_third_low_rank_packed,
  count,
};

/// At least `count` floats, 64-byte aligned, of this thread. Error(OUT_OF_MEMORY).
float* scratch(ScratchSlot slot, std::int64_t count);

}  // namespace headspark
