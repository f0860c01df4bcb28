// The one include of node-addon-api. C++ exceptions and Node-API 9 are set by CMake; nothing
// outside bindings/ includes this.
#pragma once

#include <napi.h>

#if NAPI_VERSION != 9
#error "Build with NAPI_VERSION=9: it is what Node 20 to 26 share."
#endif
