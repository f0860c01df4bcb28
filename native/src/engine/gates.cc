// Scales start at 1 (untouched); each gated head sets its row's entry.
#include "engine/gates.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "headspark/error.h"

namespace headspark {

void check_gated_heads(const ModelConfig& config, std::span<const GatedHead> heads) {
  for (const GatedHead& gated : heads) {
    if (gated.layer < 0 || gated.layer >= config.layers || gated.head < 0 ||
        gated.head >= config.heads) {
      throw Error(ErrorCode::INVALID_ARGUMENT,
                  "Head " + std::to_string(gated.layer) + "." + std::to_string(gated.head) +
                      " does not exist: the model has layers 0 to " +
                      std::to_string(config.layers - 1) + " with heads 0 to " +
                      std::to_string(config.heads - 1) + ".");
    }
    if (!std::isfinite(gated.factor)) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "Head " + std::to_string(gated.layer) + "." +
                                                   std::to_string(gated.head) +
                                                   " has a factor that is not a finite number.");
    }
  }
}

std::int64_t first_gated_layer(std::span<const GatedHead> heads, std::int64_t layers) {
  std::int64_t first = layers;
  for (const GatedHead& gated : heads) first = std::min<std::int64_t>(first, gated.layer);
  return first;
}

RowGates::RowGates(const Engine& engine, std::span<const std::vector<GatedHead>> rows) {
  const ModelConfig& config = engine.config();
  const auto heads = static_cast<std::size_t>(config.heads);
  std::vector<std::vector<float>> scales(static_cast<std::size_t>(config.layers));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    check_gated_heads(config, rows[row]);
    for (const GatedHead& gated : rows[row]) {
      std::vector<float>& scale = scales[static_cast<std::size_t>(gated.layer)];
      if (scale.empty()) scale.assign(rows.size() * heads, 1.0f);
      scale[row * heads + static_cast<std::size_t>(gated.head)] = gated.factor;
      any_ = true;
    }
  }
  for (const std::vector<float>& scale : scales) {
    scales_.emplace_back(engine.context.backend, std::span<const float>(scale));
  }
}

std::vector<HeadGate> RowGates::zero_ablation() const {
  std::vector<HeadGate> gates;
  if (!any_) return gates;
  gates.resize(scales_.size());
  for (std::size_t layer = 0; layer < scales_.size(); ++layer) {
    gates[layer].scale = scales_[layer].data();
  }
  return gates;
}

}  // namespace headspark
