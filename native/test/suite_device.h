// Which device the suites of the engine run on: each test program links its own answer.
#pragma once

#include "headspark/backend.h"

namespace headspark::test {

/// Device 0 of this kind.
DeviceKind suite_device();

}  // namespace headspark::test
