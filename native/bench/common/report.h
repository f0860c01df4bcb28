// What a benchmark found out: lines for people, and one JSON object for scripts/bench.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "common/measure.h"
#include "common/options.h"
#include "common/peaks.h"
#include "headspark/context.h"
#include "nlohmann/json.hpp"

namespace headspark::bench {

struct Result {
  std::string name;
  Timing timing;
  double flops = 0;              // needed per run
  double bytes = 0;              // per run, read or written at least once
  double error = -1;             // against the specification, relative; < 0: not verified
  double tolerance = 0;          // error above it is a failure
  std::int64_t peak_memory = 0;  // bytes resident at most, weights included; 0: not measured
  std::string note;              // what was verified or counted
};

/// Two alternatives timed in turn: how many times as long `slow` takes as `fast`.
struct Ratio {
  std::string name;
  Timing fast, slow;
  double difference = -1;  // between the two results, relative; < 0: not compared
  double tolerance = 0;
  std::string note;

  double ratio() const { return slow.median / fast.median; }
};

/// One row of a scaling table.
struct Scale {
  std::string what;  // "pairs", "steps", "variants"
  std::int64_t amount = 0;
  Timing timing;
  std::int64_t peak_memory = 0;
  double per_added = 0;  // seconds per unit more than the row before has; the first row's: 0
};

/// Measures the machine's peaks, prints a heading, then every figure as it comes. The peaks are
/// measured again after every result, because the machine drifts: a result's shares are of the
/// larger of the peaks before and after it.
class Report {
 public:
  Report(const char* program, const Context& context, const Options& options);

  void add(const Result& result);
  void add(const Ratio& ratio);
  void add(const Scale& scale);
  /// Runs a measurement; an error of it is a wrong result, and the next one goes on.
  void attempt(const std::string& name, const std::function<void()>& measure);
  /// Prints the JSON object, if that was asked for. The program's exit code: 0, or 1 when a result
  /// was wrong.
  int finish();

 private:
  void check(const std::string& name, double error, double tolerance);
  /// The larger of the peaks before and after the result that was just measured.
  Peaks beside_result();

  std::string program_;
  bool json_ = false;
  std::FILE* lines_ = nullptr;  // where lines for people go: stderr when stdout has the JSON
  PeakMeter meter_;
  Peaks latest_;
  nlohmann::json all_;
  bool correct_ = true;
};

}  // namespace headspark::bench
