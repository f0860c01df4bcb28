// The shared suite of the ops, after ggml's test-backend-ops: a case runs one op on every kernel
// level, is compared with the specification, and must leave the guard values round its arrays
// alone.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "headspark/context.h"

namespace headspark::test {

/// Reproducible values; the same on every platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();
  float uniform(float low, float high);
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(limit));
  }
  std::vector<float> values(std::int64_t count, float low = -1.0f, float high = 1.0f);

 private:
  std::uint64_t state_;
};

/// floats between two guards of 64 NaN with a payload; unwritten elements hold that NaN too.
class GuardedArray {
 public:
  GuardedArray(std::string name, std::int64_t count);
  GuardedArray(std::string name, const std::vector<float>& values);

  float* data() { return storage_.data() + kGuard; }
  const float* data() const { return storage_.data() + kGuard; }
  std::int64_t size() const { return static_cast<std::int64_t>(storage_.size()) - 2 * kGuard; }
  const std::string& name() const { return name_; }
  std::vector<float> values() const { return {data(), data() + size()}; }
  bool guards_intact() const;
  bool fully_written() const;

 private:
  static constexpr std::int64_t kGuard = 64;
  std::string name_;
  std::vector<float> storage_;
};

/// The arrays that one run of an op writes.
class Outputs {
 public:
  /// Every element must be written.
  float* dense(const std::string& name, std::int64_t count);
  /// Elements between rows may stay unwritten.
  float* strided(const std::string& name, std::int64_t count);
  /// Starts from these values (op adds, or works in place).
  float* initial(const std::string& name, const std::vector<float>& values);

  std::deque<GuardedArray>& arrays() { return arrays_; }
  const std::deque<GuardedArray>& arrays() const { return arrays_; }
  const GuardedArray& operator[](const std::string& name) const;
  /// Guards and full writing, as doctest checks.
  void check(const std::string& where) const;

 private:
  std::deque<GuardedArray> arrays_;
  std::vector<bool> dense_;
};

struct OpCase {
  std::string name;
  double tolerance = 1e-5;  ///< of the largest reference value of each output
  std::function<void(const Context&, Outputs&)> run;
  /// The same for `fast`: a bf16 term has 8 bits, so operands are off by 2^-9.
  double fast_tolerance = 2e-2;
};

/// The levels of CPU kernels that this machine runs, the specification first.
std::vector<Isa> cpu_levels();

/// One implementation of the ops: a level of CPU kernels, or a device whose memory is the host's.
struct Level {
  std::string name;
  std::optional<Isa> isa;  ///< none: the emulated CUDA device

  /// On the device, more than one thread means another order of its own threads.
  Context context(int threads, Precision precision = Precision::exact) const;
};

/// The implementations that this build tests: all kernel levels of this machine, the specification
/// first; or the emulated device, in builds that are for it.
const std::vector<Level>& levels();

/// The name of the level that a context is of.
std::string level_name(const Context& context);

/// Runs the case on every level and precision with 1 and 3 threads: near the specification, and the
/// bits do not depend on the threads.
void check_case(const OpCase& op_case);

/// Largest |a - b| is at most tolerance * largest |b|; NaN fails.
void check_near(const std::string& where, const std::vector<float>& a, const std::vector<float>& b,
                double tolerance);

/// Equal bit for bit.
void check_same_bits(const std::string& where, const std::vector<float>& a,
                     const std::vector<float>& b);

/// Sum of weights[i] * values[i] in double: the scalar that gradients are taken of.
double weighted_sum(const std::vector<float>& weights, const float* values);

/// Central differences of `loss` at `x` against `gradient`, in every coordinate.
struct GradientCheck {
  std::string name;
  std::vector<float> x;
  std::vector<float> gradient;
  std::function<double(const std::vector<float>&)> loss;
  float step = 1e-2f;
  double tolerance = 2e-3;  ///< of the largest |gradient|
};
void check_gradient(const GradientCheck& check);

}  // namespace headspark::test
