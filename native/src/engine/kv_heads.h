// Keys or values of key/value heads for each query head of theirs.
#pragma once

#include <cstdint>

#include "headspark/engine.h"

namespace headspark {

/// heads [tokens, heads, head_dim] from kv [tokens, kv_heads, head_dim].
void repeat_kv_heads(const Engine& engine, std::int64_t tokens, const float* kv, float* heads);

}  // namespace headspark
