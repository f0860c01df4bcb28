// Benchmarks of whole computations on a checkpoint: loading, prefill, decode, EAP-IG, sweeps,
// circuits, what prefix sharing, gates and an adapter cost or save, and how time and memory grow.
// Usage: bench_model FOLDER --pairs FILE [--paper-pairs FILE] [--adapter DIR] [--memory MB]
// [--batch-tokens N] [--device cpu|cuda:N] [--threads N] [--isa NAME] [--precision exact|fast]
// [--filter TEXT] [--milliseconds N] [--rounds N] [--quick] [--no-verify] [--json] [--out FILE];
// `npm run bench` makes the files.
#include "model/setup.h"

namespace headspark::bench {
namespace {

int run_model(const Options& options) {
  const Setup setup = make_setup(options);
  Report report("bench_model", setup.engine.context, options);
  report.attempt("loading", [&] { bench_loading(report, options); });
  bench_workloads(report, setup);
  report.attempt("ratios", [&] { bench_ratios(report, setup); });
  report.attempt("adapter", [&] { bench_adapter(report, setup); });
  report.attempt("scaling", [&] { bench_scaling(report, setup); });
  return report.finish();
}

}  // namespace
}  // namespace headspark::bench

int main(int argc, char** argv) {
  return headspark::bench::run_main("bench_model", headspark::bench::run_model, argc, argv);
}
