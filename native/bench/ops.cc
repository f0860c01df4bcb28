// Benchmarks of the ops on the CPU or a GPU: each is timed, then verified, and set beside the peaks
// measured in the same run. Usage: bench_ops [--device cpu|cuda:N] [--threads N] [--isa NAME]
// [--precision exact|fast] [--filter TEXT] [--milliseconds N] [--rounds N] [--quick] [--no-verify]
// [--json] [--out FILE].
#include "common/on_device.h"
#include "common/report.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

// One bf16 term has 8 bits.
constexpr double exact_tolerance = 1e-4;
constexpr double fast_tolerance = 1e-2;

using Group = std::vector<Benchmark> (*)(const Context&, bool quick);
constexpr Group kGroups[] = {linear_benchmarks,     contraction_benchmarks, attention_benchmarks,
                             head_input_benchmarks, mlp_benchmarks,         elementwise_benchmarks};

void measure(Report& report, const Benchmark& b, const Context& context, const Context& reference,
             const Budget& budget) {
  b.run();
  Result result;
  result.name = b.name;
  result.flops = b.flops;
  result.bytes = b.bytes;
  result.timing = time_queued(context, b.run, budget);
  report.add(result, [&]() -> Check {
    return {b.error(reference),
            context.precision == Precision::exact ? exact_tolerance : fast_tolerance};
  });
}

int run_ops(const Options& options) {
  const Context context = make_context(options);
  const Context reference = reference_of(context);
  const double otherwise = options.quick ? 100 : 500;
  const Budget budget{options.milliseconds > 0 ? options.milliseconds : otherwise,
                      options.rounds > 0 ? options.rounds
                      : options.quick    ? 3
                                         : 5};
  Report report("bench_ops", context, options);
  for (const Group group : kGroups) {
    for (const Benchmark& b : group(context, options.quick)) {
      if (!options.selects(b.name)) continue;
      report.attempt(b.name, [&] { measure(report, b, context, reference, budget); });
    }
  }
  return report.finish();
}

}  // namespace
}  // namespace headspark::bench

int main(int argc, char** argv) {
  return headspark::bench::run_main("bench_ops", headspark::bench::run_ops, argc, argv);
}
