// Sharded checkpoints and the fingerprint, which must not see the sharding.
#include "model_files.h"

namespace headspark {
namespace {

using files::Checkpoint;
using files::expect_error;
using files::TempFolder;
using files::tiny_checkpoint;
using files::write_file;
using nlohmann::json;

/// Writes two shards, alternating; returns the index.
json write_shards(const std::filesystem::path& folder, const Checkpoint& checkpoint) {
  files::Tensors shards[2];
  json weight_map = json::object();
  std::size_t count = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const std::size_t shard = count++ % 2;
    shards[shard][name] = tensor;
    weight_map[name] = shard == 0 ? "model-1.safetensors" : "model-2.safetensors";
  }
  write_file(folder / "config.json", checkpoint.config.dump());
  write_file(folder / "model-1.safetensors", files::safetensors_bytes(shards[0]));
  write_file(folder / "model-2.safetensors", files::safetensors_bytes(shards[1]));
  const json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", weight_map}};
  write_file(folder / "model.safetensors.index.json", index.dump());
  return index;
}

TEST_CASE("shards: the same model and the same fingerprint as one file") {
  const Checkpoint checkpoint = tiny_checkpoint("gpt_neox");
  TempFolder folder;
  write_shards(folder.path(), checkpoint);
  const auto sharded = load_folder(folder);
  const auto single = files::load(checkpoint);
  CHECK(sharded->layers[1].k.view.at(3, 4) == single->layers[1].k.view.at(3, 4));
  CHECK(sharded->parameter_count == single->parameter_count);
  CHECK(model_fingerprint(*sharded) == model_fingerprint(*single));
  CHECK(model_fingerprint(*single).size() == 32);
}

TEST_CASE("fingerprint: weights and configuration count") {
  Checkpoint checkpoint = tiny_checkpoint("llama");
  const std::string original = model_fingerprint(*files::load(checkpoint));
  CHECK(original == model_fingerprint(*files::load(checkpoint)));
  Checkpoint other = checkpoint;
  other.tensors["model.norm.weight"].values[7] += 1e-6f;
  CHECK(original != model_fingerprint(*files::load(other)));
  other = checkpoint;
  other.config["rope_theta"] = 20000.0;
  CHECK(original != model_fingerprint(*files::load(other)));
  other = checkpoint;
  other.config["rms_norm_eps"] = 1e-5;
  CHECK(original != model_fingerprint(*files::load(other)));
  other = checkpoint;
  other.config["bos_token_id"] = 3;  // does not change what the model computes
  CHECK(original == model_fingerprint(*files::load(other)));
}

TEST_CASE("shards: hostile and broken indexes") {
  TempFolder folder;
  const json index = write_shards(folder.path(), tiny_checkpoint("llama"));
  const std::string name = "model.norm.weight";
  const auto expect = [&](const json& value, ErrorCode code,
                          const std::vector<std::string>& parts) {
    write_file(folder.path() / "model.safetensors.index.json", value.dump());
    expect_error(code, parts, [&] { load_folder(folder); });
  };
  for (const char* shard : {"../model-1.safetensors", "/etc/model-1.safetensors", ".safetensors",
                            "sub\\model-1.safetensors", "model-1.bin", ""}) {
    json changed = index;
    changed["weight_map"][name] = shard;
    expect(changed, ErrorCode::FILE_CORRUPT, {"index.json", "plain", name});
  }
  json changed = index;
  changed["weight_map"]["model.absent"] = "model-1.safetensors";
  expect(changed, ErrorCode::TENSOR_MISSING, {"model-1.safetensors", "model.absent"});
  changed = index;
  changed["weight_map"][name] = "model-3.safetensors";
  expect(changed, ErrorCode::FILE_NOT_FOUND, {"model-3.safetensors"});
  changed["weight_map"][name] = 3;
  expect(changed, ErrorCode::FILE_CORRUPT, {name});
  changed = index;
  changed["weight_map"].erase(name);
  expect(changed, ErrorCode::TENSOR_MISSING, {"index.json", name});
  expect(json::object(), ErrorCode::FILE_CORRUPT, {"weight_map"});
}

}  // namespace
}  // namespace headspark
