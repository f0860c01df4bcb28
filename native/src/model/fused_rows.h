// Which rows of a stored matrix are which linear layer, where a checkpoint holds several in one.
#pragma once

#include <cstdint>
#include <vector>

#include "model/architecture.h"

namespace headspark {

/// One linear layer's rows of the matrix that holds it: groups of neighbouring rows.
struct FusedRows {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t group = 0;   ///< rows of a group; count where they all lie together
  std::int64_t stride = 0;  ///< from a group's first row to the next group's

  bool together() const { return group == count; }
  std::int64_t at(std::int64_t row) const { return first + row / group * stride + row % group; }
  /// These rows of a matrix [.., width].
  std::vector<float> of(const std::vector<float>& matrix, std::int64_t width) const;
};

/// q, k and v; empty where the architecture stores them apart.
std::vector<FusedRows> qkv_rows(const ArchitectureSpec& spec, const ModelConfig& config);

/// gate and up; empty where the architecture stores them apart.
std::vector<FusedRows> gate_up_rows(const ArchitectureSpec& spec, const ModelConfig& config);

/// Rows of the matrix that holds all parts.
std::int64_t total_rows(const std::vector<FusedRows>& parts);

}  // namespace headspark
