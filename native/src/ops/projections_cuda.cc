// The layers that read one norm, on the GPU: the norm leaves as the terms of all their products.
// The bits are those of the steps of projections.cc.
#include "cuda/layer_product.h"
#include "cuda/norm_products.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

int terms_for_all(OpDevice& device, Precision precision, const ProjectionsForward& p) {
  int terms = 0;
  for (const auto& output : p.outputs) {
    terms = terms_for(device, precision, {output.weight});
    if (terms == 0) break;
  }
  return terms;
}

GemmRows normed_rows(const Context& context, OpDevice& device, const ProjectionsForward& p) {
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  const NormForward norm{p.norm, p.tokens, p.x, width, p.normed, width};
  const int terms = terms_for_all(device, context.precision, p);
  if (terms == 0) {
    norm_forward_cuda(context, norm);
    return {p.normed, width};
  }
  const TermRows rows = term_rows(device, terms, p.tokens, width);
  norm_forward_terms(device, norm, rows);
  return {.terms = rows};
}

}  // namespace

void projections_forward_cuda(const Context& context, const ProjectionsForward& p) {
  OpDevice& device = op_device(context);
  const GemmRows normed = normed_rows(context, device, p);
  for (const auto& output : p.outputs) {
    layer_forward(device, context.precision,
                  whole_layer(*output.weight, p.tokens, nullptr, output.y), normed);
  }
}

}  // namespace headspark
