// A model on a device with threads and a memory budget: what every job of the core runs on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "headspark/context.h"
#include "headspark/host_array.h"
#include "headspark/model.h"
#include "headspark/run_control.h"

namespace headspark {

struct EngineOptions {
  int threads = 0;  ///< <= 0: all that this process may use
  /// Workspace budget; <= 0: a quarter of the system's free memory, or four fifths of what the
  /// weights leave of a GPU's.
  std::int64_t memory_bytes = 0;
  DeviceKind device = DeviceKind::cpu;
  int device_index = 0;
  std::int64_t batch_tokens = 0;  ///< tokens of one micro-batch; <= 0: chosen from the budget
  bool share_prefix = true;       ///< compute the shared prompt of a pair once
  Precision precision = Precision::exact;  ///< of matrix products
};

struct Engine {
  std::shared_ptr<const Model> model;
  Context context;
  EngineOptions options;

  const ModelConfig& config() const { return model->config; }
};

/// Errors: DEVICE when the device is not there, INVALID_ARGUMENT for options out of range,
/// OUT_OF_MEMORY when a GPU has no room for the weights and the budget.
Engine make_engine(std::shared_ptr<const Model> model, const EngineOptions& options);

/// One head's gate for all rows of a run: z' = factor * z + (1 - factor) * r.
struct GatedHead {
  std::int32_t layer = 0;
  std::int32_t head = 0;
  float factor = 0.0f;
};

struct LogitsRequest {
  std::vector<std::vector<std::int32_t>> prompts;
  /// Zero-ablated or scaled: of each prompt; empty where nothing is gated.
  std::vector<std::vector<GatedHead>> heads;
  bool all_positions = false;
};

/// Logits of prompts, [prompts, vocab] at the last token, or [tokens of all prompts in order,
/// vocab]. Computed in batches of options.batch_tokens tokens (1024 unless set); every logit is
/// written once, where it is returned, on devices that work on the host's memory. Errors:
/// INVALID_ARGUMENT for an empty prompt, a token outside the vocabulary, a prompt longer than the
/// model's positions, or a head outside the model; OUT_OF_MEMORY; CANCELLED.
HostArray<float> compute_logits(const Engine& engine, const LogitsRequest& request,
                                const RunControl& control);

}  // namespace headspark
