// The suites of the engine run on the emulated CUDA device here.
#include "suite_device.h"

namespace headspark::test {

DeviceKind suite_device() {
  return DeviceKind::cuda;
}

bool suite_has_fast() {
  return true;
}

}  // namespace headspark::test
