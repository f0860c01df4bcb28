// A benchmark of one op, and the groups of them.
#pragma once

#include <functional>
#include <string>
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

/// Each group on the device of `context`, with sizes for a CPU or for a GPU; `quick` leaves out the
/// large ones.
std::vector<Benchmark> linear_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> attention_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> contraction_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> head_input_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> mlp_benchmarks(const Context& context, bool quick);
std::vector<Benchmark> elementwise_benchmarks(const Context& context, bool quick);

}  // namespace headspark::bench
