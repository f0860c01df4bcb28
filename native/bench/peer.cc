// headspark as a peer of scripts/bench/compare: announces its tasks in one JSON line, then runs one
// task per request line and answers with the seconds it took. Usage: bench_peer [FOLDER --pairs F]
// [--device cpu|cuda:N] [--memory MB] [--threads N] [--isa NAME]; without a folder only single ops
// are offered: linear layers, and attention on a GPU.
#include <cstdio>
#include <iostream>
#include <memory>

#include "headspark/generate.h"
#include "model/setup.h"
#include "ops/attention_data.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

struct Task {
  std::string task;
  std::string variant;
  std::function<void()> run;
};

/// `fast` is a mode of its own only where the kernels have bf16 instructions, as GPUs do.
std::vector<Precision> precisions(const Context& context) {
  if (context.on_cpu() && context.isa < Isa::avx512_bf16) return {Precision::exact};
  return {Precision::exact, Precision::fast};
}

std::vector<LinearShape> linear_shapes(const Context& context) {
  if (context.on_cpu()) return {{512, 1536, 576}, {512, 8960, 1536}};
  return {{8192, 8960, 1536}, {8192, 1536, 8960}, {8192, 8192, 8192}};
}

void add_linear(std::vector<Task>& tasks, const Context& context) {
  for (const LinearShape& shape : linear_shapes(context)) {
    const auto data = std::make_shared<LinearData>(context, shape);
    tasks.push_back({"linear " + shape.name(), precision_name(context.precision),
                     [=] { linear_forward(context, data->forward()); }});
  }
}

/// Operands of the size that was asked for last: those of all sizes would fill a small GPU.
class AttentionSlot {
 public:
  AttentionData& of(const Context& context, const AttentionSize& size) {
    if (data_ == nullptr || data_->size().name() != size.name()) {
      data_.reset();
      data_ = std::make_unique<AttentionData>(context, AttentionValues(size));
      data_->run_forward(false);  // the backward reads what it leaves
    }
    return *data_;
  }

 private:
  std::unique_ptr<AttentionData> data_;
};

/// The sizes of the attention benchmarks, beside which PyTorch's kernels are run.
void add_attention(std::vector<Task>& tasks, const Context& context) {
  const auto slot = std::make_shared<AttentionSlot>();
  for (const int head_dim : {64, 128}) {
    for (const int tokens : {128, 512, 2048, 8192}) {
      const AttentionSize size = flash_size(tokens, head_dim);
      const std::string name = std::to_string(tokens) + "x" + std::to_string(head_dim);
      for (const bool gated : {false, true}) {
        const std::string variant =
            std::string(precision_name(context.precision)) + (gated ? " gated" : "");
        tasks.push_back({"attention forward " + name, variant,
                         [=] { slot->of(context, size).run_forward(gated); }});
        tasks.push_back({"attention backward " + name, variant,
                         [=] { slot->of(context, size).run_backward(gated); }});
      }
    }
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
  answer({{"peer", "headspark"}, {"settings", computer_text(context)}, {"tasks", list}});
}

nlohmann::json serve(const Context& context, const std::vector<Task>& tasks,
                     const nlohmann::json& request) {
  const std::string task = request.value("task", "");
  const std::string variant = request.value("variant", "");
  for (const Task& t : tasks) {
    if (t.task != task || t.variant != variant) continue;
    return {{"seconds", time_queued(context, t.run, {0, 1}).median}};
  }
  return {{"error", "no such task"}};
}

int run_peer(const Options& options) {
  std::vector<Task> tasks;
  std::shared_ptr<const Setup> setup;
  if (!options.folders.empty()) setup = std::make_shared<const Setup>(make_setup(options));
  const Context context = setup ? setup->engine.context : make_context(options);
  for (const Precision precision : precisions(context)) {
    Context own = context;
    own.precision = precision;
    add_linear(tasks, own);
    if (!own.on_cpu()) add_attention(tasks, own);
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
      answer(serve(context, tasks, nlohmann::json::parse(line)));
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
