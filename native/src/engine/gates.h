// Per-row head gates on the device, from lists of gated heads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/buffer.h"
#include "headspark/engine.h"
#include "headspark/head_gate.h"

namespace headspark {

/// Error(INVALID_ARGUMENT) naming the first head that the model does not have.
void check_gated_heads(const ModelConfig& config, std::span<const GatedHead> heads);

/// Lowest layer with a gate; `layers` when there is none.
std::int64_t first_gated_layer(std::span<const GatedHead> heads, std::int64_t layers);

/// The scales [rows, heads] of every layer in which some row has a gate.
class RowGates {
 public:
  RowGates(const Engine& engine, std::span<const std::vector<GatedHead>> rows);

  /// One gate per layer with r = 0; empty when no row has a gate.
  std::vector<HeadGate> zero_ablation() const;

 private:
  std::vector<Buffer<float>> scales_;  ///< per layer; empty where nothing is gated
  bool any_ = false;
};

}  // namespace headspark
