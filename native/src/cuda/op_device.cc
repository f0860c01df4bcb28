// From a context to its CUDA backend.
#include "cuda/op_device.h"

#include "headspark/error.h"

namespace headspark::cuda {

OpDevice& op_device(const Context& context) {
  auto* device = dynamic_cast<OpDevice*>(context.backend.get());
  if (device == nullptr) {
    throw Error(ErrorCode::INTERNAL, "A CUDA op was given a backend that is no CUDA device.");
  }
  return *device;
}

}  // namespace headspark::cuda
