// The one place where a tensor's presence, shape and type are checked.
#include "model/tensor_reader.h"

#include <cstring>

#include "headspark/error.h"
#include "model/json_input.h"

namespace headspark {

const StoredTensor& TensorReader::take(const std::string& name,
                                       const std::vector<std::int64_t>& shape) {
  const StoredTensor* tensor = checkpoint_.find(name);
  if (tensor == nullptr) {
    throw Error(ErrorCode::TENSOR_MISSING, checkpoint_.name() + " lacks the tensor " + quote(name) +
                                               " of shape " + shape_text(shape) +
                                               " that its configuration asks for.");
  }
  if (tensor->entry.shape != shape) {
    throw Error(ErrorCode::TENSOR_SHAPE, tensor->file + ": tensor " + quote(name) + " has shape " +
                                             shape_text(tensor->entry.shape) +
                                             ", but its configuration asks for " +
                                             shape_text(shape) + ".");
  }
  if (!tensor->dtype()) {
    throw Error(ErrorCode::TENSOR_DTYPE, tensor->file + ": tensor " + quote(name) + " has type " +
                                             quote(tensor->entry.dtype) +
                                             "; convert it to BF16, F16 or F32.");
  }
  used_.push_back(tensor);
  return *tensor;
}

std::vector<float> TensorReader::take_vector(const std::string& name, std::int64_t size) {
  return to_floats(take(name, {size}));
}

WeightView TensorReader::take_matrix(const std::string& name, std::int64_t rows,
                                     std::int64_t cols) {
  const StoredTensor& tensor = take(name, {rows, cols});
  return contiguous_view(tensor.data, *tensor.dtype(), rows, cols);
}

std::vector<float> to_floats(const StoredTensor& tensor) {
  const std::int64_t count = tensor.entry.elements();
  std::vector<float> values(static_cast<std::size_t>(count));
  if (tensor.dtype() == DType::f32) {
    if (count > 0) std::memcpy(values.data(), tensor.data, tensor.bytes());
    return values;
  }
  const WeightView view = contiguous_view(tensor.data, *tensor.dtype(), 1, count);
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = view.at(0, i);
  return values;
}

}  // namespace headspark
