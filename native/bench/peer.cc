// headspark as a peer of scripts/bench/compare: announces its tasks in one JSON line, then runs one
// task per request line and answers with the seconds it took. Usage: bench_peer [FOLDER --pairs F]
// [--memory MB] [--threads N] [--isa NAME]; without a folder only the linear layers are offered.
#include <cstdio>
#include <iostream>
#include <memory>

#include "headspark/generate.h"
#include "model/setup.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

struct Task {
  std::string task;
  std::string variant;
  std::function<void()> run;
};

/// `fast` is a mode of its own only where the kernels have bf16 instructions.
std::vector<Precision> precisions(Isa isa) {
  if (isa < Isa::avx512_bf16) return {Precision::exact};
  return {Precision::exact, Precision::fast};
}

void add_linear(std::vector<Task>& tasks, const Context& context) {
  for (const LinearShape& shape : {LinearShape{512, 1536, 576}, LinearShape{512, 8960, 1536}}) {
    const auto data = std::make_shared<LinearData>(shape);
    tasks.push_back({"linear " + shape.name(), precision_name(context.precision),
                     [=] { linear_forward(context, data->forward()); }});
  }
}

void add_model(std::vector<Task>& tasks, const std::shared_ptr<const Setup>& setup) {
  const std::string variant = precision_name(setup->engine.context.precision);
  // Packs the weights in both directions: loading is not what is compared.
  attribute(setup->engine, small_pairs(*setup, 4), {}, {});
  for (const bool all : {false, true}) {
    const LogitsRequest request{{long_prompt(*setup, 512)}, {}, all};
    tasks.push_back({all ? "prefill 512 all logits" : "prefill 512", variant,
                     [=] { compute_logits(setup->engine, request, {}); }});
  }
  tasks.push_back({"eap-ig", variant, [=] { attribute(setup->engine, setup->pairs, {}, {}); }});
  tasks.push_back(
      {"sweep", variant,
       [=] { Sweep(setup->engine, setup->pairs, {}, {}).run(single_heads(setup->config()), {}); }});
  const std::vector<GenerateRow> rows{{long_prompt(*setup, 8), {}}};
  tasks.push_back({"decode 64", variant, [=] {
                     generate_greedy(setup->engine, rows, {64, {}}, {});
                   }});
}

void answer(const nlohmann::json& reply) {
  std::printf("%s\n", reply.dump().c_str());
  std::fflush(stdout);
}

void announce(const std::vector<Task>& tasks, const Context& context) {
  nlohmann::json list = nlohmann::json::array();
  for (const Task& t : tasks) list.push_back({{"task", t.task}, {"variant", t.variant}});
  answer({{"peer", "headspark"},
          {"settings", std::to_string(context.threads->threads()) + " threads, kernels " +
                           isa_name(context.isa)},
          {"tasks", list}});
}

nlohmann::json serve(const std::vector<Task>& tasks, const nlohmann::json& request) {
  for (const Task& t : tasks) {
    if (t.task != request.at("task") || t.variant != request.at("variant")) continue;
    return {{"seconds", time_interleaved({&t.run, 1}, {0, 1}).front().median}};
  }
  return {{"error", "no such task"}};
}

int run_peer(const Options& options) {
  std::vector<Task> tasks;
  const Context context = make_cpu_context(options.threads, default_isa());
  std::shared_ptr<const Setup> setup;
  if (!options.folders.empty()) setup = std::make_shared<const Setup>(make_setup(options));
  for (const Precision precision : precisions(context.isa)) {
    Context own = context;
    own.precision = precision;
    add_linear(tasks, own);
    if (setup == nullptr) continue;
    // Both share the model and its packed weights.
    Setup variant = *setup;
    variant.engine.context = own;
    variant.engine.options.precision = precision;
    add_model(tasks, std::make_shared<const Setup>(std::move(variant)));
  }
  announce(tasks, context);
  std::string line;
  while (std::getline(std::cin, line)) {
    try {
      answer(serve(tasks, nlohmann::json::parse(line)));
    } catch (const std::exception& error) {
      answer({{"error", error.what()}});
    }
  }
  return 0;
}

}  // namespace
}  // namespace headspark::bench

int main(int argc, char** argv) {
  return headspark::bench::run_main("bench_peer", headspark::bench::run_peer, argc, argv);
}
