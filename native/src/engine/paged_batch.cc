// Page pointers, layer after layer, row after row; at fixed places row after row, so that what
// changes of a row is one copy.
#include "engine/paged_batch.h"

#include <algorithm>

#include "engine/forward.h"
#include "headspark/error.h"

namespace headspark {
namespace {

/// As a plan of all layers reads it, whatever windows they have.
AttentionShape whole_shape(const Engine& engine) {
  AttentionShape shape = attention_shape(engine.config(), 0);
  shape.window = 0;
  return shape;
}

}  // namespace

PagedBatch::PagedBatch(const Engine& engine)
    : all_layers_(engine.config().layers),
      begin_(engine.context.backend),
      pages_(engine.context.backend) {}

void PagedBatch::set(const KvPagePool& pool, std::span<const KvSequence* const> rows,
                     const LayerRange& layers) {
  layers_ = layers;
  plan_ = nullptr;
  places_ = {};
  host_begin_.assign(1, 0);
  host_pages_.clear();
  for (const KvSequence* row : rows) {
    const auto count = static_cast<std::int32_t>(row->layer(layers.begin).size());
    host_begin_.push_back(host_begin_.back() + count);
  }
  layer_step_ = host_begin_.back();
  for (std::int64_t layer = layers.begin; layer < layers.end; ++layer) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const auto& pages = rows[row]->layer(layer);
      if (static_cast<std::int32_t>(pages.size()) != host_begin_[row + 1] - host_begin_[row]) {
        throw Error(ErrorCode::INTERNAL, "A sequence has unequally many pages in its layers.");
      }
      for (const KvPagePool::Page page : pages) host_pages_.push_back(pool.data(page));
    }
  }
  begin_.assign(host_begin_);
  pages_.assign(host_pages_);
  uploaded_ += static_cast<std::int64_t>(host_pages_.size());
}

void PagedBatch::layout_places(const Places& places) {
  if (places == places_) return;
  places_ = places;
  layers_ = {0, all_layers_};
  layer_step_ = places.pages;
  const std::int64_t row_pages = all_layers_ * places.pages;
  host_begin_.clear();
  for (std::int64_t row = 0; row <= places.rows; ++row) {
    host_begin_.push_back(static_cast<std::int32_t>(row * row_pages));
  }
  begin_.assign(host_begin_);
  host_pages_.assign(static_cast<std::size_t>(places.rows * row_pages), nullptr);
  pages_.reserve(places.rows * row_pages);
  versions_.assign(static_cast<std::size_t>(places.rows), 0);  // no sequence's
}

void PagedBatch::set_places(const KvPagePool& pool, std::span<const KvSequence* const> rows,
                            const Places& places) {
  layout_places(places);
  plan_ = nullptr;
  const std::int64_t row_pages = all_layers_ * places.pages;
  std::vector<std::int64_t> changed;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (versions_[row] == rows[row]->version()) continue;
    versions_[row] = rows[row]->version();
    const auto place = static_cast<std::int64_t>(row);
    changed.push_back(place);
    for (std::int64_t layer = 0; layer < all_layers_; ++layer) {
      const auto& pages = rows[row]->layer(layer);
      if (static_cast<std::int64_t>(pages.size()) > places.pages) {
        throw Error(ErrorCode::INTERNAL, "A sequence has more pages than its place has room for.");
      }
      const auto begin = host_pages_.begin() + place * row_pages + layer * places.pages;
      const auto end = std::transform(pages.begin(), pages.end(), begin,
                                      [&](KvPagePool::Page page) { return pool.data(page); });
      std::fill(end, begin + places.pages, nullptr);
    }
  }
  upload_places(changed);
}

// Neighbours in one copy; all of the table where most of it has changed.
void PagedBatch::upload_places(const std::vector<std::int64_t>& changed) {
  const std::int64_t row_pages = all_layers_ * places_.pages;
  const std::span<float* const> all(host_pages_);
  const auto upload = [&](std::int64_t first, std::int64_t count) {
    pages_.write(first * row_pages, all.subspan(static_cast<std::size_t>(first * row_pages),
                                                static_cast<std::size_t>(count * row_pages)));
    uploaded_ += count * row_pages;
  };
  if (2 * static_cast<std::int64_t>(changed.size()) > places_.rows) {
    upload(0, places_.rows);
    return;
  }
  for (std::size_t i = 0; i < changed.size();) {
    std::size_t next = i + 1;
    while (next < changed.size() && changed[next] == changed[next - 1] + 1) ++next;
    upload(changed[i], static_cast<std::int64_t>(next - i));
    i = next;
  }
}

void PagedBatch::plan_in(GrowingBuffer<std::int32_t>& memory, const Engine& engine,
                         const RowLayout& layout) {
  plan_size_ = paged_plan_size(engine.context, whole_shape(engine), layout);
  plan_ = plan_size_ > 0 ? memory.reserve((layers_.end - layers_.begin) * plan_size_) : nullptr;
}

PagedRows PagedBatch::rows_of(const Engine& engine, const RowLayout& layout,
                              std::int64_t layer) const {
  return {layout, begin_.data(), pages_.data() + (layer - layers_.begin) * layer_step_,
          kv_page_type(engine.context)};
}

void PagedBatch::plan(const Engine& engine, const RowLayout& layout) const {
  if (plan_ == nullptr) return;
  paged_plan(engine.context, {whole_shape(engine), rows_of(engine, layout, layers_.begin),
                              layers_.end - layers_.begin, layer_step_, plan_});
}

void PagedBatch::attend(const Engine& engine, const RowLayout& layout, std::int64_t layer_index,
                        const LayerTrace& layer, const HeadGate& gate) const {
  PagedAttention params{attention_shape(engine.config(), layer_index),
                        rows_of(engine, layout, layer_index),
                        layer.q,
                        gate,
                        layer.z,
                        layer.k,
                        layer.v};
  if (plan_ != nullptr) params.plan = plan_ + (layer_index - layers_.begin) * plan_size_;
  paged_attention(engine.context, params);
}

}  // namespace headspark
