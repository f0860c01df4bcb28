#include "reference_models.h"

#include <algorithm>

#include "golden.h"
#include "headspark/model.h"
#include "suite_device.h"

namespace headspark::golden {

std::filesystem::path reference_folder() {
  return source_folder() / "test/fixtures/reference";
}

std::filesystem::path model_folder(const std::string& model) {
  const bool reference = std::filesystem::is_directory(reference_folder() / model);
  return reference ? reference_folder() / model
                   : source_folder() / "test/fixtures/architectures" / model;
}

Engine engine_for(const char* model, EngineOptions options) {
  if (options.threads == 0) options.threads = 2;
  options.device = test::suite_device();
  return make_engine(load_model(model_folder(model), {}, {}), options);
}

Engine engine_for(const char* model, Isa isa, int threads, std::int64_t batch_tokens) {
  const EngineOptions options{.threads = threads, .batch_tokens = batch_tokens};
  Engine engine = make_engine(load_model(model_folder(model), {}, {}), options);
  engine.context = make_cpu_context(threads, isa, options.precision);
  return engine;
}

std::vector<Pair> some_pairs(std::size_t count) {
  std::vector<Pair> pairs = read_pairs(reference_folder() / "pairs.jsonl");
  pairs.resize(std::min(count, pairs.size()));
  return pairs;
}

std::vector<float> host(const Engine& engine, const float* x, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  engine.context.backend->copy_to_host(values.data(), x, count * 4);
  return values;
}

}  // namespace headspark::golden
