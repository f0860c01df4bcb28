// projections block of rows by block of rows: the norm's output is packed once for all layers that
// read it; backward, their gradients are summed in L2. Sums have the order of the products run one
// by one (linear_fast.cc), so the bits are the same.
#include "cpu/fast_ops.h"
#include "cpu/read_packed.h"
#include "cpu/row_block.h"

namespace headspark {
namespace {

using Direction = PackedWeights::Direction;

// A layer and how it is cut: depths and panels of one product.
struct Layer {
  LayerPanels panels;
  std::int64_t depth_step = 0;
  std::int64_t panel_step = 0;
};

// The products of a block in their order.
struct ProjectionWalk {
  const KernelTable& kernels;
  RowBlocks blocks;
  std::int64_t width;
  std::vector<Layer> layers = {};
  std::vector<PanelProduct> list = {};

  ProjectionWalk(const Context& context, std::int64_t tokens, const NormWeight& norm)
      : kernels(kernel_table(context)),
        blocks(cut_rows(kernels.gemm, tokens, context.threads->threads())),
        width(static_cast<std::int64_t>(norm.weight.size())) {}

  /// A layer whose sums run over `depth`. Its low-rank term begins.
  const Layer& add_layer(const LayerPanels& panels, std::int64_t depth) {
    const std::int64_t step = depth_block(kernels.gemm, depth);
    layers.push_back({panels, step, panels_of_product(*panels.main, std::min(step, depth))});
    for_ranges(depth, step, [&](const Range& part) { add_down(panels.low_rank, part, list); });
    return layers.back();
  }
};

class ProjectionBlock : protected RowBlock {
 public:
  ProjectionBlock(const ProjectionWalk& walk, std::int64_t tokens, std::int64_t index)
      : RowBlock(walk.kernels, walk.blocks, tokens, index),
        walk_(walk),
        products_(walk.kernels, walk.list, rows_) {}

 protected:
  const ProjectionWalk& walk_;
  BlockProducts products_;
};

// y_i = W_i norm(x): some panels of one layer at a time, over all of the width.
class ProjectionForwardBlock : ProjectionBlock {
 public:
  ProjectionForwardBlock(const ProjectionWalk& walk, const ProjectionsForward& p,
                         std::int64_t index)
      : ProjectionBlock(walk, p.tokens, index), p_(p) {}

  void run() {
    RowOperand input(kernels_.gemm, ScratchSlot::block_input, rows_, walk_.width);
    pack_normed(p_.norm, p_.x + first_ * walk_.width, walk_.width, input);
    for (std::size_t i = 0; i < p_.outputs.size(); ++i) {
      const Layer& layer = walk_.layers[i];
      LowRankRows low_rank(kernels_, layer.panels.low_rank, rows_, 0);
      low_rank.run(products_, input, walk_.width);
      for_ranges(p_.outputs[i].weight->out(), layer.panel_step * kPanelWidth,
                 [&](const Range& part) { project(i, part, input, low_rank); });
    }
  }

 private:
  void project(std::size_t layer, const Range& part, const RowOperand& input,
               const LowRankRows& low_rank) {
    const ProjectionsForward::Output& output = p_.outputs[layer];
    const std::int64_t stride = whole_panels(part.count()) * kPanelWidth;
    float* c = floats(ScratchSlot::block_first, stride);
    const float* bias = bias_of(*output.weight);
    if (bias != nullptr) fill_rows(c, stride, bias, part);
    const std::int64_t out = output.weight->out();
    float* y = output.y + first_ * out + part.begin;
    // The last products of whole panels write the result themselves.
    const bool direct = kernels_.gemm.writes_out && part.count() == stride &&
                        walk_.layers[layer].panels.low_rank.rank == 0;
    for_ranges(walk_.width, input.block(), [&](const Range& depth) {
      const bool last = direct && depth.end == walk_.width;
      products_.multiply(input.at(depth.begin), c, stride, bias != nullptr || depth.begin > 0,
                         last ? y : nullptr, out);
    });
    low_rank.multiply(products_, c, stride);
    if (!direct) copy_rows(c, stride, part.count(), y, out);
  }

