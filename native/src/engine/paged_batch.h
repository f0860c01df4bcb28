// The pages of a batch's rows on the device, for the attention of each layer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/batch.h"
#include "engine/growing_buffer.h"
#include "engine/kv_pages.h"
#include "engine/trace.h"
#include "headspark/head_gate.h"

namespace headspark {

/// Reused from step to step.
class PagedBatch {
 public:
  explicit PagedBatch(const Engine& engine);

  /// One sequence per row of the batch, whose own tokens have writable pages in `layers`; rows have
  /// equally many pages in each of them.
  void set(const KvPagePool& pool, std::span<const KvSequence* const> rows,
           const LayerRange& layers);

  /// Stores the own tokens' keys and values of the layer, then attends: layer.z is written.
  void attend(const Engine& engine, const RowLayout& layout, std::int64_t layer_index,
              const LayerTrace& layer, const HeadGate& gate) const;

 private:
  LayerRange layers_;
  std::int64_t pages_per_layer_ = 0;
  std::vector<std::int32_t> host_begin_;
  std::vector<float*> host_pages_;
  GrowingBuffer<std::int32_t> begin_;
  GrowingBuffer<float*> pages_;
};

}  // namespace headspark
