// weightedMeans(): means over pairs under many weightings, for bootstraps of circuits.
#pragma once

#include "napi.h"

namespace headspark::bindings {

void register_weighted_means(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
