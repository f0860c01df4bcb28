// The suites of the engine run on the emulated CUDA device here.
#include "suite_device.h"

namespace headspark::test {

DeviceKind suite_device() {
  return DeviceKind::cuda;
}

}  // namespace headspark::test
