// Benchmarks of the CPU ops: each is verified against the specification, then timed, and set beside
// the peaks measured in the same run. Usage: bench_ops [--threads N] [--isa NAME]
// [--precision exact|fast] [--filter TEXT] [--milliseconds N] [--quick] [--json].
#include "common/report.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

// One bf16 term has 8 bits.
constexpr double exact_tolerance = 1e-4;
constexpr double fast_tolerance = 1e-2;

std::vector<Benchmark> all_benchmarks(bool quick) {
  std::vector<Benchmark> all;
  for (auto& group :
       {linear_benchmarks(quick), contraction_benchmarks(quick), attention_benchmarks(quick),
        mlp_benchmarks(quick), elementwise_benchmarks()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

int run_ops(const Options& options) {
  const Context context = make_cpu_context(options.threads, default_isa(), options.precision);
  const Context specification = make_cpu_context(options.threads, Isa::specification);
  const double otherwise = options.quick ? 100 : 500;
  const Budget budget{options.milliseconds > 0 ? options.milliseconds : otherwise,
                      options.quick ? 3 : 5};
  Report report("bench_ops", context, options);
  for (const Benchmark& b : all_benchmarks(options.quick)) {
    if (!options.selects(b.name)) continue;
    b.run(context);
    Result result;
    result.name = b.name;
    result.flops = b.flops;
    result.bytes = b.bytes;
    result.tolerance = options.precision == Precision::exact ? exact_tolerance : fast_tolerance;
    result.error = b.error(specification);
    const std::function<void()> run = [&] { b.run(context); };
    result.timing = time_interleaved({&run, 1}, budget).front();
    report.add(result);
  }
  return report.finish();
}

}  // namespace
}  // namespace headspark::bench

int main(int argc, char** argv) {
  return headspark::bench::run_main("bench_ops", headspark::bench::run_ops, argc, argv);
}
