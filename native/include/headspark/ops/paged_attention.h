// Causal attention over a paged key/value cache (PagedAttention, arXiv 2309.06180): a row's keys
// and values lie in pages of kKvPageTokens tokens that rows may share. The same op serves prefill
// and decode, and every sum is cut at fixed places of the sequence, so a token's z depends neither
// on how many tokens its row brings nor on the batch or the threads.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/dtype.h"
#include "headspark/head_gate.h"
#include "headspark/ops/attention.h"
#include "headspark/row_layout.h"

namespace headspark {

/// Tokens of one page: two AVX-512 registers of keys.
constexpr std::int64_t kKvPageTokens = 32;

/// How one page of one layer is laid out: per key/value head, the keys as [head_dim][32] (lanes run
/// over keys), then the values as [32][padded_dim]. Padding is zero.
struct KvPageLayout {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  DType type = DType::f32;  ///< of kv_page_type

  constexpr std::int64_t padded_dim() const { return (head_dim + 15) / 16 * 16; }
  /// Elements from one key/value head to the next; its values start at value_offset().
  constexpr std::int64_t head_stride() const { return kKvPageTokens * (head_dim + padded_dim()); }
  constexpr std::int64_t value_offset() const { return kKvPageTokens * head_dim; }
  /// Floats whose room a page takes.
  constexpr std::int64_t floats() const { return floats_for(kv_heads * head_stride(), type); }
};

/// What keys and values are in pages: bf16 where a device's attention multiplies them so, which is
/// in fast, else f32. Rounded when they are stored instead of when they are read, z has the same
/// bits.
DType kv_page_type(const Context& context);

/// The pages of a batch's rows in one layer. Position p of row b is token p % 32 of page
/// pages[page_begin[b] + p / 32]; pages past the row's last token may be missing. The padding
/// of their values is zero; what was never stored may be anything.
struct PagedRows {
  RowLayout layout;  ///< prefix_length is what was stored before; prefix_begin is not read
  const std::int32_t* page_begin = nullptr;  ///< [rows + 1]
  float* const* pages = nullptr;             ///< [page_begin[rows]] device pointers
  DType type = DType::f32;                   ///< kv_page_type; the specification reads either
};

/// Writes the keys and values of the batch's own tokens into their pages.
struct PagedStore {
  AttentionShape shape;
  PagedRows rows;
  const float* k = nullptr;  ///< [tokens, kv_heads, head_dim]
  const float* v = nullptr;  ///< [tokens, kv_heads, head_dim]
};

struct PagedAttention {
  AttentionShape shape;
  PagedRows rows;
  const float* q = nullptr;  ///< [tokens, heads, head_dim]
  HeadGate gate;
  /// [tokens, heads, head_dim], gated; every element is written but those before layout.first_query
  float* z = nullptr;
  /// [tokens, kv_heads, head_dim], stored first as paged_store does; both null: they are stored.
  const float* k = nullptr;
  const float* v = nullptr;
  /// The layer's part of what paged_plan made for the same shape and layout; null: none. It changes
  /// no bit.
  const std::int32_t* plan = nullptr;
};

/// Which rows of a decode step read the same pages, found for all layers of a pass at once: where
/// it gets no plan, the attention of each layer finds that out by itself. Layer i of them has its
/// pages at rows.pages + i * layer_step.
struct PagedPlan {
  AttentionShape shape;
  PagedRows rows;  ///< of the first layer
  std::int64_t layers = 0;
  std::int64_t layer_step = 0;
  std::int32_t* plan = nullptr;  ///< [layers, paged_plan_size]
};

/// Integers of a layer's plan; 0 where attention to such a batch reads none, as on the CPU. Reads
/// no array of the layout.
std::int64_t paged_plan_size(const Context& context, const AttentionShape& shape,
                             const RowLayout& layout);
/// Writes nothing where that is 0.
void paged_plan(const Context& context, const PagedPlan& params);

void paged_store(const Context& context, const PagedStore& params);
void paged_attention(const Context& context, const PagedAttention& params);

}  // namespace headspark
