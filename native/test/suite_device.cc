#include "suite_device.h"

namespace headspark::test {

DeviceKind suite_device() {
  return DeviceKind::cpu;
}

}  // namespace headspark::test
