// OLMo 2 (transformers models/olmo2, arXiv 2501.00656).
#include "model/olmo_names.h"

namespace headspark {
namespace {

BiasRule read_olmo2_config(const JsonObject& json, ModelConfig& config) {
  return read_olmo_config(json, {}, config);
}

}  // namespace

const ArchitectureSpec olmo2_spec = {
    .model_type = "olmo2",
    .architecture = Architecture::olmo2,
    .names = olmo_names(),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_olmo2_config,
};

}  // namespace headspark
