// Linked when the CUDA backend is not built.
#include "headspark/device.h"

namespace headspark {

GpuProbe probe_gpus(bool) {
  return {{}, "This build has no CUDA backend, so everything runs on the CPU.", "", ""};
}

}  // namespace headspark
