// deviceInfo(), hiddenIsa() and measurePeak(): what the machine has and what it reaches.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_device(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
