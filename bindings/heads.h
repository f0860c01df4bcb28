// Registers what heads do (see native/include/headspark/head_properties.h).
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_heads(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