  const ProjectionsForward& p_;
};

// d_x += norm_backward(x, sum of d_y_i W_i): layer by layer, all of the width at once.
class ProjectionBackwardBlock : ProjectionBlock {
 public:
  ProjectionBackwardBlock(const ProjectionWalk& walk, const ProjectionsBackward& p,
                          std::int64_t index)
      : ProjectionBlock(walk, p.tokens, index), p_(p) {}

  void run() {
    const std::int64_t stride = whole_panels(walk_.width) * kPanelWidth;
    float* d_normed = floats(ScratchSlot::block_out, stride);
    for (std::size_t i = 0; i < p_.inputs.size(); ++i) {
      const std::int64_t out = p_.inputs[i].weight->out();
      RowOperand d_y(kernels_.gemm, ScratchSlot::block_input, rows_, out);
      d_y.pack(0, rows_, p_.inputs[i].d_y + first_ * out, out);
      const Layer& layer = walk_.layers[i];
      LowRankRows low_rank(kernels_, layer.panels.low_rank, rows_, 0);
      low_rank.run(products_, d_y, out);
      const auto for_panels = [&](const auto& body) {
        for_ranges(whole_panels(walk_.width), layer.panel_step,
                   [&](const Range& panels) { body(d_normed + panels.begin * kPanelWidth); });
      };
      for_ranges(out, d_y.block(), [&](const Range& depth) {
        for_panels([&](float* c) {
          products_.multiply(d_y.at(depth.begin), c, stride, i > 0 || depth.begin > 0);
        });
      });
      for_panels([&](float* c) { low_rank.multiply(products_, c, stride); });
    }
    NormRow row = norm_row(*p_.norm);
    row.accumulate = true;
    for (std::int64_t r = 0; r < rows_; ++r) {
      row.x = p_.x + (first_ + r) * walk_.width;
      row.d_y = d_normed + r * stride;
      row.out = p_.d_x + (first_ + r) * walk_.width;
      kernels_.norm_backward(row);
    }
  }

 private:
  const ProjectionsBackward& p_;
};

}  // namespace

bool projections_forward_in_blocks(const Context& context, const ProjectionsForward& p) {
  if (!runs_in_blocks(context, p.tokens)) return false;
  ProjectionWalk walk(context, p.tokens, *p.norm);
  for (const auto& output : p.outputs) {
    const Layer& layer =
        walk.add_layer(layer_panels(context, *output.weight, Direction::forward), walk.width);
    for_ranges(whole_panels(output.weight->out()), layer.panel_step, [&](const Range& panels) {
      for_ranges(walk.width, layer.depth_step, [&](const Range& depth) {
        walk.list.push_back({layer.panels.main, panels, depth});
      });
      add_up(layer.panels.low_rank, walk.kernels.gemm, panels, walk.list);
    });
  }
  run_blocks<ProjectionForwardBlock>(context, walk.blocks, walk, p);
  return true;
}

bool projections_backward_in_blocks(const Context& context, const ProjectionsBackward& p) {
  if (!runs_in_blocks(context, p.tokens)) return false;
  ProjectionWalk walk(context, p.tokens, *p.norm);
  for (const auto& input : p.inputs) {
    const std::int64_t out = input.weight->out();
    const Layer& layer =
        walk.add_layer(layer_panels(context, *input.weight, Direction::transposed), out);
    const auto for_panels = [&](const auto& body) {
      for_ranges(whole_panels(walk.width), layer.panel_step, body);
    };
    for_ranges(out, layer.depth_step, [&](const Range& depth) {
      for_panels([&](const Range& panels) {
        walk.list.push_back({layer.panels.main, panels, depth});
      });
    });
    for_panels([&](const Range& panels) {
      add_up(layer.panels.low_rank, walk.kernels.gemm, panels, walk.list);
    });
  }
  run_blocks<ProjectionBackwardBlock>(context, walk.blocks, walk, p);
  return true;
}

}  // namespace headspark
