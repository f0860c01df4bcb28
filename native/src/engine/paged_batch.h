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

  /// How a table of fixed size is laid out: places for `rows` rows of `pages` pages in each layer.
  struct Places {
    std::int64_t rows = 0;
    std::int64_t pages = 0;
    bool operator==(const Places&) const = default;
  };
  /// The same for all layers in such a table, which stays where it is while its size does: row i is
  /// at place i. Only rows whose pages have changed since the last call go to the device. Places
  /// without a row are not to be read. For devices: the CPU reads lists without gaps.
  void set_places(const KvPagePool& pool, std::span<const KvSequence* const> rows,
                  const Places& places);
  /// After either of these: a pass over them begins with a plan of its layers (see paged_plan),
  /// which is made in `memory`. For decode steps; `layout` is that of the pass.
  void plan_in(GrowingBuffer<std::int32_t>& memory, const Engine& engine, const RowLayout& layout);
  /// What plan() and attend() depend on.
  void add_to(RepeatKey& key) const {
    key.add(begin_.data()).add(pages_.data()).add(layer_step_).add(plan_);
  }
  /// Page pointers copied to the device since the start.
  std::int64_t uploaded() const { return uploaded_; }

  /// The plan of all layers, where there is to be one: the first step of a pass.
  void plan(const Engine& engine, const RowLayout& layout) const;
  /// Stores the own tokens' keys and values of the layer, then attends: layer.z is written.
  void attend(const Engine& engine, const RowLayout& layout, std::int64_t layer_index,
              const LayerTrace& layer, const HeadGate& gate) const;

 private:
  PagedRows rows_of(const Engine& engine, const RowLayout& layout, std::int64_t layer) const;
  void layout_places(const Places& places);
  void upload_places(const std::vector<std::int64_t>& changed);

  LayerRange layers_;
  std::int64_t layer_step_ = 0;   // page pointers from a row's pages of one layer to the next
  std::int32_t* plan_ = nullptr;  // null: none
  std::int64_t plan_size_ = 0;    // of a layer
  std::int64_t all_layers_;
  std::int64_t uploaded_ = 0;
  Places places_;
  std::vector<std::uint64_t> versions_;  // of the sequence at each place
  std::vector<std::int32_t> host_begin_;
  std::vector<float*> host_pages_;
  GrowingBuffer<std::int32_t> begin_;
  GrowingBuffer<float*> pages_;
};

}  // namespace headspark
