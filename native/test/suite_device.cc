#include "suite_device.h"

namespace headspark::test {

DeviceKind suite_device() {
  return DeviceKind::cpu;
}

bool suite_has_fast() {
  return true;
}

}  // namespace headspark::test
