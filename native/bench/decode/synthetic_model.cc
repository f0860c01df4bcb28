// Random weights: every matrix uniform, scaled by its depth.
#include "decode/synthetic_model.h"

#include <cmath>
#include <vector>

#include "headspark/dtype.h"

namespace headspark::bench {
namespace {

/// A model with its weights.
class SyntheticModel {
 public:
  SyntheticModel() : model_(std::make_shared<Model>()) {
    ModelConfig& c = model_->config;
    c.layers = 30;
    c.heads = 9;
    c.kv_heads = 3;
    c.head_dim = 64;
    c.hidden = 576;
    c.intermediate = 1536;
    c.vocab = 49152;
    c.max_positions = 8192;
    c.norm_epsilon = 1e-5f;
    c.attention_scale = 0.125f;
    c.rotary = {.rotary_dim = 64, .theta = 100000.0};
    for (std::int64_t layer = 0; layer < c.layers; ++layer) model_->layers.push_back(make_layer());
    model_->embedding = view(c.vocab, c.hidden, 1.0f);
    model_->final_norm = norm();
    model_->unembedding = make_linear_weight(model_->embedding);
    model_->folder = "random weights";
    model_->parameter_count = parameters_;
  }
  std::shared_ptr<const Model> model() const { return model_; }

 private:
  NormWeight norm() const {
    NormWeight norm;
    norm.weight.assign(static_cast<std::size_t>(model_->config.hidden), 1.0f);
    norm.epsilon = model_->config.norm_epsilon;
    return norm;
  }
  WeightView view(std::int64_t rows, std::int64_t cols, float scale) {
    const auto bits =
        std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(rows * cols));
    storage_.push_back(bits);
    for (std::uint16_t& value : *bits) {
      state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
      const float uniform = static_cast<float>(state_ >> 40) * 0x1p-23f - 1.0f;
      value = f32_to_bf16(scale * uniform);
    }
    parameters_ += rows * cols;
    WeightView view = contiguous_view(bits->data(), DType::bf16, rows, cols);
    view.owner = bits;  // or a GPU would copy them at every use
    return view;
  }
  LinearWeight linear(std::int64_t out, std::int64_t in) {
    const float scale = std::sqrt(3.0f / static_cast<float>(in));  // keeps the variance
    return make_linear_weight(view(out, in, scale));
  }
  LayerWeights make_layer() {
    const ModelConfig& c = model_->config;
    LayerWeights layer;
    layer.attention_norm = layer.mlp_norm = norm();
    layer.q = linear(c.heads * c.head_dim, c.hidden);
    layer.k = linear(c.kv_heads * c.head_dim, c.hidden);
    layer.v = linear(c.kv_heads * c.head_dim, c.hidden);
    layer.o = linear(c.hidden, c.heads * c.head_dim);
    layer.gate = linear(c.intermediate, c.hidden);
    layer.up = linear(c.intermediate, c.hidden);
    layer.down = linear(c.hidden, c.intermediate);
    return layer;
  }

  std::shared_ptr<Model> model_;
  std::vector<std::shared_ptr<const std::vector<std::uint16_t>>> storage_;
  std::uint64_t state_ = 1;
  std::int64_t parameters_ = 0;
};

}  // namespace

std::shared_ptr<const Model> synthetic_model() {
  // The weights live as long as the model does.
  const auto synthetic = std::make_shared<const SyntheticModel>();
  return {synthetic, synthetic->model().get()};
}

}  // namespace headspark::bench
