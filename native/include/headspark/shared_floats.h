// An array of the host that never changes once it is made, so that devices copy it once for as long
// as it lives and need not compare it with their copy.
#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace headspark {

/// Copies share the values.
class SharedFloats {
 public:
  SharedFloats() = default;
  /// Of a vector that nobody else has.
  SharedFloats(std::vector<float>&& values)
      : values_(std::make_shared<const std::vector<float>>(std::move(values))) {}

  const float* data() const { return values_ != nullptr ? values_->data() : nullptr; }
  std::size_t size() const { return values_ != nullptr ? values_->size() : 0; }
  bool empty() const { return size() == 0; }
  float operator[](std::size_t index) const { return (*values_)[index]; }
  /// Gone with the last copy; another array has another owner, also where it lies at this address.
  std::weak_ptr<const void> owner() const { return values_; }

 private:
  std::shared_ptr<const std::vector<float>> values_;
};

}  // namespace headspark
