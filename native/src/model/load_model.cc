// load_model: config.json, then every tensor that the architecture's table names, as views into the
// mapped files.
#include <cstring>

#include "model/architecture.h"
#include "model/check_values.h"
#include "model/config_json.h"
#include "model/fused_rows.h"
#include "model/mapped_checkpoint.h"
#include "model/tensor_reader.h"

namespace headspark {
namespace {

/// What this checkpoint's tensors are named with: one of the architecture's prefixes, or nothing.
std::string checkpoint_prefix(const ArchitectureSpec& spec, const MappedCheckpoint& checkpoint) {
  const std::string bare = std::string(spec.names.embedding) + ".weight";
  for (const char* prefix : {spec.names.prefix, spec.other_prefix, ""}) {
    if (prefix != nullptr && checkpoint.find(prefix + bare) != nullptr) return prefix;
  }
  return spec.names.prefix;
}

struct Loader {
  const ParsedConfig& parsed;
  TensorReader& reader;
  std::string prefix;

  const ModelConfig& config() const { return parsed.config; }
  const ModuleNames& names() const { return parsed.spec->names; }

  std::string module(std::int64_t layer, const char* name) const {
    return layer_module(*parsed.spec, prefix, layer, name);
  }

  NormWeight norm(const std::string& name, std::int64_t width) const {
    NormWeight result;
    result.kind = config().norm;
    result.epsilon = config().norm_epsilon;
    result.weight = reader.take_vector(name + ".weight", width);
    for (float& weight : result.weight) weight += parsed.spec->norm_offset;
    if (result.kind == NormKind::layer) result.bias = reader.take_vector(name + ".bias", width);
    return result;
  }

  static NormWeight fixed_norm(std::vector<float> weight) {
    NormWeight result;
    result.kind = NormKind::fixed;
    result.weight = std::move(weight);
    return result;
  }
  NormWeight factor(float value) const {
    return fixed_norm(std::vector(static_cast<std::size_t>(config().hidden), value));
  }

  LinearWeight linear(const std::string& name, std::int64_t out, std::int64_t in,
                      bool has_bias) const {
    WeightView view;
    if (parsed.spec->layout == WeightLayout::out_in) {
      view = reader.take_matrix(name + ".weight", out, in);
    } else {
      view = transposed(reader.take(name + ".weight", {in, out}), 0, out);
    }
    std::vector<float> bias;
    if (has_bias) bias = reader.take_vector(name + ".bias", out);
    return make_linear_weight(view, std::move(bias));
  }

  /// Columns [column, column + out) of a matrix stored [in, width], as rows.
  static WeightView transposed(const StoredTensor& tensor, std::int64_t column, std::int64_t out) {
    const DType dtype = *tensor.dtype();
    WeightView view;
    view.data = tensor.data + column * dtype_bytes(dtype);
    view.dtype = dtype;
    view.rows = out;
    view.cols = tensor.entry.shape[0];
    view.row_stride = 1;
    view.group_stride = 1;  // row_group is 1: row r is group r
    view.col_stride = tensor.entry.shape[1];
    return view;
  }

  /// Some rows of a matrix [rows, in] (or its transpose).
  WeightView fused_view(const StoredTensor& tensor, const FusedRows& rows, std::int64_t in) const {
    if (parsed.spec->layout == WeightLayout::in_out) {
      return transposed(tensor, rows.first, rows.count);
    }
    const DType dtype = *tensor.dtype();
    WeightView view =
        contiguous_view(tensor.data + rows.first * in * dtype_bytes(dtype), dtype, rows.count, in);
    if (!rows.together()) {
      view.row_group = rows.group;
      view.row_stride = in;
      view.group_stride = rows.stride * in;
    }
    return view;
  }

