// Page pointers, layer after layer, row after row.
#include "engine/paged_batch.h"

#include "headspark/error.h"

namespace headspark {

PagedBatch::PagedBatch(const Engine& engine)
    : begin_(engine.context.backend), pages_(engine.context.backend) {}

void PagedBatch::set(const KvPagePool& pool, std::span<const KvSequence* const> rows,
                     const LayerRange& layers) {
  layers_ = layers;
  host_begin_.assign(1, 0);
  host_pages_.clear();
  for (const KvSequence* row : rows) {
    const auto count = static_cast<std::int32_t>(row->layer(layers.begin).size());
    host_begin_.push_back(host_begin_.back() + count);
  }
  pages_per_layer_ = host_begin_.back();
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
}

void PagedBatch::attend(const Engine& engine, const RowLayout& layout, std::int64_t layer_index,
                        const LayerTrace& layer, const HeadGate& gate) const {
  const ModelConfig& config = engine.config();
  const AttentionShape shape{config.heads, config.kv_heads, config.head_dim,
                             config.attention_scale};
  const PagedRows rows{layout, begin_.data(),
                       pages_.data() + (layer_index - layers_.begin) * pages_per_layer_};
  paged_attention(engine.context, {shape, rows, layer.q, gate, layer.z, layer.k, layer.v});
}

}  // namespace headspark
