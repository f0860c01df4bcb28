// Benchmark of decoding: batch 1, 64 rows without gates, and 64 rows of 16 variants, in turns,
// verified then, beside the floors that this machine's peak and bandwidth set in the same run.
// Usage: bench_decode [--model DIR] [--device cpu|cuda:N] [--threads N] [--prompt N] [--steps N]
// [--rounds N] [--rows N] [--variants N] [--memory MB] [--precision exact|fast] [--adapter DIR]
// [--no-verify] [--json] [--out FILE]. Without a model: random weights of the shape of
// SmolLM2-135M, in bf16. With an adapter the rows without gates are decoded with it as well.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "common/options.h"
#include "common/peaks.h"
#include "decode/synthetic_model.h"
#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/generate.h"
#include "headspark/model.h"
#include "headspark/ops/paged_attention.h"
#include "nlohmann/json.hpp"

namespace {

using headspark::Engine;
using headspark::GenerationEvent;
using headspark::GenerationRequest;
using headspark::Generator;
using headspark::Model;
using headspark::ModelConfig;

namespace bench = headspark::bench;

struct Options {
  bench::Options engine;  ///< threads, device, precision, memory of keys and values, rounds, JSON
  std::string model;
  int prompt = 64;
  int steps = 48;
  int rows = 64;
  int variants = 16;
};

// Steps between a full batch and the clock: on a GPU the second one records what later ones repeat.
constexpr int kWarmSteps = 3;

struct Scenario {
  std::string name;
  int rows = 0;
  int variants = 1;  // 1: no gates
  bool adapted = false;
};

/// Samples of one prompt; variant v > 0 has two heads gated at layers spread over the model.
std::vector<GenerationRequest> requests_of(const Engine& engine, const Scenario& scenario,
                                           const Options& options) {
  std::vector<GenerationRequest> requests;
  const ModelConfig& config = engine.config();
  for (int row = 0; row < scenario.rows; ++row) {
    GenerationRequest request;
    for (int t = 0; t < options.prompt; ++t) {
      request.prompt.push_back(static_cast<std::int32_t>((t * 37 + 11) % config.vocab));
    }
    const int variant = row % scenario.variants;
    if (variant > 0) {
      const auto layer = static_cast<std::int32_t>(variant * config.layers / scenario.variants);
      request.heads = {{layer, 0, 0.0f},
                       {layer, static_cast<std::int32_t>(config.heads - 1), 0.5f}};
    }
    request.sampling.temperature = 0.6f;
    request.sampling.top_p = 0.95f;
    request.seed = static_cast<std::uint64_t>(row);
    // Rows join over several steps, of one variant after the other; none may end before the last.
    request.max_new_tokens = options.steps + kWarmSteps + scenario.rows + 1;
    requests.push_back(std::move(request));
  }
  return requests;
}

using Tokens = std::map<std::uint64_t, std::vector<std::int32_t>>;

/// Bytes of keys and values, `otherwise` GiB where --memory does not say.
std::int64_t pages_of(const Options& options, std::int64_t otherwise) {
  return options.engine.memory_bytes > 0 ? options.engine.memory_bytes : otherwise << 30;
}

/// Seconds on the clock, and of processor time over all threads: where neighbours take their part
/// of the machine, the latter is what stays comparable.
struct Times {
  double wall = 0;
  double processor = 0;
  std::int64_t repeated = 0;  ///< steps that a GPU repeated from a record
};

/// Times of `steps` decode passes with all rows running, and the tokens of the rows.
Times time_steps(const Engine& engine, const Scenario& scenario, const Options& options,
                 Tokens& tokens) {
  using Clock = std::chrono::steady_clock;
  Generator generator(engine, {.max_rows = scenario.rows, .memory_bytes = pages_of(options, 2)});
  for (auto& request : requests_of(engine, scenario, options)) generator.add(std::move(request));
  const auto sink = [&](const GenerationEvent& event) {
    tokens[event.request].push_back(event.token);
  };
  const auto fill = [&] {
    generator.step({}, sink);
    if (generator.running() > 0) return;
    throw headspark::Error(headspark::ErrorCode::INTERNAL,
                           "bench_decode: " + std::to_string(scenario.rows) +
                               " rows never run at the same time; give them more --memory.");
  };
  while (generator.running() < scenario.rows) fill();
  for (int step = 0; step < kWarmSteps; ++step) generator.step({}, sink);
  const std::int64_t repeated = generator.stats().step_repeats.repeated;
  const auto start = Clock::now();
  const std::clock_t used = std::clock();
  for (int step = 0; step < options.steps; ++step) generator.step({}, sink);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double processor = static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC;
  if (generator.running() < scenario.rows) {
    throw headspark::Error(headspark::ErrorCode::INTERNAL,
                           "bench_decode: rows ended while they were timed.");
  }
  return {seconds, processor, generator.stats().step_repeats.repeated - repeated};
}

/// Some rows of the largest batch again, alone: their tokens must be the same.
bool verify(const Engine& engine, const Scenario& scenario, const Options& options) {
  Options few = options;
  few.steps = std::min(options.steps, 8);
  Tokens together;
  time_steps(engine, scenario, few, together);
  const auto requests = requests_of(engine, scenario, few);
  for (const std::size_t row : {std::size_t{0}, requests.size() / 2, requests.size() - 1}) {
    Generator generator(engine, {.max_rows = 1, .memory_bytes = pages_of(options, 1)});
    generator.add(requests[row]);
    std::vector<std::int32_t> alone;
    while (alone.size() < together[row].size()) {
      generator.step({}, [&](const GenerationEvent& event) { alone.push_back(event.token); });
    }
    if (alone != together[row]) return false;
  }
  return true;
}

struct Floors {
  double byte_seconds = 0;
  double flop_seconds = 0;
};

struct LowRankSize {
  double weights = 0;
  double bytes = 0;
};

/// Of a model's low-rank terms, as they are stored.
LowRankSize low_rank_size(const Model& model) {
  LowRankSize size;
  const auto add = [&](const headspark::LinearWeight& weight) {
    const headspark::LowRank* low = headspark::low_rank_of(weight);
    if (low == nullptr) return;
    for (const headspark::LowRankFactor* factor : {&low->a, &low->b}) {
      const auto count = static_cast<double>(factor->count());
      size.weights += count;
      size.bytes += count * static_cast<double>(headspark::dtype_bytes(factor->view.dtype));
    }
  };
  for (const auto& layer : model.layers) {
    for (const auto* weight :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      add(*weight);
    }
  }
  add(model.unembedding);
  return size;
}

// Weights once per step as they are packed, keys and values of every row once, and two operations
// for every weight and row.
Floors floors_of(const Engine& engine, const Scenario& scenario, const Options& options,
                 const bench::Peaks& peak) {
  const ModelConfig& c = engine.config();
  const std::int64_t attention = (2 * c.heads + 2 * c.kv_heads) * c.head_dim * c.hidden;
  const std::int64_t mlp = (c.gated_mlp ? 3 : 2) * c.hidden * c.intermediate;
  const auto weights = static_cast<double>(c.layers * (attention + mlp) + c.vocab * c.hidden);
  const double context = options.prompt + 0.5 * options.steps;
  const std::int64_t of_token = 2 * c.layers * c.kv_heads * c.head_dim;
  const double kv = static_cast<double>(of_token * headspark::dtype_bytes(
                                                       headspark::kv_page_type(engine.context))) *
                    context;
  const double weight_bytes =
      static_cast<double>(headspark::dtype_bytes(engine.model->unembedding.view.dtype));
  const LowRankSize low_rank = low_rank_size(*engine.model);
  const double bytes = weights * weight_bytes + low_rank.bytes + kv * scenario.rows;
  Floors floors;
  floors.byte_seconds = bytes / (peak.copy_gb_per_s * 1e9);
  floors.flop_seconds = 2 * (weights + low_rank.weights) * scenario.rows / (peak.gflops() * 1e9);
  return floors;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string, int*> numbers = {{"--prompt", &options.prompt},
                                               {"--steps", &options.steps},
                                               {"--rows", &options.rows},
                                               {"--variants", &options.variants}};
  std::vector<char*> others{argv[0]};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = numbers.find(name);
    if (number == numbers.end() && name != "--model") {
      others.push_back(argv[i]);
      continue;
    }
    if (i + 1 == argc) {
      throw headspark::Error(headspark::ErrorCode::INVALID_ARGUMENT, name + " needs a value.");
    }
    const char* value = argv[++i];
    if (number == numbers.end()) {
      options.model = value;
    } else if ((*number->second = bench::whole_number(name, value)) == 0) {
      throw headspark::Error(headspark::ErrorCode::INVALID_ARGUMENT, name + " must be at least 1.");
    }
  }
  options.engine = bench::parse_options(static_cast<int>(others.size()), others.data());
  if (options.engine.rounds == 0) options.engine.rounds = 3;
  return options;
}

