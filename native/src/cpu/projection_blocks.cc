// projections block of rows by block of rows: the norm's output is packed once for all layers that
// read it; backward, their gradients are summed in L2. Sums have the order of the products run one
// by one (linear_fast.cc), so the bits are the same.
#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "cpu/row_block.h"

namespace headspark {
namespace {

// y_i = W_i norm(x): some panels of one layer at a time, over all of the width.
class ForwardBlock : RowBlock {
 public:
  struct Walk {
    const KernelTable& kernels;
    RowBlocks blocks;
    std::int64_t width;
    std::int64_t depth;                // of one product
    std::vector<std::int64_t> panels;  // of one product, per layer
    std::vector<PanelProduct> list;
  };

  ForwardBlock(const Walk& walk, const ProjectionsForward& p, std::int64_t index)
      : RowBlock(walk.kernels, walk.blocks, p.tokens, index),
        walk_(walk),
        p_(p),
        products_(walk.kernels, walk.list, rows_) {}

  void run() {
    RowOperand input(kernels_.gemm, ScratchSlot::block_input, rows_, walk_.width);
    pack_normed(p_.norm, p_.x + first_ * walk_.width, walk_.width, input);
    for (std::size_t i = 0; i < p_.outputs.size(); ++i) {
      const std::int64_t columns = p_.outputs[i].weight->out();
      for_ranges(columns, walk_.panels[i] * kPanelWidth,
                 [&](const Range& part) { project(p_.outputs[i], part, input); });
    }
  }

 private:
  void project(const ProjectionsForward::Output& output, const Range& part,
               const RowOperand& input) {
    const std::int64_t stride = whole_panels(part.count()) * kPanelWidth;
    float* c = floats(ScratchSlot::block_first, stride);
    const float* bias = bias_of(*output.weight);
    if (bias != nullptr) fill_rows(c, stride, bias, part);
    for_ranges(walk_.width, walk_.depth, [&](const Range& depth) {
      products_.multiply(input.at(depth.begin), c, stride, bias != nullptr || depth.begin > 0);
    });
    const std::int64_t out = output.weight->out();
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::copy_n(c + r * stride, part.count(), output.y + (first_ + r) * out + part.begin);
    }
  }

  const Walk& walk_;
  const ProjectionsForward& p_;
  BlockProducts products_;
};

// d_x += norm_backward(x, sum of d_y_i W_i): layer by layer, all of the width at once.
class BackwardBlock : RowBlock {
 public:
  struct Walk {
    const KernelTable& kernels;
    RowBlocks blocks;
    std::int64_t width;
    std::vector<std::int64_t> depths;  // of one product, per layer
    std::vector<std::int64_t> panels;
    std::vector<PanelProduct> list;
  };

  BackwardBlock(const Walk& walk, const ProjectionsBackward& p, std::int64_t index)
      : RowBlock(walk.kernels, walk.blocks, p.tokens, index),
        walk_(walk),
        p_(p),
        products_(walk.kernels, walk.list, rows_) {}

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
  const Walk& walk_;
  const ProjectionsBackward& p_;
  BlockProducts products_;
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
  const KernelTable& kernels = kernel_table(context);
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  ForwardBlock::Walk walk{kernels, cut_rows(kernels.gemm, p.tokens, context.threads->threads()),
                          width,   depth_block(kernels.gemm, width),
                          {},      {}};
  for (const auto& output : p.outputs) {
    const PackedPanels& b = output.weight->packed->forward(*context.threads, kernels.gemm);
    walk.panels.push_back(panels_of_product(b, std::min(walk.depth, width)));
    for_ranges(whole_panels(output.weight->out()), walk.panels.back(), [&](const Range& panels) {
      for_ranges(width, walk.depth, [&](const Range& depth) {
        walk.list.push_back({&b, panels, depth});
      });
    });
  }
  run_blocks<ForwardBlock>(context, walk.blocks, walk, p);
  return true;
}

bool projections_backward_in_blocks(const Context& context, const ProjectionsBackward& p) {
  if (!pays(context, p.tokens, p.inputs)) return false;
  const KernelTable& kernels = kernel_table(context);
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  BackwardBlock::Walk walk{
      kernels, cut_rows(kernels.gemm, p.tokens, context.threads->threads()), width, {}, {}, {}};
  for (const auto& input : p.inputs) {
    const PackedPanels& b = input.weight->packed->transposed(*context.threads, kernels.gemm);
    const std::int64_t out = input.weight->out();
    walk.depths.push_back(depth_block(kernels.gemm, out));
    walk.panels.push_back(panels_of_product(b, std::min(walk.depths.back(), out)));
    for_ranges(out, walk.depths.back(), [&](const Range& depth) {
      for_ranges(whole_panels(width), walk.panels.back(), [&](const Range& panels) {
        walk.list.push_back({&b, panels, depth});
      });
    });
  }
  run_blocks<BackwardBlock>(context, walk.blocks, walk, p);
  return true;
}

}  // namespace headspark
