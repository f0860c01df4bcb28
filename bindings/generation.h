// createGeneration(): a generation that takes requests while it runs and hands out tokens as they
// come.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_generation(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