/// What was timed of a scenario so far.
struct Measured {
  Scenario scenario;
  Floors floors;
  std::vector<double> seconds, processor;  // per step, a value for each round
  std::int64_t repeated = 0;               // of the last round

  double tokens_per_second() const { return scenario.rows / median(seconds); }
};

nlohmann::json to_json(const Measured& m) {
  const auto [least, most] = std::minmax_element(m.seconds.begin(), m.seconds.end());
  const double seconds = median(m.seconds);
  return {{"name", m.scenario.name},
          {"rows", m.scenario.rows},
          {"variants", m.scenario.variants},
          {"rounds", m.seconds.size()},
          {"tokensPerS", m.tokens_per_second()},
          {"msPerStep", seconds * 1e3},
          {"minMsPerStep", *least * 1e3},
          {"maxMsPerStep", *most * 1e3},
          {"processorMsPerStep", median(m.processor) * 1e3},
          {"repeatedSteps", m.repeated},
          {"byteFloorShare", m.floors.byte_seconds / seconds},
          {"flopFloorShare", m.floors.flop_seconds / seconds}};
}

/// All that is known so far: of --json, and of the file of --out at any moment.
class DecodeReport {
 public:
  DecodeReport(const headspark::Context& context, const bench::Peaks& peak, const Options& options)
      : options_(options.engine) {
    all_ = {{"program", "bench_decode"},
            {"cpu", headspark::device_info().cpu_name},
            {"device", context.on_cpu() ? "cpu" : context.backend->name()},
            {"products", context.on_cpu() ? "" : headspark::probe_gpus().products},
            {"threads", context.threads->threads()},
            {"peakGflops", peak.gflops()},
            {"copyGbPerS", peak.copy_gb_per_s},
            {"precision", headspark::precision_name(options_.precision)},
            {"verified", false},
            {"results", nlohmann::json::array()}};
    heading_ = bench::computer_text(context) + "; peaks: " + bench::peaks_text(peak) + "; " +
               headspark::precision_name(options_.precision);
    save(false);
  }

