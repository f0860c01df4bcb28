// The implementation that the op suite runs on in the program that tests a GPU. The host looks at
// its arrays as soon as an op returns, so all that is queued is waited for (HEADSPARK_CUDA_WAIT,
// which CMake sets for this program).
#include <cstdlib>

#include "headspark/error.h"
#include "op_suite.h"
#include "suite_device.h"

namespace headspark::test {

Context Level::context(int, Precision precision) const {
  static const bool waits = std::getenv("HEADSPARK_CUDA_WAIT") != nullptr;
  if (!waits)
    throw Error(ErrorCode::INVALID_ARGUMENT, "Set HEADSPARK_CUDA_WAIT=1 for these tests.");
  // Keeps the device open: each case would open it four times, and try the library's algorithms
  // again. Never destroyed, as the driver may be gone before it.
  [[maybe_unused]] static const auto* const kept = new auto(make_cuda_backend(0));
  Context context = make_cpu_context(1, Isa::specification, precision);
  context.backend = make_cuda_backend(0);
  return context;
}

const std::vector<Level>& levels() {
  static const std::vector<Level> all = {{make_cuda_backend(0)->name(), std::nullopt}};
  return all;
}

std::string level_name(const Context& context) {
  return context.on_cpu() ? isa_name(context.isa) : levels().front().name;
}

DeviceKind suite_device() {
  return DeviceKind::cuda;
}

bool suite_has_fast() {
  return true;
}

}  // namespace headspark::test
