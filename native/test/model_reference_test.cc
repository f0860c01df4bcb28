// The shared reference checkpoints: their dimensions and fixed values, when they are at hand.
#include <cmath>

#include "golden.h"
#include "model_files.h"

namespace headspark {
namespace {

struct Reference {
  const char* folder;
  Architecture architecture;
  std::int64_t layers, heads, kv_heads, head_dim, hidden, parameters;
};

constexpr Reference references[] = {
    {"reference/qwen2", Architecture::qwen2, 4, 6, 2, 16, 96, 295168},
    {"reference/qwen3", Architecture::qwen3, 3, 5, 1, 24, 80, 222624},
    {"reference/llama", Architecture::llama, 4, 6, 2, 16, 96, 324000},
    {"reference/gpt2", Architecture::gpt2, 3, 5, 5, 16, 80, 268480},
    {"reference/neox", Architecture::gpt_neox, 3, 6, 6, 16, 96, 394656},
    {"models/stories260K", Architecture::llama, 5, 8, 4, 8, 64, 260032},
    {"models/tiny-arith/base-step1000", Architecture::qwen3, 3, 4, 2, 16, 64, 112160},
};

TEST_CASE("reference checkpoints load") {
  const std::filesystem::path shared = golden::shared_folder();
  if (shared.empty()) {
    MESSAGE("skipped: no ../shared folder (set HEADSPARK_SHARED)");
    return;
  }
  for (const Reference& reference : references) {
    CAPTURE(reference.folder);
    const auto model = load_model(shared / reference.folder, LoadOptions(), RunControl());
    CHECK(model->config.architecture == reference.architecture);
    CHECK(model->config.layers == reference.layers);
    CHECK(model->config.heads == reference.heads);
    CHECK(model->config.kv_heads == reference.kv_heads);
    CHECK(model->config.head_dim == reference.head_dim);
    CHECK(model->config.hidden == reference.hidden);
    CHECK(model->parameter_count == reference.parameters);
    CHECK(model_fingerprint(*model).size() == 32);
  }
  const auto neox = load_model(shared / "reference/neox", LoadOptions(), RunControl());
  CHECK(neox->config.rotary.rotary_dim == 4);
  CHECK(neox->config.parallel_block);
}

}  // namespace
}  // namespace headspark
