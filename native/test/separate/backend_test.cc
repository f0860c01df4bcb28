// The separate device keeps its promise, and the engine on it gives the bits of the CPU.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "engine/memory_plan.h"
#include "golden.h"
#include "headspark/attribution.h"
#include "headspark/buffer.h"
#include "headspark/circuit_eval.h"
#include "headspark/engine.h"
#include "headspark/error.h"
#include "headspark/generate.h"
#include "headspark/ops/rows.h"
#include "headspark/sweep.h"
#include "reference_models.h"
#include "separate/memory.h"

namespace headspark::test {
namespace {

using golden::some_pairs;

Engine engine_on(DeviceKind device, const char* model) {
  return make_engine(load_model(golden::reference_folder() / model, {}, {}),
                     {.threads = 2, .device = device});
}

}  // namespace

TEST_CASE("separate: the host cannot read or write the device's memory") {
  const Buffer<float> buffer(make_separate_backend(), 16);
  for (const bool write : {false, true}) {
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGSEGV, SIG_DFL);
      volatile float* device = const_cast<float*>(buffer.data());
      if (write) *device = 1.0f;
      _exit(*device > 2.0f ? 1 : 0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK_FALSE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
}

TEST_CASE("separate: ops refuse host memory, and extents that leave an allocation") {
  Context context = make_cpu_context(1, Isa::specification);
  context.backend = make_separate_backend();
  const std::vector<float> host(8, 3.0f);
  Buffer<float> x(context.backend, std::span<const float>(host));
  Buffer<float> y(context.backend, 8);
  combine(context, {.count = 8, .a = 2.0f, .x = x.data(), .b = 0.0f, .y = y.data()});
  CHECK(y.to_host() == std::vector<float>(8, 6.0f));
  CHECK_THROWS_AS(combine(context, {.count = 8, .x = host.data(), .y = y.data()}), Error);
  CHECK_THROWS_AS(combine(context, {.count = 1 << 20, .x = x.data(), .y = y.data()}), Error);
}

TEST_CASE("separate: attribution, circuits, sweeps and generation give the bits of the CPU") {
  for (const char* model : {"qwen2", "neox"}) {
    CAPTURE(std::string(model));
    const Engine cpu = engine_on(DeviceKind::cpu, model);
    const Engine device = engine_on(DeviceKind::cuda, model);
    const std::vector<Pair> pairs = some_pairs(3);
    for (const AttributionMethod method :
         {AttributionMethod::eap_ig_inputs, AttributionMethod::eap_ig_activations,
          AttributionMethod::information_flow_routes}) {
      const AttributionOptions options{.method = method, .ig_steps = 2};
      CHECK(attribute(device, pairs, options, {}).pair_scores ==
            attribute(cpu, pairs, options, {}).pair_scores);
    }
    for (const AblationKind kind : {AblationKind::zero, AblationKind::mean,
                                    AblationKind::mean_per_position, AblationKind::resample}) {
      const std::vector<AblationVariant> variants = {{{}}, {{{0, 1, 0.0f}}}, {{{1, 2, 0.5f}}}};
      const SweepOptions options{.metric = Metric::kl, .kind = kind};
      CHECK(Sweep(device, pairs, options, {}).run(variants, {}).values ==
            Sweep(cpu, pairs, options, {}).run(variants, {}).values);
    }
    const std::vector<GenerateRow> rows = {{pairs[0].clean, {}}, {pairs[1].clean, {{1, 1, 0.0f}}}};
    GenerateOptions options;
    options.max_new_tokens = 9;
    CHECK(generate_greedy(device, rows, options, {}) == generate_greedy(cpu, rows, options, {}));
  }
}

TEST_CASE("separate: a budget and the weights fit the device, or are refused with their sizes") {
  SeparateMemory& memory = SeparateMemory::get();
  const std::int64_t in_use = memory.bytes_in_use();
  const auto engine_with = [&](std::int64_t device_mib, std::int64_t budget_mib) {
    memory.set_size(in_use + (device_mib << 20));
    return make_engine(
        load_model(golden::source_folder() / "test/fixtures/reference/qwen2", {}, {}),
        {.threads = 1, .memory_bytes = budget_mib << 20, .device = DeviceKind::cuda});
  };
  const Engine engine = engine_with(1000, 0);
  const std::int64_t weights = weight_bytes(*engine.model, engine.context.precision);
  CHECK(weights > engine.model->parameter_count);  // two or four bytes each
  CHECK(weights <= engine.model->mapped_bytes);
  CHECK(engine.options.memory_bytes == ((std::int64_t{1000} << 20) - weights) / 5 * 4);
  CHECK(engine_with(1000, 900).options.memory_bytes == std::int64_t{900} << 20);
  CHECK_THROWS_WITH_AS(engine_with(1000, 1000),
                       doctest::Contains("the workspace 1000 MiB, but the separate device has "
                                         "only 1000 MiB free; lower memoryBytes (--memory)"),
                       Error);
  CHECK_THROWS_WITH_AS(engine_with(40, 0), doctest::Contains("the workspace 64 MiB"), Error);
  memory.set_size(SeparateMemory::kLargest);
}

TEST_CASE("separate: products read bf16 terms, and the memory of that is planned") {
  const auto planned = [](const char* name, Precision precision) {
    const auto model =
        load_model(golden::source_folder() / "test/fixtures/reference" / name, {}, {});
    const WeightView& unembedding = model->unembedding.view;
    const std::int64_t bytes = weight_bytes(*model, precision);
    return std::pair(bytes, unembedding.rows * unembedding.cols);
  };
  CHECK(planned("qwen2", Precision::fast) == planned("qwen2", Precision::exact));
  // fp16: the logit-diff reads the unembedding as it is, products one term of each value or two.
  const auto model = load_model(golden::source_folder() / "test/fixtures/reference/neox", {}, {});
  const LayerWeights& layer = model->layers[0];
  std::int64_t elements = 0;
  for (const LinearWeight* weight :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.up, &layer.down}) {
    elements += weight->out() * weight->in();
  }
  elements *= model->config.layers;
  const auto [exact, unembedding] = planned("neox", Precision::exact);
  CHECK(planned("neox", Precision::fast).first == exact - 2 * (elements + unembedding));
}

TEST_CASE("separate: a device that fills up during a run ends it with OUT_OF_MEMORY") {
  SeparateMemory& memory = SeparateMemory::get();
  const Engine engine = engine_on(DeviceKind::cuda, "qwen2");
  const std::int64_t before = memory.bytes_in_use();
  memory.set_size(before + (1 << 16));
  try {
    attribute(engine, some_pairs(2), {}, {});
    FAIL("ran without memory");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::OUT_OF_MEMORY);
  }
  memory.set_size(SeparateMemory::kLargest);
  CHECK(memory.bytes_in_use() == before);
  CHECK(attribute(engine, some_pairs(2), {}, {}).pairs == 2);
}

TEST_CASE("separate: a finished engine leaves nothing on the device") {
  const std::int64_t before = SeparateMemory::get().bytes_in_use();
  attribute(engine_on(DeviceKind::cuda, "qwen2"), some_pairs(1), {}, {});
  CHECK(SeparateMemory::get().bytes_in_use() == before);
}

}  // namespace headspark::test
