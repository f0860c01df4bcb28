// Takes tensors out of a checkpoint by name and expected shape, and keeps the list of those used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headspark/weight.h"
#include "model/mapped_checkpoint.h"

namespace headspark {

class TensorReader {
 public:
  explicit TensorReader(const MappedCheckpoint& checkpoint) : checkpoint_(checkpoint) {}

  /// TENSOR_MISSING, TENSOR_SHAPE or TENSOR_DTYPE, naming file and tensor.
  const StoredTensor& take(const std::string& name, const std::vector<std::int64_t>& shape);

  /// As fp32. Shape [size].
  std::vector<float> take_vector(const std::string& name, std::int64_t size);

  /// Shape [rows, cols], row-major.
  WeightView take_matrix(const std::string& name, std::int64_t rows, std::int64_t cols);

  const std::vector<const StoredTensor*>& used() const { return used_; }

 private:
  const MappedCheckpoint& checkpoint_;
  std::vector<const StoredTensor*> used_;
};

/// All elements as fp32, in order.
std::vector<float> to_floats(const StoredTensor& tensor);

}  // namespace headspark
