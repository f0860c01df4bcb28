// mlp block of rows by block of rows: a block's activations stay in L2 from the norm to the sum.
// The intermediate width is walked in slabs, the blocks of depth of the products over it: a slab's
// columns of gate and up, the nonlinearity, then what the slab adds to the output. Sums have the
// order of the products run one by one (linear_fast.cc), so the bits are the same.
#include <cstdlib>

#include "cpu/fast_ops.h"
#include "cpu/read_packed.h"
#include "cpu/row_block.h"

namespace headspark {
namespace {

using Direction = PackedWeights::Direction;

// Rows of the trace that are asked for ahead of the one at work.
constexpr std::int64_t kRowsAhead = 6;
// The products of a block in their order, and the shapes that both directions share. `into` are
// products over the hidden axis whose columns are the slab's, `from` those over the slab.
struct MlpWalk {
  const KernelTable& kernels;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::vector<LayerPanels> into;
  std::vector<LayerPanels> from;
  std::int64_t hidden_block = 0;
  std::int64_t slab = 0;
  std::int64_t chunk = 0;       // columns of one product over the hidden axis
  std::int64_t out_panels = 0;  // panels of one product over a slab
  RowBlocks blocks;
  std::vector<PanelProduct> list;

  MlpWalk(const Context& context, const MlpWeights& weights, std::int64_t tokens,
          std::vector<LayerPanels> layers_into, std::vector<LayerPanels> layers_from)
      : kernels(kernel_table(context)),
        hidden(weights.up->in()),
        intermediate(weights.up->out()),
        into(std::move(layers_into)),
        from(std::move(layers_from)),
        hidden_block(depth_block(kernels.gemm, hidden)),
        slab(depth_block(kernels.gemm, intermediate)),
        chunk(chunk_columns()),
        out_panels(panels_of_product(*from.front().main, std::min(slab, intermediate))),
        blocks(cut_rows(kernels.gemm, tokens, context.threads->threads())) {
    list_products();
  }

  std::int64_t out_stride() const { return whole_panels(hidden) * kPanelWidth; }

  template <typename Body>
  void for_slabs(const Body& body) const {
    for_ranges(intermediate, slab, body);
  }
  // The columns of a slab, each part the columns of one product.
  template <typename Body>
  void for_chunks(const Range& columns, const Body& body) const {
    for_ranges(columns.count(), chunk, [&](const Range& part) {
      body(Range{columns.begin + part.begin, columns.begin + part.end});
    });
  }
  // The panels of the output, each part those of one product.
  template <typename Body>
  void for_out_panels(const Body& body) const {
    for_ranges(whole_panels(hidden), out_panels, body);
  }

 private:
  // A level that packs whole blocks of depth needs all columns of a slab at once.
  std::int64_t chunk_columns() const {
    const std::int64_t most = whole_panels(std::min(slab, intermediate));
    const std::int64_t panels =
        panels_of_product(*into.front().main, std::min(hidden_block, hidden));
    return kPanelWidth * (kernels.gemm.whole_depths ? most : std::min(panels, most));
  }

  void list_products() {
    const auto for_depths = [&](const auto& body) { for_ranges(hidden, hidden_block, body); };
    for (const LayerPanels& b : into) {
      for_depths([&](const Range& depth) { add_down(b.low_rank, depth, list); });
    }
    for_slabs([&](const Range& columns) {
      for_chunks(columns, [&](const Range& part) {
        const Range panels{part.begin / kPanelWidth, whole_panels(part.end)};
        for (const LayerPanels& b : into) {
          for_depths([&](const Range& depth) { list.push_back({b.main, panels, depth}); });
          add_up(b.low_rank, kernels.gemm, panels, list);
        }
      });
      for (const LayerPanels& b : from) {
        for_out_panels([&](const Range& panels) { list.push_back({b.main, panels, columns}); });
        add_down(b.low_rank, columns, list);
      }
    });
    for (const LayerPanels& b : from) {
      for_out_panels([&](const Range& panels) { add_up(b.low_rank, kernels.gemm, panels, list); });
    }
  }
};

class MlpBlock : protected RowBlock {
 public:
  MlpBlock(const MlpWalk& walk, std::int64_t tokens, std::int64_t index)
      : RowBlock(walk.kernels, walk.blocks, tokens, index),
        walk_(walk),
        input_(walk.kernels.gemm, ScratchSlot::block_input, rows_, walk.hidden),
        products_(walk.kernels, walk.list, rows_) {
    int term = 0;
    for (const auto& [layers, low_rank] :
         {std::pair(&walk.into, &low_rank_into_), std::pair(&walk.from, &low_rank_from_)}) {
      for (const LayerPanels& layer : *layers) {
        low_rank->emplace_back(walk.kernels, layer.low_rank, rows_, term++);
      }
    }
  }