  void keep(const std::vector<Measured>& all) {
    all_["results"] = nlohmann::json::array();
    for (const Measured& m : all) {
      if (!m.seconds.empty()) all_["results"].push_back(to_json(m));
    }
    save(false);
  }
  void keep_verified(bool verified) { all_["verified"] = verified; }

  /// Prints everything: one row, rows without gates and rows with gates come first.
  void finish(const std::vector<Measured>& all) {
    const double one = all[0].tokens_per_second();
    const double ungated = all[1].tokens_per_second();
    const double gated = all[2].tokens_per_second();
    all_["batchOverOne"] = gated / one;
    all_["gatedOverUngated"] = gated / ungated;
    save(true);
    if (options_.json) {
      std::puts(all_.dump(2).c_str());
      return;
    }
    std::puts(heading_.c_str());
    for (const Measured& m : all) print(m);
    std::printf("%s is %.1f times %s, and %.1f %% of %s\n", all[2].scenario.name.c_str(),
                gated / one, all[0].scenario.name.c_str(), 100 * gated / ungated,
                all[1].scenario.name.c_str());
  }

 private:
  static void print(const Measured& m) {
    const auto [least, most] = std::minmax_element(m.seconds.begin(), m.seconds.end());
    const double seconds = median(m.seconds);
    std::printf(
        "%-28s %8.1f tokens/s  %8.2f ms/step (%.2f..%.2f; %.2f ms of processor time)  %3.0f %% "
        "of the byte floor, %3.0f %% of the FLOP floor\n",
        m.scenario.name.c_str(), m.tokens_per_second(), seconds * 1e3, *least * 1e3, *most * 1e3,
        median(m.processor) * 1e3, m.floors.byte_seconds / seconds * 100,
        m.floors.flop_seconds / seconds * 100);
  }
  void save(bool complete) {
    all_["complete"] = complete;
    if (!options_.out.empty()) bench::write_whole(options_.out, all_.dump(2) + "\n");
  }

