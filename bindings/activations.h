// headActivations(): what heads put out on given sequences.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_activations(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
