// Time and memory at 1, 4 and 16 times as many pairs, steps and variants. The workspace budget is
// fixed, as a user with --memory has it, so that growth of memory would be growth by the amount:
// the least of 256 MiB, 512 MiB, … in which one pair of the model has room.
#include <algorithm>

#include "headspark/error.h"
#include "model/pairs_file.h"
#include "model/setup.h"

namespace headspark::bench {
namespace {

constexpr std::int64_t least_workspace = std::int64_t{256} << 20;
constexpr std::int64_t most_workspace = std::int64_t{64} << 30;

struct Run {
  std::function<void(std::int64_t amount)> body;
  bool on_cpu;  ///< what the process holds is what the work takes
};

/// The three amounts in turn; the time that one more unit costs shows whether growth is linear.
void bench_amounts(Report& report, const std::string& what, std::int64_t first, const Run& run) {
  std::vector<Scale> rows(3);
  std::vector<std::function<void()>> runs;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Scale& row = rows[i];
    row.what = what;
    row.amount = i == 0 ? first : 4 * rows[i - 1].amount;
    runs.emplace_back([&row, &run] {
      const bool measured = run.on_cpu && reset_peak_memory();
      run.body(row.amount);
      if (measured) row.peak_memory = std::max(row.peak_memory, peak_memory_bytes());
    });
  }
  const std::vector<Timing> timings = time_interleaved(runs, {0, 2});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].timing = timings[i];
    if (i > 0) {
      rows[i].per_added = (timings[i].least - timings[i - 1].least) /
                          static_cast<double>(rows[i].amount - rows[i - 1].amount);
    }
    report.add(rows[i]);
  }
}

/// Runs it unless the memory budget is too small for one pair.
bool has_room(const std::function<void()>& run) {
  try {
    run();
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::OUT_OF_MEMORY) throw;
    return false;
  }
}

}  // namespace

void bench_scaling(Report& report, const Setup& setup) {
  if (!setup.options.selects("scaling")) return;
  Engine engine = setup.engine;
  const bool by_model = setup.options.memory_bytes == 0;
  if (by_model) engine.options.memory_bytes = least_workspace;
  const std::size_t few = setup.options.quick ? 1 : 2;
  const auto first = static_cast<std::int64_t>(few);
  const auto eap_ig = [&](std::size_t pairs, int steps) {
    AttributionOptions options;
    options.ig_steps = steps;
    attribute(engine, repeat_pairs(setup.pairs, pairs), options, {});
  };
  const auto most_steps = static_cast<int>(16 * first);
  while (!has_room([&] { eap_ig(few, most_steps); })) {
    if (!by_model || engine.options.memory_bytes >= most_workspace) break;
    engine.options.memory_bytes *= 2;
  }
  const bool on_cpu = engine.context.on_cpu();
  const auto pairs = [&](std::int64_t amount) { eap_ig(static_cast<std::size_t>(amount), 5); };
  const auto steps = [&](std::int64_t amount) { eap_ig(few, static_cast<int>(amount)); };
  bench_amounts(report, "pairs", first, {pairs, on_cpu});
  bench_amounts(report, "steps", first, {steps, on_cpu});
  // The same few heads over and over, so that every variant costs the same.
  const std::vector<AblationVariant> heads = single_heads(setup.config(), 2);
  const Sweep sweep(engine, repeat_pairs(setup.pairs, few), {}, {});
  const auto run_variants = [&](std::int64_t amount) {
    std::vector<AblationVariant> variants;
    for (std::int64_t i = 0; i < amount; ++i) {
      variants.push_back(heads[static_cast<std::size_t>(i) % heads.size()]);
      // A factor of its own: equal variants might be computed once.
      variants.back().heads.front().factor = 1.0f / static_cast<float>(i + 2);
    }
    sweep.run(variants, {});
  };
  bench_amounts(report, "variants", 2 * first, {run_variants, on_cpu});
}

}  // namespace headspark::bench
