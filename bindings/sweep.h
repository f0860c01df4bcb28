// createSweep(), runSweep() and releaseSweep(): ablation sweeps over fixed pairs.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_sweep(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
