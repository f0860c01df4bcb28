// Made on the host; a device copies them on first use.
#include "engine/rotary_tables.h"

#include <string>

#include "headspark/error.h"

namespace headspark {

RotaryTables rotary_for(const Engine& engine, std::int64_t positions) {
  const ModelConfig& config = engine.config();
  if (positions > config.max_positions) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "A prompt of " + std::to_string(positions) + " tokens is longer than the " +
                    std::to_string(config.max_positions) + " positions of " + engine.model->folder +
                    "; shorten it.");
  }
  RotaryTables tables;
  tables.scaled = make_rotary_table(config.rotary, positions);
  if (config.unscaled.empty()) return tables;
  RotaryConfig plain = config.rotary;
  plain.scaling = RotaryScaling::none;
  if (config.unscaled_theta > 0.0) plain.theta = config.unscaled_theta;
  tables.unscaled = make_rotary_table(plain, positions);
  return tables;
}

}  // namespace headspark
