// Tiny checkpoints written on the fly for the tests of model reading: valid ones to damage.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "headspark/error.h"
#include "headspark/model.h"

namespace headspark::files {

/// A folder that goes away with the object.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct TestTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  std::string dtype = "F32";  ///< or "BF16": values are then rounded
};

using Tensors = std::map<std::string, TestTensor>;

/// Values that differ from element to element and from seed to seed, in [-1, 1].
TestTensor make_tensor(std::vector<std::int64_t> shape, std::uint32_t seed);

struct Checkpoint {
  nlohmann::json config;
  Tensors tensors;
};

/// 2 layers, 4 heads, hidden 8, MLP 12, vocabulary 11, of this model_type: any but those that need
/// keys of their own.
Checkpoint tiny_checkpoint(const std::string& model_type);

/// The tiny Gemma 3 as the decoder of a model with a vision tower, under one of its prefixes.
Checkpoint tiny_vision_checkpoint(const std::string& prefix);

/// What a config.json of this says.
ModelConfig parse(const nlohmann::json& config);

void write_file(const std::filesystem::path& path, const std::string& text);
std::string safetensors_bytes(const Tensors& tensors);
/// Header and data put together as given: for lies.
std::string raw_safetensors(const std::string& header, const std::string& data);
void write_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);

/// Writes, loads and returns the model (which keeps the files mapped after the folder is gone).
std::shared_ptr<const Model> load(const Checkpoint& checkpoint);
std::shared_ptr<const Model> load_folder(const TempFolder& folder);

/// Fails unless `action` throws an Error with this code whose message has every one of `parts`.
void expect_error(ErrorCode code, const std::vector<std::string>& parts,
                  const std::function<void()>& action);

}  // namespace headspark::files