 protected:
  // The low-rank terms of the layers over the hidden axis, once all of the input is packed.
  void begin_low_rank() {
    for (LowRankRows& term : low_rank_into_) term.run(products_, input_, walk_.hidden);
  }

  // c = bias + input times the next columns of a layer, over all of the hidden axis.
  void multiply_into(std::size_t layer, float* c, const float* bias, const Range& columns) {
    if (bias != nullptr) fill_rows(c, walk_.chunk, bias, columns);
    for_ranges(walk_.hidden, walk_.hidden_block, [&](const Range& depth) {
      products_.multiply(input_.at(depth.begin), c, walk_.chunk,
                         bias != nullptr || depth.begin > 0);
    });
    low_rank_into_[layer].multiply(products_, c, walk_.chunk);
  }

  // out += the slab that begins at `column`, times a layer; y, where given, becomes that sum
  // instead.
  void multiply_from(std::size_t layer, const RowOperand& slab, std::int64_t column, float* out,
                     bool begun, float* y = nullptr) {
    walk_.for_out_panels([&](const Range& panels) {
      const std::int64_t first = panels.begin * kPanelWidth;
      products_.multiply(slab.at(0), out + first, walk_.out_stride(), begun || column > 0,
                         y != nullptr ? y + first : nullptr, walk_.hidden);
    });
    low_rank_from_[layer].add(products_, slab.at(0), column > 0);
  }

  // out += the low-rank term of a layer over the slabs, after the last of them.
  void finish_low_rank(std::size_t layer, float* out) {
    LowRankRows& term = low_rank_from_[layer];
    term.pack();
    walk_.for_out_panels([&](const Range& panels) {
      term.multiply(products_, out + panels.begin * kPanelWidth, walk_.out_stride());
    });
  }

  const MlpWalk& walk_;
  RowOperand input_;
  BlockProducts products_;
  std::vector<LowRankRows> low_rank_into_;  // as walk_.into
  std::vector<LowRankRows> low_rank_from_;
};

class MlpForwardBlock : MlpBlock {
 public:
  MlpForwardBlock(const MlpWalk& walk, const MlpForward& p, std::int64_t index)
      : MlpBlock(walk, p.tokens, index), p_(p), gated_(p.weights.gate != nullptr) {}

  void run() {
    pack_normed(p_.weights.norm, p_.x + first_ * walk_.hidden, walk_.hidden, input_);
    begin_low_rank();
    float* out = floats(ScratchSlot::block_out, walk_.out_stride());
    const bool begun = begin_out(out);
    // The last products of whole panels write y themselves.
    const bool direct = kernels_.gemm.writes_out && p_.out == nullptr &&
                        walk_.hidden == walk_.out_stride() && walk_.from.front().low_rank.rank == 0;
    float* gate = floats(ScratchSlot::block_first, walk_.chunk);
    float* up = gated_ ? floats(ScratchSlot::block_second, walk_.chunk) : nullptr;
    walk_.for_slabs([&](const Range& slab) {
      RowOperand hidden(kernels_.gemm, ScratchSlot::block_inner, rows_, slab.count());
      walk_.for_chunks(slab, [&](const Range& part) {
        // Layers as in mlp_forward_in_blocks.
        if (gated_) multiply_into(0, up, bias_of(*p_.weights.up), part);
        multiply_into(gated_ ? 1 : 0, gate, bias_of(gated_ ? *p_.weights.gate : *p_.weights.up),
                      part);
        if (p_.keep_inputs) keep(gate, up, part);
        activate(gate, up, {part.begin - slab.begin, part.end - slab.begin}, hidden);
      });
      const bool last = direct && slab.end == walk_.intermediate;
      multiply_from(0, hidden, slab.begin, out, begun,
                    last ? p_.y + first_ * walk_.hidden : nullptr);
    });
    if (direct) return;
    finish_low_rank(0, out);
    finish(out);
  }

