// The layers that read one norm, on the GPU: the norm leaves as the terms of all their products.
// The bits are those of the steps of projections.cc.
#include <vector>

#include "cuda/layer_product.h"
#include "cuda/norm_products.h"
#include "ops/backends.h"

namespace headspark {

using namespace cuda;

void projections_forward_cuda(const Context& context, const ProjectionsForward& p) {
  std::vector<const LinearWeight*> layers;
  for (const auto& output : p.outputs) layers.push_back(output.weight);
  const GemmRows normed = norm_forward_rows(context, whole_rows(*p.norm, p.tokens, p.x, p.normed),
                                            terms_for(context, layers));
  std::vector<LayerOutput> outputs;
  for (const auto& output : p.outputs) {
    outputs.push_back({whole_layer(*output.weight, p.tokens, nullptr, output.y)});
  }
  layers_forward(context, outputs, normed);
}

}  // namespace headspark
