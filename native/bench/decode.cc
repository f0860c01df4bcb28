// Benchmark of decoding: batch 1, 64 rows without gates, and 64 rows of 16 variants, in turns, each
// verified first, beside the floors that this machine's peak and bandwidth set in the same run.
// Usage: bench_decode [--model DIR] [--device cpu|cuda:N] [--threads N] [--prompt N] [--steps N]
// [--rounds N] [--rows N] [--variants N] [--memory MB] [--precision exact|fast] [--adapter DIR]
// [--json]. Without a model: random weights of the shape of SmolLM2-135M, in bf16. With an adapter
// the rows without gates are decoded with it as well.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/options.h"
#include "common/peaks.h"
#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/generate.h"
#include "headspark/model.h"
#include "headspark/ops/paged_attention.h"

namespace {

using headspark::Engine;
using headspark::GenerationEvent;
using headspark::GenerationRequest;
using headspark::Generator;
using headspark::Model;
using headspark::ModelConfig;

namespace bench = headspark::bench;

struct Options {
  bench::Options engine;  ///< threads, device, precision, memory of keys and values, JSON
  std::string model;
  int prompt = 64;
  int steps = 48;
  int rounds = 3;
  int rows = 64;
  int variants = 16;
};

/// Random weights that live as long as the model.
class SyntheticModel {
 public:
  SyntheticModel() : model_(std::make_shared<Model>()) {
    ModelConfig& c = model_->config;
    c.layers = 30;
    c.heads = 9;
    c.kv_heads = 3;
    c.head_dim = 64;
    c.hidden = 576;
    c.intermediate = 1536;
    c.vocab = 49152;
    c.max_positions = 8192;
    c.norm_epsilon = 1e-5f;
    c.attention_scale = 0.125f;
    c.rotary = {.rotary_dim = 64, .theta = 100000.0};
    for (std::int64_t layer = 0; layer < c.layers; ++layer) model_->layers.push_back(make_layer());
    model_->embedding = view(c.vocab, c.hidden, 1.0f);
    model_->final_norm = norm();
    model_->unembedding = headspark::make_linear_weight(model_->embedding);
    model_->folder = "random weights";
    model_->parameter_count = parameters_;
  }
  std::shared_ptr<const Model> model() const { return model_; }

 private:
  headspark::NormWeight norm() const {
    headspark::NormWeight norm;
    norm.weight.assign(static_cast<std::size_t>(model_->config.hidden), 1.0f);
    norm.epsilon = model_->config.norm_epsilon;
    return norm;
  }
  headspark::WeightView view(std::int64_t rows, std::int64_t cols, float scale) {
    const auto bits =
        std::make_shared<std::vector<std::uint16_t>>(static_cast<std::size_t>(rows * cols));
    storage_.push_back(bits);
    for (std::uint16_t& value : *bits) {
      state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
      const float uniform = static_cast<float>(state_ >> 40) * 0x1p-23f - 1.0f;
      value = headspark::f32_to_bf16(scale * uniform);
    }
    parameters_ += rows * cols;
    headspark::WeightView view =
        headspark::contiguous_view(bits->data(), headspark::DType::bf16, rows, cols);
    view.owner = bits;  // or a GPU would copy them at every use
    return view;
  }
  headspark::LinearWeight linear(std::int64_t out, std::int64_t in) {
    const float scale = std::sqrt(3.0f / static_cast<float>(in));  // keeps the variance
    return headspark::make_linear_weight(view(out, in, scale));
  }
  headspark::LayerWeights make_layer() {
    const ModelConfig& c = model_->config;
    headspark::LayerWeights layer;
    layer.attention_norm = layer.mlp_norm = norm();
    layer.q = linear(c.heads * c.head_dim, c.hidden);
    layer.k = linear(c.kv_heads * c.head_dim, c.hidden);
    layer.v = linear(c.kv_heads * c.head_dim, c.hidden);
    layer.o = linear(c.hidden, c.heads * c.head_dim);
    layer.gate = linear(c.intermediate, c.hidden);
    layer.up = linear(c.intermediate, c.hidden);
    layer.down = linear(c.hidden, c.intermediate);
    return layer;
  }

  std::shared_ptr<Model> model_;
  std::vector<std::shared_ptr<const std::vector<std::uint16_t>>> storage_;
  std::uint64_t state_ = 1;
  std::int64_t parameters_ = 0;
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
                                               {"--rounds", &options.rounds},
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
  return options;
}

struct Result {
  Scenario scenario;
  double seconds_per_step = 0;  // median over the rounds
  double least = 0;
  double most = 0;
  double processor_per_step = 0;
  std::int64_t repeated = 0;  // of the last round
  Floors floors;

