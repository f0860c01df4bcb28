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
  std::int64_t peak_memory = 0;  // bytes resident at most, weights included; 0: not measured
  std::string note;              // what was verified or counted
};

/// How far a result is from the specification, relative; above `tolerance` it is wrong.
struct Check {
  double error = -1;
  double tolerance = 0;
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
/// larger of the peaks before and after it. The file of --out has all figures at any moment, and
/// says whether they are complete.
class Report {
 public:
  Report(const char* program, const Context& context, const Options& options);

  void add(const Result& result);
  /// A result that is kept first and verified then, unless --no-verify says otherwise: what ends
  /// the program meanwhile, or an error of `verify`, leaves it as one that is not verified.
  void add(const Result& result, const std::function<Check()>& verify);
  void add(const Ratio& ratio);
  void add(const Scale& scale);
  /// Runs a measurement; an error of it is a wrong result, and the next one goes on.
  void attempt(const std::string& name, const std::function<void()>& measure);
  /// Prints the JSON object, if that was asked for. The program's exit code: 0, or 1 when a result
  /// was wrong.
  int finish();

 private:
  /// Whether it is right; a sentence where not.
  bool check(const std::string& name, const Check& check);
  nlohmann::json entry_of(const Result& result, const Peaks& peak) const;
  void print(const Result& result, const Peaks& peak, double error) const;
  void save(bool complete);
  /// The larger of the peaks before and after the result that was just measured.
  Peaks beside_result();

  std::string program_;
  std::string out_;
  bool json_ = false;
  bool verifies_ = true;
  std::FILE* lines_ = nullptr;  // where lines for people go: stderr when stdout has the JSON
  PeakMeter meter_;
  Peaks latest_;
  nlohmann::json all_;
  bool correct_ = true;
};

}  // namespace headspark::bench
