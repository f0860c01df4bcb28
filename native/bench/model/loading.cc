// How long a checkpoint takes from its files to the first forward.
#include <functional>

#include "model/setup.h"

namespace headspark::bench {
namespace {

/// Reading the files in, with or without the pass that refuses NaN.
Result loading(const Options& options, bool check_values) {
  Result result;
  result.name = check_values ? "load, values checked" : "load, values not checked";
  result.note = "files in the page cache";
  const std::function<void()> run = [&] {
    load_model(options.folders.front(), {.check_values = check_values}, {});
  };
  run();
  result.timing = time_interleaved({&run, 1}, {200, options.quick ? 1 : 3}).front();
  const double stored = static_cast<double>(
      load_model(options.folders.front(), {.check_values = false}, {})->mapped_bytes);
  result.bytes = check_values ? stored : 0;
  return result;
}

/// A fresh load and the first forward, which packs what the kernels want packed, against a second.
Ratio first_forward(const Options& options) {
  const LogitsRequest request{{{1, 2, 3, 4, 5, 6, 7, 8}}, {}, false};
  std::vector<double> first, second;
  for (int round = 0; round < (options.quick ? 1 : 3); ++round) {
    const Engine engine = make_engine(
        load_model(options.folders.front(), {.check_values = false}, {}), engine_options(options));
    const std::function<void()> run = [&] { compute_logits(engine, request, {}); };
    first.push_back(time_interleaved({&run, 1}, {0, 1}).front().median);
    second.push_back(time_interleaved({&run, 1}, {0, 1}).front().median);
  }
  Ratio ratio;
  ratio.name = "first forward of 8 tokens against the second";
  ratio.note = options.device == DeviceKind::cpu ? "the first packs the weights"
                                                 : "the first copies the weights to the device";
  ratio.slow = summarize(first);
  ratio.fast = summarize(second);
  return ratio;
}

}  // namespace

void bench_loading(Report& report, const Options& options) {
  if (!options.selects("load")) return;
  report.add(loading(options, true));
  report.add(loading(options, false));
  report.add(first_forward(options));
}

}  // namespace headspark::bench
