// attribute() and evaluateCircuits(): edge scores, and faithfulness of circuits.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_attribution(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
