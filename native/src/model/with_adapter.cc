// with_adapter: a PEFT LoRA folder as low-rank terms over a base whose weights stay shared.
#include <set>

#include "model/architecture.h"
#include "model/check_values.h"
#include "model/fused_rows.h"
#include "model/json_input.h"
#include "model/lora_config.h"
#include "model/mapped_checkpoint.h"
#include "model/tensor_reader.h"

namespace headspark {
namespace {

/// One module as PEFT sees it, and the linear layers it is here: one, or those it holds, each
/// with its rows of it.
struct Target {
  LoraConfig::Module module;
  std::vector<LinearWeight*> parts;
  std::vector<FusedRows> rows;  ///< of the parts; empty where there is one

  std::int64_t out() const {
    std::int64_t total = 0;
    for (const LinearWeight* part : parts) total += part->out();
    return total;
  }
};

std::vector<Target> list_targets(const ArchitectureSpec& spec, const std::string& prefix,
                                 Model& model) {
  std::vector<Target> targets;
  const ModuleNames& names = spec.names;
  for (std::int64_t index = 0; index < model.config.layers; ++index) {
    LayerWeights& layer = model.layers[static_cast<std::size_t>(index)];
    const auto add = [&](const char* name, std::vector<LinearWeight*> parts,
                         std::vector<FusedRows> rows = {}) {
      if (name == nullptr) return;
      LoraConfig::Module module(layer_module(spec, prefix, index, name), index);
      targets.push_back({std::move(module), std::move(parts), std::move(rows)});
    };
    add(names.qkv, {&layer.q, &layer.k, &layer.v}, qkv_rows(spec, model.config));
    add(names.gate_up, {&layer.gate, &layer.up}, gate_up_rows(spec, model.config));
    add(names.q, {&layer.q});
    add(names.k, {&layer.k});
    add(names.v, {&layer.v});
    add(names.o, {&layer.o});
    add(names.gate, {&layer.gate});
    add(names.up, {&layer.up});
    add(names.down, {&layer.down});
  }
  targets.push_back({LoraConfig::Module(names.unembedding), {&model.unembedding}, {}});
  return targets;
}

const std::string tensor_prefix = "base_model.model.";

/// Adapters of a bare model (GPT2Model) lack the architecture's prefix in every name.
std::string adapter_prefix(const ArchitectureSpec& spec, const MappedCheckpoint& file) {
  for (const char* prefix : {"", spec.other_prefix}) {
    if (prefix == nullptr) continue;
    const std::string layers = tensor_prefix + prefix + spec.names.layers;
    for (const auto& [name, tensor] : file.tensors()) {
      if (name.starts_with(layers)) return prefix;
    }
  }
  return spec.names.prefix;
}

struct AdapterReader {
  const LoraConfig& lora;
  TensorReader& tensors;

  void apply(const Target& target) const {
    const std::string& name = target.module.name;
    const std::int64_t rank = lora.rank_of(name);
    const std::int64_t in = target.parts.front()->in();
    const std::string stem = tensor_prefix + name;
    const std::vector<float> a = to_floats(tensors.take(stem + ".lora_A.weight", {rank, in}));
    const std::vector<float> b =
        to_floats(tensors.take(stem + ".lora_B.weight", {target.out(), rank}));
    for (std::size_t part = 0; part < target.parts.size(); ++part) {
      target.parts[part]->low_rank = make_low_rank(
          rank, lora.scale_of(name), a, target.rows.empty() ? b : target.rows[part].of(b, rank));
    }
  }
};

/// Whether a tensor is of what makes tokens of images, which no text goes through.
bool is_of_vision(const ArchitectureSpec& spec, const std::string& name) {
  for (const char* part : {"vision_tower.", "multi_modal_projector."}) {
    for (const char* prefix : {"", "model."}) {
      if (spec.other_prefix != nullptr && name.starts_with(tensor_prefix + prefix + part))
        return true;
    }
  }
  return false;
}

void refuse_leftovers(const ArchitectureSpec& spec, const MappedCheckpoint& file,
                      const TensorReader& reader) {
  std::set<const StoredTensor*> used(reader.used().begin(), reader.used().end());
  for (const auto& [name, tensor] : file.tensors()) {
    if (used.count(&tensor) != 0 || is_of_vision(spec, name)) continue;
    throw Error(ErrorCode::UNSUPPORTED_ADAPTER,
                tensor.file + ": the tensor " + quote(name) +
                    " belongs to no linear module of this model that adapter_config.json targets;" +
                    " the adapter is of another base model or of an unsupported kind.");
  }
}

}  // namespace

std::shared_ptr<const Model> with_adapter(std::shared_ptr<const Model> base,
                                          const std::filesystem::path& adapter,
                                          const LoadOptions& options) {
  if (base == nullptr || !base->adapter_folder.empty()) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "An adapter goes over a base model that has none; load the base first.");
  }
  const std::filesystem::path config_path = adapter / "adapter_config.json";
  const MappedFile config_file = map_json_file(config_path);
  const LoraConfig lora = parse_lora_config(config_file.bytes(), config_path.string());
  const auto file = std::make_shared<MappedCheckpoint>(adapter, "adapter_model");
  auto model = std::make_shared<Model>(*base);
  const ArchitectureSpec& spec = architecture_spec(base->config.architecture);
  TensorReader reader(*file);
  const AdapterReader adapter_reader{lora, reader};
  for (const Target& target : list_targets(spec, adapter_prefix(spec, *file), *model)) {
    if (lora.targets_module(target.module)) adapter_reader.apply(target);
  }
  refuse_leftovers(spec, *file, reader);
  if (reader.used().empty()) {
    throw Error(ErrorCode::UNSUPPORTED_ADAPTER,
                config_path.string() + ": \"target_modules\" matches no linear module of " +
                    base->folder + "; the adapter is of another base model.");
  }
  if (options.check_values) check_values(reader.used(), RunControl());
  file->check_unchanged();
  for (const StoredTensor* tensor : reader.used()) {
    model->parameter_count += tensor->entry.elements();
  }
  file->set_used(reader.used());
  model->adapter_folder = adapter.string();
  model->mapped_bytes += file->bytes();
  model->files.push_back(file);
  return model;
}

}  // namespace headspark