  /// The linear layers that one stored matrix holds, each with its rows of it.
  void fused(const std::string& name, const std::vector<FusedRows>& parts, std::int64_t in,
             bool has_bias, std::initializer_list<LinearWeight*> targets) const {
    const std::int64_t out = total_rows(parts);
    std::vector<std::int64_t> shape = {out, in};
    if (parsed.spec->layout == WeightLayout::in_out) shape = {in, out};
    const StoredTensor& tensor = reader.take(name + ".weight", shape);
    std::vector<float> bias;
    if (has_bias) bias = reader.take_vector(name + ".bias", out);
    const FusedRows* rows = parts.data();
    for (LinearWeight* target : targets) {
      std::vector<float> own;
      if (has_bias) own = rows->of(bias, 1);
      *target = make_linear_weight(fused_view(tensor, *rows++, in), std::move(own));
    }
  }

  void projections(std::int64_t index, LayerWeights& weights) const {
    const std::int64_t hidden = config().hidden;
    const std::int64_t kv_width = config().kv_heads * config().head_dim;
    const bool bias = parsed.bias.qkv;
    if (names().qkv != nullptr) {
      return fused(module(index, names().qkv), qkv_rows(*parsed.spec, config()), hidden, bias,
                   {&weights.q, &weights.k, &weights.v});
    }
    weights.q = linear(module(index, names().q), config().heads * config().head_dim, hidden, bias);
    weights.k = linear(module(index, names().k), kv_width, hidden, bias);
    weights.v = linear(module(index, names().v), kv_width, hidden, bias);
  }

  void mlp(std::int64_t index, LayerWeights& weights) const {
    const std::int64_t hidden = config().hidden;
    const std::int64_t inner = config().intermediate;
    const bool bias = parsed.bias.mlp;
    if (names().gate_up != nullptr) {
      fused(module(index, names().gate_up), gate_up_rows(*parsed.spec, config()), hidden, bias,
            {&weights.gate, &weights.up});
    } else {
      if (config().gated_mlp) {
        weights.gate = linear(module(index, names().gate), inner, hidden, bias);
      }
      weights.up = linear(module(index, names().up), inner, hidden, bias);
    }
    weights.down = linear(module(index, names().down), hidden, inner, bias);
  }

  void block_norms(std::int64_t index, LayerWeights& weights) const {
    const ModelConfig& c = config();
    const auto stored = [&](const char* name) { return norm(module(index, name), c.hidden); };
    weights.attention_norm = c.pre_norm ? stored(names().attention_norm) : factor(1.0f);
    weights.mlp_norm = c.pre_norm ? stored(names().mlp_norm) : factor(1.0f);
    if (!c.post_norm) return;
    const bool norms = names().attention_post_norm != nullptr;
    weights.attention_post_norm =
        norms ? stored(names().attention_post_norm) : factor(c.residual_scale);
    weights.mlp_post_norm = norms ? stored(names().mlp_post_norm) : factor(c.residual_scale);
    weights.head_write_gain = fixed_norm(weights.attention_post_norm.weight);
  }

  /// Norms of q and k: of each head, or of all heads together.
  void head_norms(std::int64_t index, LayerWeights& weights) const {
    const bool together = config().qk_norm_together;
    const std::int64_t head_dim = config().head_dim;
    weights.q_norm =
        norm(module(index, names().q_norm), (together ? config().heads : 1) * head_dim);
    weights.k_norm =
        norm(module(index, names().k_norm), (together ? config().kv_heads : 1) * head_dim);
    weights.k_norm_each = weights.k_norm;
    if (!together) return;
    weights.k_norm_each.weight.clear();
    const std::int64_t share = config().heads / config().kv_heads;
    for (std::int64_t head = 0; head < config().heads; ++head) {
      const auto own = weights.k_norm.weight.begin() + head / share * head_dim;
      weights.k_norm_each.weight.insert(weights.k_norm_each.weight.end(), own, own + head_dim);
    }
  }

