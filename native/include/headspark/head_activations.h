// What heads put out on given sequences: the source of mean and resample ablation in generation,
// and of controls that match the size of a head's write.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/engine.h"
#include "headspark/run_control.h"

namespace headspark {

enum class ActivationRows {
  mean,               ///< one row: the mean over all tokens
  mean_per_position,  ///< the mean at every position of the longest sequence, then that over all
  tokens              ///< every token of the sequences in order
};

struct HeadActivationsRequest {
  std::vector<std::vector<std::int32_t>> sequences;
  ActivationRows rows = ActivationRows::mean;
  /// Also the mean over all tokens of |W_O z|, the length of what a head writes to the residual
  /// stream.
  bool write_norms = false;
};

struct HeadActivations {
  std::int64_t rows = 0;
  std::vector<float> z;            ///< [layers, rows, heads, head_dim]
  std::vector<float> write_norms;  ///< [layers, heads], or empty
};

/// z of the unablated model. Sums run token by token in double, so that neither batches nor threads
/// change a bit. Errors: INVALID_ARGUMENT for no sequences, an empty or too long one, or a token
/// outside the vocabulary.
HeadActivations head_activations(const Engine& engine, const HeadActivationsRequest& request,
                                 const RunControl& control);

}  // namespace headspark
