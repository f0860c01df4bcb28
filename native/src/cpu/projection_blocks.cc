// projections block of rows by block of rows: the norm's output is packed once for all layers that
// read it; backward, their gradients are summed in L2. Sums have the order of the products run one
// by one (linear_fast.cc), so the bits are the same.
#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "cpu/row_block.h"

namespace headspark {
namespace {

// The products of a block in their order; per layer, the depths and panels of one product.
struct Walk {
  const KernelTable& kernels;
  RowBlocks blocks;
  std::int64_t width;
  std::vector<std::int64_t> depths = {};
  std::vector<std::int64_t> panels = {};
  std::vector<PanelProduct> list = {};

  Walk(const Context& context, std::int64_t tokens, const NormWeight& norm)
      : kernels(kernel_table(context)),
        blocks(cut_rows(kernels.gemm, tokens, context.threads->threads())),
        width(static_cast<std::int64_t>(norm.weight.size())) {}

  /// A layer whose sums run over `depth`.
  void add_layer(const PackedPanels& b, std::int64_t depth) {
    depths.push_back(depth_block(kernels.gemm, depth));
    panels.push_back(panels_of_product(b, std::min(depths.back(), depth)));
  }
};

class Block : protected RowBlock {
 public:
  Block(const Walk& walk, std::int64_t tokens, std::int64_t index)
      : RowBlock(walk.kernels, walk.blocks, tokens, index),
        walk_(walk),
        products_(walk.kernels, walk.list, rows_) {}

 protected:
  const Walk& walk_;
  BlockProducts products_;
};

// y_i = W_i norm(x): some panels of one layer at a time, over all of the width.
class ForwardBlock : Block {
 public:
  ForwardBlock(const Walk& walk, const ProjectionsForward& p, std::int64_t index)
      : Block(walk, p.tokens, index), p_(p) {}

  void run() {
    RowOperand input(kernels_.gemm, ScratchSlot::block_input, rows_, walk_.width);
    pack_normed(p_.norm, p_.x + first_ * walk_.width, walk_.width, input);
    for (std::size_t i = 0; i < p_.outputs.size(); ++i) {
      const std::int64_t columns = p_.outputs[i].weight->out();
      for_ranges(columns, walk_.panels[i] * kPanelWidth,
                 [&](const Range& part) { project(i, part, input); });
    }
  }

 private:
  void project(std::size_t layer, const Range& part, const RowOperand& input) {
    const ProjectionsForward::Output& output = p_.outputs[layer];
    const std::int64_t stride = whole_panels(part.count()) * kPanelWidth;
    float* c = floats(ScratchSlot::block_first, stride);
    const float* bias = bias_of(*output.weight);
    if (bias != nullptr) fill_rows(c, stride, bias, part);
    for_ranges(walk_.width, walk_.depths[layer], [&](const Range& depth) {
      products_.multiply(input.at(depth.begin), c, stride, bias != nullptr || depth.begin > 0);
    });
    const std::int64_t out = output.weight->out();
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::copy_n(c + r * stride, part.count(), output.y + (first_ + r) * out + part.begin);
    }
  }

  const ProjectionsForward& p_;
};

// d_x += norm_backward(x, sum of d_y_i W_i): layer by layer, all of the width at once.
class BackwardBlock : Block {
 public:
  BackwardBlock(const Walk& walk, const ProjectionsBackward& p, std::int64_t index)
      : Block(walk, p.tokens, index), p_(p) {}

  void run() {
    const std::int64_t stride = whole_panels(walk_.width) * kPanelWidth;
    float* d_normed = floats(ScratchSlot::block_out, stride);
    for (std::size_t i = 0; i < p_.inputs.size(); ++i) {
      const std::int64_t out = p_.inputs[i].weight->out();
      RowOperand d_y(kernels_.gemm, ScratchSlot::block_input, rows_, out);
      d_y.pack(0, rows_, p_.inputs[i].d_y + first_ * out, out);
      for_ranges(out, walk_.depths[i], [&](const Range& depth) {
        for_ranges(whole_panels(walk_.width), walk_.panels[i], [&](const Range& panels) {
          products_.multiply(d_y.at(depth.begin), d_normed + panels.begin * kPanelWidth, stride,
                             i > 0 || depth.begin > 0);
        });
      });
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

template <typename Layers>
bool pays(const Context& context, std::int64_t tokens, const Layers& layers) {
  return std::all_of(layers.begin(), layers.end(), [&](const auto& layer) {
    return runs_in_blocks(context, tokens, {layer.weight});
  });
}

}  // namespace

bool projections_forward_in_blocks(const Context& context, const ProjectionsForward& p) {
  if (!pays(context, p.tokens, p.outputs)) return false;
  Walk walk(context, p.tokens, *p.norm);
  for (const auto& output : p.outputs) {
    const PackedPanels& b = output.weight->packed->forward(*context.threads, walk.kernels.gemm);
    walk.add_layer(b, walk.width);
    for_ranges(whole_panels(output.weight->out()), walk.panels.back(), [&](const Range& panels) {
      for_ranges(walk.width, walk.depths.back(), [&](const Range& depth) {
        walk.list.push_back({&b, panels, depth});
      });
    });
  }
  run_blocks<ForwardBlock>(context, walk.blocks, walk, p);
  return true;
}

bool projections_backward_in_blocks(const Context& context, const ProjectionsBackward& p) {
  if (!pays(context, p.tokens, p.inputs)) return false;
  Walk walk(context, p.tokens, *p.norm);
  for (const auto& input : p.inputs) {
    const PackedPanels& b = input.weight->packed->transposed(*context.threads, walk.kernels.gemm);
    walk.add_layer(b, input.weight->out());
    for_ranges(input.weight->out(), walk.depths.back(), [&](const Range& depth) {
      for_ranges(whole_panels(walk.width), walk.panels.back(), [&](const Range& panels) {
        walk.list.push_back({&b, panels, depth});
      });
    });
  }
  run_blocks<BackwardBlock>(context, walk.blocks, walk, p);
  return true;
}

}  // namespace headspark