 private:
  // What products are added to; false where they begin from nothing.
  bool begin_out(float* out) const {
    const float* bias = bias_of(*p_.weights.down);
    if (p_.out != nullptr || p_.residual == nullptr) {
      if (bias != nullptr) fill_rows(out, walk_.out_stride(), bias, {0, walk_.hidden});
      return bias != nullptr;
    }
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* residual = p_.residual + (first_ + r) * walk_.hidden;
      float* row = out + r * walk_.out_stride();
      for (std::int64_t j = 0; j < walk_.hidden; ++j) {
        row[j] = bias != nullptr ? residual[j] + bias[j] : residual[j];
      }
      std::fill(row + walk_.hidden, row + walk_.out_stride(), 0.0f);
    }
    return true;
  }

  void keep(const float* gate, const float* up, const Range& part) const {
    const std::int64_t at = first_ * walk_.intermediate + part.begin;
    const auto copy = [&](const float* from, float* to) {
      kernels_.copy_out({from, walk_.chunk, to + at, walk_.intermediate, rows_, part.count()});
    };
    copy(gate, p_.gate);
    if (gated_) copy(up, p_.up);
  }

  void activate(float* gate, const float* up, const Range& depths, RowOperand& hidden) const {
    const auto forward = kernels_.activations[static_cast<int>(p_.weights.activation)].forward;
    for_row_tiles([&](const Range& tile) {
      for (std::int64_t r = tile.begin; r < tile.end; ++r) {
        ActivationRange range;
        range.gate = gate + r * walk_.chunk;
        range.up = gated_ ? up + r * walk_.chunk : nullptr;
        range.out = gate + r * walk_.chunk;
        range.count = depths.count();
        forward(range);
      }
      hidden.pack_range(tile.begin, tile.count(), depths, gate + tile.begin * walk_.chunk,
                        walk_.chunk);
    });
  }

  void finish(const float* out) const {
    const std::int64_t stride = walk_.out_stride();
    float* const y = p_.y + first_ * walk_.hidden;
    if (p_.out == nullptr) return copy_rows(out, stride, walk_.hidden, y, walk_.hidden);
    // Not read again soon, unlike y.
    kernels_.copy_out(
        {out, stride, p_.out + first_ * walk_.hidden, walk_.hidden, rows_, walk_.hidden});
    const float* residual = p_.residual + first_ * walk_.hidden;
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t j = 0; j < walk_.hidden; ++j) {
        y[r * walk_.hidden + j] = residual[r * walk_.hidden + j] + out[r * stride + j];
      }
    }
  }

  const MlpForward& p_;
  bool gated_;
};

class MlpBackwardBlock : MlpBlock {
 public:
  MlpBackwardBlock(const MlpWalk& walk, const MlpBackward& p, std::int64_t index)
      : MlpBlock(walk, p.tokens, index), p_(p), gated_(p.weights.gate != nullptr) {}

  void run() {
    input_.pack(0, rows_, p_.d_y + first_ * walk_.hidden, walk_.hidden);
    begin_low_rank();
    float* d_normed = floats(ScratchSlot::block_out, walk_.out_stride());
    float* d_normed_up =
        gated_ ? floats(ScratchSlot::block_second_out, walk_.out_stride()) : nullptr;
    float* d_hidden = floats(ScratchSlot::block_first, walk_.chunk);
    float* d_up = gated_ ? floats(ScratchSlot::block_second, walk_.chunk) : nullptr;
    const GemmKernels& gemm = kernels_.gemm;
    walk_.for_slabs([&](const Range& slab) {
      RowOperand first(gemm, ScratchSlot::block_inner, rows_, slab.count());
      RowOperand second(gemm, ScratchSlot::block_second_inner, gated_ ? rows_ : 0, slab.count());
      walk_.for_chunks(slab, [&](const Range& part) {
        multiply_into(0, d_hidden, nullptr, part);
        activate(d_hidden, d_up, part);
        const Range depths{part.begin - slab.begin, part.end - slab.begin};
        pack(first, d_hidden, depths);
        if (gated_) pack(second, d_up, depths);
      });
      multiply_from(0, first, slab.begin, d_normed, false);
      if (gated_) multiply_from(1, second, slab.begin, d_normed_up, false);
    });
    finish_low_rank(0, d_normed);
    if (gated_) finish_low_rank(1, d_normed_up);
    finish(d_normed, d_normed_up);
  }

