// weightedMeans() and resampledHeads(): means over pairs under many weightings and the heads of
// their circuits, for bootstraps.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_resampling(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
