// Rotary frequencies and angles in fp32, in the order of operations of transformers'
// modeling_rope_utils.py (`_compute_linear_scaling_rope_parameters`, `_compute_llama3_parameters`,
// `_compute_yarn_parameters`, `_compute_longrope_parameters`) and of LlamaRotaryEmbedding. In
// double, positions in the thousands would get other angles.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "headspark/error.h"
#include "headspark/model.h"

namespace headspark {
namespace {

float llama3_frequency(const RotaryConfig& config, float frequency) {
  const auto low = static_cast<float>(config.low_frequency_factor);
  const auto range = static_cast<float>(config.high_frequency_factor - config.low_frequency_factor);
  const auto positions = static_cast<float>(config.original_max_positions);
  const auto factor = static_cast<float>(config.factor);
  const float wavelength = static_cast<float>(2.0 * std::numbers::pi) / frequency;
  const auto longest =
      static_cast<float>(config.original_max_positions / config.low_frequency_factor);
  const auto shortest =
      static_cast<float>(config.original_max_positions / config.high_frequency_factor);
  if (wavelength > longest) return frequency / factor;
  if (wavelength < shortest) return frequency;
  const float smooth = (positions / wavelength - low) / range;
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

/// The pair of dimensions, as a fraction, that turns `rotations` times over the original positions.
double pair_of_rotations(const RotaryConfig& config, double rotations) {
  const double turn = rotations * 2.0 * std::numbers::pi;
  return static_cast<double>(config.rotary_dim) * std::log(config.original_max_positions / turn) /
         (2.0 * std::log(config.theta));
}

/// Of every pair: 0 keeps its frequency, 1 divides it by the factor.
std::vector<float> yarn_ramp(const RotaryConfig& config) {
  double low = pair_of_rotations(config, config.fast_rotations);
  double high = pair_of_rotations(config, config.slow_rotations);
  if (config.whole_dimensions) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.rotary_dim - 1));
  if (low == high) high += 0.001;
  std::vector<float> ramp;
  for (std::int64_t pair = 0; pair < config.rotary_dim / 2; ++pair) {
    const float place =
        (static_cast<float>(pair) - static_cast<float>(low)) / static_cast<float>(high - low);
    ramp.push_back(std::clamp(place, 0.0f, 1.0f));
  }
  return ramp;
}

std::vector<float> inverse_frequencies(const RotaryConfig& config) {
  std::vector<float> result;
  std::vector<float> ramp;
  if (config.scaling == RotaryScaling::yarn) ramp = yarn_ramp(config);
  for (std::int64_t i = 0; i < config.rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(config.rotary_dim);
    const auto base = static_cast<double>(static_cast<float>(config.theta));
    // Correctly rounded but for rare ties; the fp32 pow of torch is within 1 ulp of it.
    const auto power = static_cast<float>(std::pow(base, static_cast<double>(exponent)));
    float frequency = 1.0f / power;
    if (config.scaling == RotaryScaling::linear) frequency /= static_cast<float>(config.factor);
    if (config.scaling == RotaryScaling::longrope) {
      frequency = 1.0f / (config.frequency_divisors[static_cast<std::size_t>(i / 2)] * power);
    }
    if (config.scaling == RotaryScaling::llama3) frequency = llama3_frequency(config, frequency);
    if (config.scaling == RotaryScaling::yarn) {
      const float kept = 1.0f - ramp[static_cast<std::size_t>(i / 2)];
      const float slow = 1.0f / (static_cast<float>(config.factor) * power);
      frequency = slow * (1.0f - kept) + frequency * kept;
    }
    result.push_back(frequency);
  }
  return result;
}

}  // namespace

RotaryTable make_rotary_table(const RotaryConfig& config, std::int64_t positions) {
  if (positions < 0 || config.rotary_dim < 0 || config.rotary_dim % 2 != 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "A rotary table needs positions >= 0 and an even rotary_dim.");
  }
  RotaryTable table;
  table.positions = positions;
  table.pairs = config.rotary_dim / 2;
  const std::vector<float> frequencies = inverse_frequencies(config);
  const auto size = static_cast<std::size_t>(positions * table.pairs);
  std::vector<float> cosine;
  std::vector<float> sine;
  cosine.reserve(size);
  sine.reserve(size);
  for (std::int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      cosine.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
      sine.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
    }
  }
  table.cosine = std::move(cosine);
  table.sine = std::move(sine);
  return table;
}

}  // namespace headspark
