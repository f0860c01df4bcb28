// Writers of tiny checkpoints, independent of the reader under test.
#include "model_files.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>

#include "headspark/dtype.h"
#include "model/config_json.h"

namespace headspark::files {
namespace {

constexpr std::int64_t hidden = 8;
constexpr std::int64_t inner = 12;
constexpr std::int64_t vocab = 11;

struct Builder {
  Tensors tensors;
  std::uint32_t seed = 1;

  void add(const std::string& name, std::vector<std::int64_t> shape) {
    tensors[name] = make_tensor(std::move(shape), seed++);
  }
  void linear(const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  }
  void layer_norm(const std::string& name) {
    add(name + ".weight", {hidden});
    add(name + ".bias", {hidden});
  }
};

Checkpoint tiny_decoder(const std::string& model_type) {
  const bool wide = model_type == "qwen3" || model_type == "gemma3_text";
  const std::int64_t head_dim = wide ? 4 : 2;
  Builder builder;
  builder.add("model.embed_tokens.weight", {vocab, hidden});
  builder.add("model.norm.weight", {hidden});
  for (int layer = 0; layer < 2; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    const bool gemma = model_type == "gemma3_text";
    const bool before = model_type != "olmo2";
    builder.add(at + (before ? "input_layernorm.weight" : "post_feedforward_layernorm.weight"),
                {hidden});
    if (gemma) {
      builder.add(at + "pre_feedforward_layernorm.weight", {hidden});
      builder.add(at + "post_feedforward_layernorm.weight", {hidden});
    }
    builder.add(at + "post_attention_layernorm.weight", {hidden});
    builder.add(at + "self_attn.q_proj.weight", {4 * head_dim, hidden});
    builder.add(at + "self_attn.k_proj.weight", {2 * head_dim, hidden});
    builder.add(at + "self_attn.v_proj.weight", {2 * head_dim, hidden});
    builder.add(at + "self_attn.o_proj.weight", {hidden, 4 * head_dim});
    builder.add(at + "mlp.gate_proj.weight", {inner, hidden});
    builder.add(at + "mlp.up_proj.weight", {inner, hidden});
    builder.add(at + "mlp.down_proj.weight", {hidden, inner});
    if (model_type == "qwen2") {
      builder.add(at + "self_attn.q_proj.bias", {4 * head_dim});
      builder.add(at + "self_attn.k_proj.bias", {2 * head_dim});
      builder.add(at + "self_attn.v_proj.bias", {2 * head_dim});
    }
    if (model_type == "qwen3" || model_type == "olmo2" || gemma) {
      const bool together = model_type == "olmo2";
      builder.add(at + "self_attn.q_norm.weight", {(together ? 4 : 1) * head_dim});
      builder.add(at + "self_attn.k_norm.weight", {(together ? 2 : 1) * head_dim});
    }
  }
  nlohmann::json config = {{"model_type", model_type},    {"hidden_size", hidden},
                           {"intermediate_size", inner},  {"num_hidden_layers", 2},
                           {"num_attention_heads", 4},    {"num_key_value_heads", 2},
                           {"vocab_size", vocab},         {"max_position_embeddings", 32},
                           {"tie_word_embeddings", true}, {"rope_theta", 10000.0}};
  if (wide) config["head_dim"] = head_dim;
  return {config, builder.tensors};
}

/// Takes matrices of one width out and puts them back as one, row under row.
void stack(Tensors& tensors, const std::string& at, const std::string& name,
           std::initializer_list<const char*> parts) {
  TestTensor& whole = tensors[at + name + ".weight"];
  whole.shape = {0, hidden};
  for (const char* part : parts) {
    const auto found = tensors.find(at + part + ".weight");
    const TestTensor& tensor = found->second;
    whole.shape[0] += tensor.shape[0];
    whole.values.insert(whole.values.end(), tensor.values.begin(), tensor.values.end());
    tensors.erase(found);
  }
}

/// The numbers of llama's.
Checkpoint tiny_phi3() {
  Checkpoint checkpoint = tiny_decoder("phi3");
  for (const char* at : {"model.layers.0.", "model.layers.1."}) {
    stack(checkpoint.tensors, at, "self_attn.qkv_proj",
          {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
    stack(checkpoint.tensors, at, "mlp.gate_up_proj", {"mlp.gate_proj", "mlp.up_proj"});
  }
  return checkpoint;
}

Checkpoint tiny_gpt2() {
  Builder builder;
  builder.add("transformer.wte.weight", {vocab, hidden});
  builder.add("transformer.wpe.weight", {32, hidden});
  builder.layer_norm("transformer.ln_f");
  for (int layer = 0; layer < 2; ++layer) {
    const std::string at = "transformer.h." + std::to_string(layer) + ".";
    builder.layer_norm(at + "ln_1");
    builder.layer_norm(at + "ln_2");
    builder.add(at + "attn.c_attn.weight", {hidden, 3 * hidden});
    builder.add(at + "attn.c_attn.bias", {3 * hidden});
    builder.add(at + "attn.c_proj.weight", {hidden, hidden});
    builder.add(at + "attn.c_proj.bias", {hidden});
    builder.add(at + "mlp.c_fc.weight", {hidden, 4 * hidden});
    builder.add(at + "mlp.c_fc.bias", {4 * hidden});
    builder.add(at + "mlp.c_proj.weight", {4 * hidden, hidden});
    builder.add(at + "mlp.c_proj.bias", {hidden});
  }
  return {{{"model_type", "gpt2"},
           {"n_layer", 2},
           {"n_head", 4},
           {"n_embd", hidden},
           {"n_positions", 32},
           {"vocab_size", vocab}},
          builder.tensors};
}

Checkpoint tiny_gpt_neox() {
  Builder builder;
  builder.add("gpt_neox.embed_in.weight", {vocab, hidden});
  builder.add("embed_out.weight", {vocab, hidden});
  builder.layer_norm("gpt_neox.final_layer_norm");
  for (int layer = 0; layer < 2; ++layer) {
    const std::string at = "gpt_neox.layers." + std::to_string(layer) + ".";
    builder.layer_norm(at + "input_layernorm");
    builder.layer_norm(at + "post_attention_layernorm");
    builder.linear(at + "attention.query_key_value", 3 * hidden, hidden);
    builder.linear(at + "attention.dense", hidden, hidden);
    builder.linear(at + "mlp.dense_h_to_4h", inner, hidden);
    builder.linear(at + "mlp.dense_4h_to_h", hidden, inner);
  }
  return {{{"model_type", "gpt_neox"},
           {"num_hidden_layers", 2},
           {"num_attention_heads", 4},
           {"hidden_size", hidden},
           {"intermediate_size", inner},
           {"vocab_size", vocab},
           {"max_position_embeddings", 32},
           {"rotary_pct", 1.0}},
          builder.tensors};
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

}  // namespace

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "headspark-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestTensor make_tensor(std::vector<std::int64_t> shape, std::uint32_t seed) {
  TestTensor tensor;
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  std::uint32_t state = seed * 2654435761u + 12345u;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    tensor.values.push_back(static_cast<float>(state >> 8) * 0x1p-23f - 1.0f);
  }
  tensor.shape = std::move(shape);
  return tensor;
}

Checkpoint tiny_checkpoint(const std::string& model_type) {
  if (model_type == "gpt2") return tiny_gpt2();
  if (model_type == "gpt_neox") return tiny_gpt_neox();
  if (model_type == "phi3") return tiny_phi3();
  return tiny_decoder(model_type);
}

Checkpoint tiny_vision_checkpoint(const std::string& prefix) {
  const Checkpoint text = tiny_checkpoint("gemma3_text");
  Checkpoint whole;
  whole.config = {{"model_type", "gemma3"}, {"text_config", text.config}};
  for (const auto& [name, tensor] : text.tensors) {
    whole.tensors[prefix + name.substr(std::string("model.").size())] = tensor;
  }
  whole.tensors["vision_tower.embeddings.weight"] = make_tensor({3, 3}, 1);
  return whole;
}

ModelConfig parse(const nlohmann::json& config) {
  const std::string text = config.dump();
  return parse_config(std::as_bytes(std::span(text.data(), text.size())), "config.json").config;
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  REQUIRE(file.good());
}

std::string raw_safetensors(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

std::string safetensors_bytes(const Tensors& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t begin = data.size();
    for (const float value : tensor.values) {
      data += tensor.dtype == "BF16" ? little_endian(f32_to_bf16(value), 2)
                                     : little_endian(f32_to_bits(value), 4);
    }
    header[name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return raw_safetensors(text, data);
}

void write_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint) {
  write_file(folder / "config.json", checkpoint.config.dump());
  write_file(folder / "model.safetensors", safetensors_bytes(checkpoint.tensors));
}

std::shared_ptr<const Model> load(const Checkpoint& checkpoint) {
  TempFolder folder;
  write_checkpoint(folder.path(), checkpoint);
  return load_folder(folder);
}

std::shared_ptr<const Model> load_folder(const TempFolder& folder) {
  return load_model(folder.path(), LoadOptions(), RunControl());
}

void expect_error(ErrorCode code, const std::vector<std::string>& parts,
                  const std::function<void()>& action) {
  std::string message;
  try {
    action();
  } catch (const Error& error) {
    message = error.what();
    CHECK_MESSAGE(error.code() == code, "code ", error_code_name(error.code()), ": ", message);
    for (const std::string& part : parts) {
      CHECK_MESSAGE(message.find(part) != std::string::npos, "\"", part, "\" not in: ", message);
    }
    return;
  }
  FAIL_CHECK("no error, but ", error_code_name(code), " was expected");
}

}  // namespace headspark::files
