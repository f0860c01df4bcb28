// computeLogits(): what the model says, with heads scaled by request.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_logits(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
