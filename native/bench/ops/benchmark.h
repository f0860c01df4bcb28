// A benchmark of one op, and the groups of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headspark/context.h"

namespace headspark::bench {

struct Benchmark {
  std::string name;
  double flops = 0;  // per run
  double bytes = 0;  // per run, read and written at least once
  std::function<void()> run;
  /// Largest error of a part of the result, relative to its largest value, against the same op on
  /// the CPU context `reference` (see reference_of); called after run.
  std::function<double(const Context& reference)> error;
};

/// What benchmarks of one size share, made when the first of them runs: those that are not selected
/// cost nothing. Copies share it.
template <typename T>
class OnFirstUse {
 public:
  using Make = std::function<std::unique_ptr<T>()>;
  explicit OnFirstUse(Make make) : state_(std::make_shared<State>(State{std::move(make), {}})) {}

  T* operator->() const {
    if (state_->made == nullptr) state_->made = state_->make();
    return state_->made.get();
  }
  T& operator*() const { return *operator->(); }

 private:
  struct State {
    Make make;
    std::unique_ptr<T> made;
  };
  std::shared_ptr<State> state_;
};

/// T(arguments...), copied now, on first use.
template <typename T, typename... Arguments>
OnFirstUse<T> on_first_use(const Arguments&... arguments) {
  return OnFirstUse<T>([=] { return std::make_unique<T>(arguments...); });
}

/// Each group on the device of `context`, with sizes for a CPU or for a GPU; `quick` leaves out the
/// large ones.
std::vector<Benchmark> linear_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> attention_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> contraction_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> head_input_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> mlp_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> elementwise_benchmarks(const Context& context, bool quick);

}  // namespace headspark::bench