  LayerWeights layer(std::int64_t index) const {
    const std::int64_t hidden = config().hidden;
    LayerWeights weights;
    block_norms(index, weights);
    if (config().qk_norm) head_norms(index, weights);
    projections(index, weights);
    weights.o = linear(module(index, names().o), hidden, config().heads * config().head_dim,
                       parsed.bias.attention_output);
    mlp(index, weights);
    return weights;
  }
};

/// lm_head may be absent from, or repeated in, a file with tied embeddings. Two different matrices
/// stay apart, as in transformers 5.
void load_unembedding(const Loader& loader, const MappedCheckpoint& checkpoint, Model& model) {
  // Files that name a whole decoder so have it in there (Gemma 3).
  const std::string decoder = "language_model.";
  const std::string name =
      (loader.prefix.starts_with(decoder) ? decoder : "") + loader.names().unembedding + ".weight";
  const WeightView& embedding = model.embedding;
  WeightView view = embedding;
  if (!model.config.tied_embeddings || checkpoint.find(name) != nullptr) {
    view = loader.reader.take_matrix(name, embedding.rows, embedding.cols);
  }
  if (model.config.tied_embeddings && view.data != embedding.data) {
    const auto bytes = static_cast<std::size_t>(view.rows * view.cols * dtype_bytes(view.dtype));
    const bool equal =
        view.dtype == embedding.dtype && std::memcmp(view.data, embedding.data, bytes) == 0;
    if (equal) view = embedding;
    model.config.tied_embeddings = equal;
  }
  model.unembedding = make_linear_weight(view);
}

void load_weights(const ParsedConfig& parsed, MappedCheckpoint& checkpoint,
                  const RunControl& control, Model& model) {
  TensorReader reader(checkpoint);
  const Loader loader{parsed, reader, checkpoint_prefix(*parsed.spec, checkpoint)};
  const ModelConfig& config = parsed.config;
  const auto top = [&](const char* name) { return loader.prefix + name; };
  model.config = config;
  model.embedding = reader.take_matrix(top(parsed.spec->names.embedding) + ".weight", config.vocab,
                                       config.hidden);
  if (config.learned_positions) {
    model.position_embedding =
        reader.take_matrix(top(parsed.spec->names.position_embedding) + ".weight",
                           config.max_positions, config.hidden);
  }
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    control.check();
    model.layers.push_back(loader.layer(layer));
  }
  model.final_norm = loader.norm(top(parsed.spec->names.final_norm), config.hidden);
  for (float& weight : model.final_norm.weight) weight /= config.logits_divisor;
  load_unembedding(loader, checkpoint, model);
  for (const StoredTensor* tensor : reader.used()) {
    model.parameter_count += tensor->entry.elements();
  }
  checkpoint.set_used(reader.used());
}

void set_owner(Model& model, const std::weak_ptr<const void>& owner) {
  for (WeightView* view : {&model.embedding, &model.position_embedding, &model.unembedding.view}) {
    view->owner = owner;
  }
  for (LayerWeights& layer : model.layers) {
    for (LinearWeight* weight :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      weight->view.owner = owner;
    }
  }
}

}  // namespace

void check_files(const Model& model) {
  for (const auto& checkpoint : model.files) checkpoint->check_unchanged();
}

std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options, const RunControl& control) {
  const std::filesystem::path config_path = folder / "config.json";
  const MappedFile config_file = map_json_file(config_path);
  const ParsedConfig parsed = parse_config(config_file.bytes(), config_path.string());
  const auto checkpoint = std::make_shared<MappedCheckpoint>(folder, "model");
  auto model = std::make_shared<Model>();
  load_weights(parsed, *checkpoint, control, *model);
  if (options.check_values) check_values(checkpoint->used(), control);
  checkpoint->check_unchanged();
  model->folder = folder.string();
  model->mapped_bytes = checkpoint->bytes();
  model->files.push_back(checkpoint);
  set_owner(*model, checkpoint);
  return model;
}

}  // namespace headspark