 private:
  void activate(float* d_hidden, float* d_up, const Range& part) const {
    const auto backward = kernels_.activations[static_cast<int>(p_.weights.activation)].backward;
    for (std::int64_t r = 0; r < rows_; ++r) {
      const std::int64_t at = (first_ + r) * walk_.intermediate + part.begin;
      fetch_inputs(at + kRowsAhead * walk_.intermediate, part.count());
      ActivationRange range;
      range.gate = p_.gate + at;
      range.up = gated_ ? p_.up + at : nullptr;
      range.d_y = d_hidden + r * walk_.chunk;
      range.out = d_hidden + r * walk_.chunk;
      range.d_up = gated_ ? d_up + r * walk_.chunk : nullptr;
      range.count = part.count();
      backward(range);
    }
  }

  // Rows of the forward's gate and up lie far apart in memory: no pattern that is fetched by
  // itself. Addresses past the last row are only asked for.
  void fetch_inputs(std::int64_t at, std::int64_t count) const {
    for (std::int64_t j = 0; j < count; j += 16) {
      __builtin_prefetch(p_.gate + at + j);
      if (gated_) __builtin_prefetch(p_.up + at + j);
    }
  }

  void pack(RowOperand& operand, const float* rows, const Range& depths) const {
    for_row_tiles([&](const Range& tile) {
      operand.pack_range(tile.begin, tile.count(), depths, rows + tile.begin * walk_.chunk,
                         walk_.chunk);
    });
  }

  void finish(float* d_normed, const float* d_normed_up) const {
    const std::int64_t width = walk_.hidden;
    NormRow row = norm_row(*p_.weights.norm);
    for (std::int64_t r = 0; r < rows_; ++r) {
      float* d = d_normed + r * walk_.out_stride();
      if (gated_) {
        kernels_.combine(1.0f, d_normed_up + r * walk_.out_stride(), 1.0f, d, width);
      }
      const std::int64_t at = (first_ + r) * width;
      row.x = p_.x + at;
      row.d_y = d;
      row.out = p_.d_x + at;
      kernels_.norm_backward(row);
      kernels_.combine(1.0f, p_.d_x + at, 1.0f, p_.d_residual + at, width);
    }
  }

  const MlpBackward& p_;
  bool gated_;
};

}  // namespace

bool mlp_forward_in_blocks(const Context& context, const MlpForward& p) {
  if (!runs_in_blocks(context, p.tokens)) return false;
  const MlpWeights& w = p.weights;
  // In the order in which a chunk multiplies them: up, then gate.
  std::vector<LayerPanels> into{layer_panels(context, *w.up, Direction::forward)};
  if (w.gate != nullptr) into.push_back(layer_panels(context, *w.gate, Direction::forward));
  const MlpWalk walk(context, w, p.tokens, std::move(into),
                     {layer_panels(context, *w.down, Direction::forward)});
  run_blocks<MlpForwardBlock>(context, walk.blocks, walk, p);
  return true;
}

bool mlp_backward_in_blocks(const Context& context, const MlpBackward& p) {
  if (!runs_in_blocks(context, p.tokens)) return false;
  const MlpWeights& w = p.weights;
  std::vector<LayerPanels> from;
  if (w.gate != nullptr) from.push_back(layer_panels(context, *w.gate, Direction::transposed));
  from.push_back(layer_panels(context, *w.up, Direction::transposed));
  const MlpWalk walk(context, w, p.tokens, {layer_panels(context, *w.down, Direction::transposed)},
                     std::move(from));
  run_blocks<MlpBackwardBlock>(context, walk.blocks, walk, p);
  return true;
}

}  // namespace headspark
