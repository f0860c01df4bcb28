// The small models on which the engine's tests run, and the pairs of test/fixtures/reference.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "headspark/engine.h"
#include "headspark/pair.h"

namespace headspark::golden {

/// Grouped queries and a gated MLP; LayerNorm, biases and a parallel residual; norms after
/// attention and MLP, and of all heads of q and k together, with a sliding window of 6 tokens in
/// two of three layers.
inline constexpr const char* kModels[] = {"qwen2", "neox", "olmo3"};

std::filesystem::path reference_folder();
std::filesystem::path model_folder(const std::string& model);

/// On the suite's device, with two threads where the options name none.
Engine engine_for(const char* model, EngineOptions options = {});

/// On the CPU with the kernels of this level.
Engine engine_for(const char* model, Isa isa, int threads, std::int64_t batch_tokens = 0);

/// The first pairs of the references.
std::vector<Pair> some_pairs(std::size_t count);

/// A copy of what lies in the engine's memory.
std::vector<float> host(const Engine& engine, const float* x, std::int64_t count);

}  // namespace headspark::golden
