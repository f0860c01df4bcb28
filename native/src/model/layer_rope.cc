#include "model/layer_rope.h"

namespace headspark {

LayerRope split_rope(const JsonObject& json) {
  constexpr const char* full = "full_attention";
  constexpr const char* sliding = "sliding_attention";
  LayerRope split{.config = json.json()};
  const nlohmann::json* rope = json.find("rope_parameters");
  if (rope == nullptr || !rope->is_object()) return split;
  const JsonObject layers(*rope, json.source() + " (rope parameters)", ErrorCode::CONFIG);
  split.by_layer = layers.has(full) || layers.has(sliding);
  if (!split.by_layer) return split;
  const auto part = [&](const char* name) {
    const nlohmann::json* found = layers.find(name);
    return found == nullptr ? nlohmann::json::object() : *found;
  };
  split.config["rope_parameters"] = part(full);
  const nlohmann::json of_windows = part(sliding);
  const JsonObject windows(of_windows, layers.source(), ErrorCode::CONFIG);
  if (windows.text("rope_type").value_or("default") != "default") {
    windows.fail("a scaled rotation in \"sliding_attention\" is not supported");
  }
  split.window_theta = windows.number("rope_theta");
  return split;
}

}  // namespace headspark
