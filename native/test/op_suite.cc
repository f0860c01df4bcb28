// The suite's machinery: guarded arrays, comparison, finite differences.
#include "op_suite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "headspark/dtype.h"

namespace headspark::test {
namespace {

constexpr std::uint32_t kUnwritten = 0x7fc0deadu;  // a quiet NaN with a payload

bool is_unwritten(float value) {
  return f32_to_bits(value) == kUnwritten;
}

std::string at(const std::string& where, std::size_t index, float a, float b) {
  return where + "[" + std::to_string(index) + "]: " + std::to_string(a) + " against " +
         std::to_string(b);
}

void compare_outputs(const std::string& where, const Outputs& a, const Outputs& reference,
                     double tolerance) {
  REQUIRE(a.arrays().size() == reference.arrays().size());
  for (std::size_t i = 0; i < a.arrays().size(); ++i) {
    check_near(where + " " + a.arrays()[i].name(), a.arrays()[i].values(),
               reference.arrays()[i].values(), tolerance);
  }
}

}  // namespace

std::uint64_t Random::bits() {  // splitmix64
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

float Random::uniform(float low, float high) {
  return low + (high - low) * static_cast<float>(bits() >> 40) * 0x1p-24f;
}

std::vector<float> Random::values(std::int64_t count, float low, float high) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = uniform(low, high);
  return values;
}

GuardedArray::GuardedArray(std::string name, std::int64_t count)
    : name_(std::move(name)),
      storage_(static_cast<std::size_t>(count + 2 * kGuard), bits_to_f32(kUnwritten)) {}

GuardedArray::GuardedArray(std::string name, const std::vector<float>& values)
    : GuardedArray(std::move(name), static_cast<std::int64_t>(values.size())) {
  std::copy(values.begin(), values.end(), data());
}

bool GuardedArray::guards_intact() const {
  const auto end = storage_.end();
  return std::all_of(storage_.begin(), storage_.begin() + kGuard, is_unwritten) &&
         std::all_of(end - kGuard, end, is_unwritten);
}

bool GuardedArray::fully_written() const {
  return std::none_of(data(), data() + size(), is_unwritten);
}

float* Outputs::dense(const std::string& name, std::int64_t count) {
  dense_.push_back(true);
  return arrays_.emplace_back(name, count).data();
}

float* Outputs::strided(const std::string& name, std::int64_t count) {
  dense_.push_back(false);
  return arrays_.emplace_back(name, count).data();
}

float* Outputs::initial(const std::string& name, const std::vector<float>& values) {
  dense_.push_back(false);
  return arrays_.emplace_back(name, values).data();
}

const GuardedArray& Outputs::operator[](const std::string& name) const {
  for (const GuardedArray& array : arrays_) {
    if (array.name() == name) return array;
  }
  FAIL("no output named " << name);
  return arrays_.front();
}

void Outputs::check(const std::string& where) const {
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    CHECK_MESSAGE(arrays_[i].guards_intact(), where, " wrote outside ", arrays_[i].name());
    if (dense_[i]) {
      CHECK_MESSAGE(arrays_[i].fully_written(), where, " left gaps in ", arrays_[i].name());
    }
  }
}

std::vector<Isa> cpu_levels() {
  std::vector<Isa> found;
  for (const Isa isa : isa_levels()) {
    if (isa_runs_here(isa)) found.push_back(isa);
  }
  return found;
}

namespace {

void check_level(const OpCase& op_case, const Level& level, Precision precision,
                 const Outputs& reference) {
  const double tolerance =
      precision == Precision::fast ? op_case.fast_tolerance : op_case.tolerance;
  const std::string where = op_case.name + " on " + level.name + " " + precision_name(precision);
  Outputs one;
  op_case.run(level.context(1, precision), one);
  one.check(where);
  compare_outputs(where, one, reference, tolerance);
  Outputs three;
  op_case.run(level.context(3, precision), three);
  three.check(where + ", 3 threads");
  for (std::size_t i = 0; i < one.arrays().size(); ++i) {
    check_same_bits(where + ", 3 threads, " + one.arrays()[i].name(), three.arrays()[i].values(),
                    one.arrays()[i].values());
  }
}

// `fast` of the levels with fp16 tiles is the very table of those without (kernel_table.h).
bool has_fast_of_its_own(const Level& level) {
  return level.isa != Isa::amx_fp16 && level.isa != Isa::amx_fp16_emulated;
}

}  // namespace

void check_case(const OpCase& op_case) {
  Outputs reference;
  op_case.run(make_cpu_context(1, Isa::specification), reference);
  for (const Level& level : levels()) {
    check_level(op_case, level, Precision::exact, reference);
    if (has_fast_of_its_own(level)) check_level(op_case, level, Precision::fast, reference);
  }
}

void check_near(const std::string& where, const std::vector<float>& a, const std::vector<float>& b,
                double tolerance) {
  REQUIRE(a.size() == b.size());
  double largest = 0.0;
  for (const float value : b) {
    if (std::isfinite(value)) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (f32_to_bits(a[i]) == f32_to_bits(b[i])) continue;  // infinities and unwritten gaps too
    const double diff = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (!(diff <= tolerance * largest)) {
      FAIL_CHECK(at(where, i, a[i], b[i]) << ", largest " << largest);
      return;
    }
  }
  CHECK(a.size() == b.size());
}

void check_same_bits(const std::string& where, const std::vector<float>& a,
                     const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (f32_to_bits(a[i]) != f32_to_bits(b[i])) {
      FAIL_CHECK(at(where, i, a[i], b[i]) << ": bits differ");
      return;
    }
  }
  CHECK(a.size() == b.size());
}

double weighted_sum(const std::vector<float>& weights, const float* values) {
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    sum += static_cast<double>(weights[i]) * values[i];
  }
  return sum;
}

void check_gradient(const GradientCheck& check) {
  REQUIRE(check.x.size() == check.gradient.size());
  double largest = 0.0;
  for (const float value : check.gradient) {
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  }
  for (std::size_t i = 0; i < check.x.size(); ++i) {
    std::vector<float> x = check.x;
    x[i] = check.x[i] + check.step;
    const double above = x[i];
    const double loss_above = check.loss(x);
    x[i] = check.x[i] - check.step;
    const double slope = (loss_above - check.loss(x)) / (above - x[i]);
    const double diff = std::fabs(slope - check.gradient[i]);
    if (!(diff <= check.tolerance * largest)) {
      FAIL_CHECK(at(check.name, i, check.gradient[i], static_cast<float>(slope))
                 << ": gradient against finite difference, largest " << largest);
      return;
    }
  }
  CHECK(largest > 0.0);
}

}  // namespace headspark::test