  double tokens_per_second() const { return scenario.rows / seconds_per_step; }
};

// Not before all results are there: what ends early leaves no half of an object.
void print_machine(const headspark::Context& context, const bench::Peaks& peak,
                   const Options& options) {
  const char* const precision = headspark::precision_name(options.engine.precision);
  if (!options.engine.json) {
    std::printf("%s; peaks: %s; %s\n", bench::computer_text(context).c_str(),
                bench::peaks_text(peak).c_str(), precision);
    return;
  }
  const std::string device = context.on_cpu() ? "cpu" : context.backend->name();
  std::printf(
      "{\"cpu\": \"%s\", \"device\": \"%s\", \"threads\": %d, \"peakGflops\": %.1f, "
      "\"copyGbPerS\": %.1f, \"precision\": \"%s\", \"results\": [",
      headspark::device_info().cpu_name.c_str(), device.c_str(), context.threads->threads(),
      peak.gflops(), peak.copy_gb_per_s, precision);
}

void print(const std::vector<Result>& results, const Options& options) {
  const double one = results[0].tokens_per_second();
  const double ungated = results[1].tokens_per_second();
  const double gated = results[2].tokens_per_second();
  const char* separator = "";
  for (const Result& r : results) {
    const double byte_share = r.floors.byte_seconds / r.seconds_per_step;
    const double flop_share = r.floors.flop_seconds / r.seconds_per_step;
    if (options.engine.json) {
      std::printf(
          "%s\n  {\"name\": \"%s\", \"rows\": %d, \"variants\": %d, \"tokensPerS\": %.2f, "
          "\"msPerStep\": %.4f, \"minMsPerStep\": %.4f, \"maxMsPerStep\": %.4f, "
          "\"processorMsPerStep\": %.4f, \"repeatedSteps\": %lld, \"byteFloorShare\": %.4f, "
          "\"flopFloorShare\": %.4f}",
          separator, r.scenario.name.c_str(), r.scenario.rows, r.scenario.variants,
          r.tokens_per_second(), r.seconds_per_step * 1e3, r.least * 1e3, r.most * 1e3,
          r.processor_per_step * 1e3, static_cast<long long>(r.repeated), byte_share, flop_share);
      separator = ",";
    } else {
      std::printf(
          "%-28s %8.1f tokens/s  %8.2f ms/step (%.2f..%.2f; %.2f ms of processor time)  %3.0f %% "
          "of the byte floor, %3.0f %% of the FLOP floor\n",
          r.scenario.name.c_str(), r.tokens_per_second(), r.seconds_per_step * 1e3, r.least * 1e3,
          r.most * 1e3, r.processor_per_step * 1e3, byte_share * 100, flop_share * 100);
    }
  }
  if (options.engine.json) {
    std::printf("\n], \"batchOverOne\": %.3f, \"gatedOverUngated\": %.4f}\n", gated / one,
                gated / ungated);
  } else {
    std::printf("%s is %.1f times %s, and %.1f %% of %s\n", results[2].scenario.name.c_str(),
                gated / one, results[0].scenario.name.c_str(), 100 * gated / ungated,
                results[1].scenario.name.c_str());
  }
}

int run(const Options& options) {
  std::optional<SyntheticModel> synthetic;
  if (options.model.empty()) synthetic.emplace();
  const std::shared_ptr<const Model> model =
      synthetic ? synthetic->model() : headspark::load_model(options.model, {}, {});
  headspark::EngineOptions engine_options = bench::engine_options(options.engine);
  engine_options.memory_bytes = 0;  // --memory is of the pages alone
  const Engine engine = headspark::make_engine(model, engine_options);
  const std::string& adapter = options.engine.adapter;
  const Engine adapted =
      adapter.empty()
          ? engine
          : headspark::make_engine(headspark::with_adapter(model, adapter, {}), engine_options);
  const auto engine_of = [&](const Scenario& scenario) -> const Engine& {
    return scenario.adapted ? adapted : engine;
  };
  const std::string rows = std::to_string(options.rows) + " rows";
  std::vector<Scenario> scenarios = {
      {"1 row", 1, 1},
      {rows, options.rows, 1},
      {rows + " of " + std::to_string(options.variants) + " variants", options.rows,
       options.variants}};
  const Scenario gated = scenarios.back();
  if (!adapter.empty()) {
    scenarios.push_back({"1 row, adapter", 1, 1, true});
    scenarios.push_back({rows + ", adapter", options.rows, 1, true});
  }
  const bench::Peaks peak = bench::PeakMeter(engine.context, 500).measure();
  for (const Scenario& scenario : {gated, scenarios.back()}) {
    if (verify(engine_of(scenario), scenario, options)) continue;
    std::fprintf(stderr, "bench_decode: a row's tokens depend on its batch\n");
    return 1;
  }
  std::vector<std::vector<double>> seconds(scenarios.size());
  std::vector<std::vector<double>> processor(scenarios.size());
  std::vector<std::int64_t> repeated(scenarios.size());
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < scenarios.size(); ++i) {
      Tokens tokens;
      const Times times = time_steps(engine_of(scenarios[i]), scenarios[i], options, tokens);
      seconds[i].push_back(times.wall);
      processor[i].push_back(times.processor);
      repeated[i] = times.repeated;
    }
  }
  std::vector<Result> results;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    const auto [least, most] = std::minmax_element(seconds[i].begin(), seconds[i].end());
    results.push_back({scenarios[i], median(seconds[i]) / options.steps, *least / options.steps,
                       *most / options.steps, median(processor[i]) / options.steps, repeated[i],
                       floors_of(engine_of(scenarios[i]), scenarios[i], options, peak)});
  }
  print_machine(engine.context, peak, options);
  print(results, options);
  return 0;
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
