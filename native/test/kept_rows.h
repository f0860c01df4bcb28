// Rows that ops keep, where they are bf16 in the room of floats.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "headspark/dtype.h"
#include "op_suite.h"

namespace headspark::test {

/// The floats of `count` bf16 in the first half of their room.
inline std::vector<float> from_bf16(const float* room, std::int64_t count) {
  const auto* const stored = reinterpret_cast<const std::uint16_t*>(room);
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(bf16_to_f32(stored[i]));
  return values;
}

inline void to_bf16(const std::vector<float>& values, float* room) {
  auto* const stored = reinterpret_cast<std::uint16_t*>(room);
  for (std::size_t i = 0; i < values.size(); ++i) stored[i] = f32_to_bf16(values[i]);
}

inline std::vector<float> rounded(std::vector<float> values) {
  for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

/// Floats that `count` values take.
inline std::int64_t kept_floats(std::int64_t count, bool bf16) {
  return floats_for(count, bf16 ? DType::bf16 : DType::f32);
}

/// `values` as backward reads them.
inline GuardedArray kept_rows(const std::string& name, const std::vector<float>& values,
                              bool bf16) {
  if (!bf16) return {name, values};
  GuardedArray array(name, kept_floats(static_cast<std::int64_t>(values.size()), true));
  to_bf16(values, array.data());
  return array;
}

/// An output that forward keeps, as floats in `outputs`.
class KeptOutput {
 public:
  KeptOutput(Outputs& outputs, const std::string& name, std::int64_t count, bool bf16)
      : output_(outputs.dense(name, count)),
        count_(count),
        bf16_(bf16),
        room_(name, kept_floats(count, bf16)) {}

  float* data() { return bf16_ ? room_.data() : output_; }
  /// After forward.
  void finish() {
    if (!bf16_) return;
    const std::vector<float> values = from_bf16(room_.data(), count_);
    std::copy(values.begin(), values.end(), output_);
  }
  bool guards_intact() const { return room_.guards_intact(); }

 private:
  float* output_;
  std::int64_t count_;
  bool bf16_;
  GuardedArray room_;
};

}  // namespace headspark::test
