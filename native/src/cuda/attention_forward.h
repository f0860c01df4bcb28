// Fused causal attention forward on tensor cores (arXiv 2307.08691): used by attention and, with
// keys and values in pages (paged_forward.cu), by paged_attention.
#pragma once

#include "cuda/attention_tiles.h"
#include "cuda/op_device.h"

namespace headspark::cuda {

/// Where keys and values lie: own tokens and a store of prefixes.
struct KeyStore {
  const float* k;
  const float* v;
  const float* prefix_k;
  const float* prefix_v;
};

struct ForwardAttention {
  AttentionShape shape;
  RowLayout layout;
  const float* q = nullptr;
  KeyStore store = {};
  const std::int32_t* page_begin = nullptr;  ///< these two over pages
  float* const* pages = nullptr;
  HeadGate gate;
  float* z = nullptr;
  float* raw = nullptr;  ///< these two not over pages
  float* lse = nullptr;
  bool four = false;       ///< rows of q, keys and values are aligned
  bool two = false;        ///< rows of z and raw are, to two floats; these three are made here
  TermStore k_terms = {};  ///< these two are made here, for what is not in pages
  TermStore v_terms = {};
  std::int32_t shortest = 0;  ///< rows with fewer own tokens are left to others
};

/// Over contiguous keys and values.
void attention_forward_kernels(OpDevice& device, Precision precision,
                               const ForwardAttention& params);
/// Over pages, as prefill does.
void paged_forward_kernels(OpDevice& device, Precision precision, const ForwardAttention& params);

}  // namespace headspark::cuda
