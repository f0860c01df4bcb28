// An edge_contraction with `ends` as some without, for backends that know only those.
#pragma once

#include "headspark/ops/edge_contraction.h"

namespace headspark {

/// body(rectangle): the sources that a destination has more than those before it meet it and all
/// after it.
template <typename Body>
void for_rectangles(const EdgeContraction& p, const Body& body) {
  if (p.ends == nullptr) return body(p);
  std::int64_t source = 0;
  for (std::int64_t v = 0; v < p.destinations; ++v) {
    if (p.ends[v] <= source) continue;
    EdgeContraction rectangle = p;
    rectangle.ends = nullptr;
    rectangle.sources = p.ends[v] - source;
    rectangle.destinations = p.destinations - v;
    rectangle.delta = p.delta + source * p.delta_stride;
    rectangle.gradient = p.gradient + v * p.gradient_stride;
    rectangle.scores = p.scores + source * p.scores_stride + v;
    body(rectangle);
    source = p.ends[v];
  }
}

}  // namespace headspark
