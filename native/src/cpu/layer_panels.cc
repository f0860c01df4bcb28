#include "cpu/layer_panels.h"

#include <utility>

namespace headspark {

LayerPanels layer_panels(const Context& context, const LinearWeight& weight,
                         PackedWeights::Direction direction) {
  const bool forward = direction == PackedWeights::Direction::forward;
  const auto packed = [&](PackedWeights& weights) {
    const GemmKernels& kernels = kernel_table(context).gemm;
    return forward ? &weights.forward(*context.threads, kernels)
                   : &weights.transposed(*context.threads, kernels);
  };
  LayerPanels panels{packed(*weight.packed), {}};
  if (const LowRank* low = low_rank_of(weight)) {
    panels.low_rank = {packed(*low->a.packed), packed(*low->b.packed), low->rank, low->scale};
    if (!forward) std::swap(panels.low_rank.down, panels.low_rank.up);
  }
  return panels;
}

}  // namespace headspark
