// Which device the suites of the engine run on: each test program links its own answer.
#pragma once

#include "headspark/backend.h"

namespace headspark::test {

/// Device 0 of this kind.
DeviceKind suite_device();

/// Whether it computes in `fast` as its kind does. The separate device, which is there for who
/// reaches whose memory, does not: its kernels are the CPU's.
bool suite_has_fast();

}  // namespace headspark::test