  bench::Options options_;
  std::string heading_;
  nlohmann::json all_;
};

std::vector<Scenario> scenarios_of(const Options& options) {
  const std::string rows = std::to_string(options.rows) + " rows";
  std::vector<Scenario> scenarios = {
      {"1 row", 1, 1},
      {rows, options.rows, 1},
      {rows + " of " + std::to_string(options.variants) + " variants", options.rows,
       options.variants}};
  if (!options.engine.adapter.empty()) {
    scenarios.push_back({"1 row, adapter", 1, 1, true});
    scenarios.push_back({rows + ", adapter", options.rows, 1, true});
  }
  return scenarios;
}

/// The checkpoint without and with the adapter; the same where there is none.
struct Engines {
  Engine plain, adapted;

  explicit Engines(const Options& options) {
    const std::shared_ptr<const Model> model = options.model.empty()
                                                   ? bench::synthetic_model()
                                                   : headspark::load_model(options.model, {}, {});
    headspark::EngineOptions engine_options = bench::engine_options(options.engine);
    engine_options.memory_bytes = 0;  // --memory is of the pages alone
    plain = headspark::make_engine(model, engine_options);
    const std::string& adapter = options.engine.adapter;
    adapted = adapter.empty() ? plain
                              : headspark::make_engine(headspark::with_adapter(model, adapter, {}),
                                                       engine_options);
  }
  const Engine& of(const Scenario& scenario) const { return scenario.adapted ? adapted : plain; }
};

/// The largest batch, and the largest with the adapter.
bool verify_all(const Engines& engines, const std::vector<Measured>& all, const Options& options) {
  const auto right = [&](const Measured& m) {
    return verify(engines.of(m.scenario), m.scenario, options);
  };
  return right(all[2]) && (all.size() == 3 || right(all.back()));
}

int run(const Options& options) {
  const Engines engines(options);
  const bench::Peaks peak = bench::PeakMeter(engines.plain.context, 500).measure();
  std::vector<Measured> all;
  for (const Scenario& scenario : scenarios_of(options)) {
    Measured& m = all.emplace_back();
    m.scenario = scenario;
    m.floors = floors_of(engines.of(scenario), scenario, options, peak);
  }
  DecodeReport report(engines.plain.context, peak, options);
  for (int round = 0; round < options.engine.rounds; ++round) {
    // The largest first: what ends the program early leaves the figures that say most.
    for (auto m = all.rbegin(); m != all.rend(); ++m) {
      Tokens tokens;
      const Times times = time_steps(engines.of(m->scenario), m->scenario, options, tokens);
      m->seconds.push_back(times.wall / options.steps);
      m->processor.push_back(times.processor / options.steps);
      m->repeated = times.repeated;
      report.keep(all);
    }
  }
  const bool right = !options.engine.verify || verify_all(engines, all, options);
  if (!right) std::fprintf(stderr, "bench_decode: a row's tokens depend on its batch\n");
  report.keep_verified(right && options.engine.verify);
  report.finish(all);
  return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const headspark::Error& error) {
    std::fprintf(stderr, "bench_decode: %s [%s]\n", error.what(),
                 headspark::error_code_name(error.code()));
    return error.code() == headspark::ErrorCode::INTERNAL ? 2 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_decode: %s\n", error.what());
    return 2;
  }
}
