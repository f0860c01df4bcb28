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
  std::function<void(const Context&)> run;
  /// Largest error of a part of the result against the specification, relative to its largest
  /// value; called after run.
  std::function<double(const Context& specification)> error;
};

std::vector<Benchmark> linear_benchmarks(bool quick);
std::vector<Benchmark> attention_benchmarks(bool quick);
std::vector<Benchmark> contraction_benchmarks(bool quick);
std::vector<Benchmark> mlp_benchmarks(bool quick);
std::vector<Benchmark> elementwise_benchmarks();

}  // namespace headspark::bench
