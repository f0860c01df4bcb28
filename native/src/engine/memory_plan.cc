// On the CPU weights are read from the mapped files, so only the workspace is planned. A device
// holds a copy of them.
#include "engine/memory_plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "device/memory_text.h"
#include "headspark/error.h"

namespace headspark {
namespace {

constexpr std::int64_t kLeastWorkspace = 64 << 20;

/// Terms 0: as it is stored.
std::int64_t matrix_bytes(const WeightView& view, int terms) {
  if (view.data == nullptr) return 0;
  const std::int64_t bytes =
      terms == 0 ? dtype_bytes(view.dtype) : terms * dtype_bytes(DType::bf16);
  return view.rows * view.cols * bytes;
}

std::int64_t float_bytes(const std::vector<float>& values) {
  return static_cast<std::int64_t>(values.size() * sizeof(float));
}

/// What belongs to a layer besides its matrix.
std::int64_t extra_bytes(const LinearWeight& weight, Precision precision) {
  const std::int64_t bytes = float_bytes(weight.bias);
  const LowRank* low = low_rank_of(weight);
  if (low == nullptr) return bytes;
  const std::int64_t ranks = device_ranks(*low, precision);
  return bytes + ranks * (weight.in() + weight.out()) * dtype_bytes(DType::bf16);
}

std::int64_t norm_bytes(const NormWeight& norm) {
  return float_bytes(norm.weight) + float_bytes(norm.bias);
}

[[noreturn]] void throw_no_room(const MemoryPlan& plan, std::int64_t available,
                                const Backend& backend) {
  throw Error(ErrorCode::OUT_OF_MEMORY,
              "The weights need " + memory_text(plan.weight_bytes) + " and the workspace " +
                  memory_text(plan.workspace_bytes) + ", but " + backend.name() + " has only " +
                  memory_text(available) +
                  " free; lower memoryBytes (--memory), use a device with more, or --device cpu.");
}

}  // namespace

std::int64_t weight_bytes(const Model& model, Precision precision) {
  std::set<std::pair<const void*, int>> counted;
  std::int64_t total = norm_bytes(model.final_norm) + extra_bytes(model.unembedding, precision);
  const auto add_as = [&](const WeightView& view, int terms) {
    if (counted.emplace(view.data, terms).second) total += matrix_bytes(view, terms);
  };
  const auto add = [&](const WeightView& view) {
    // The one term of bf16 is what is stored.
    add_as(view, view.dtype == DType::bf16 ? 0 : product_terms(view.dtype, precision));
  };
  for (const WeightView* view :
       {&model.embedding, &model.position_embedding, &model.unembedding.view}) {
    add_as(*view, 0);
  }
  add(model.unembedding.view);
  for (const LayerWeights& layer : model.layers) {
    for (const LinearWeight* weight :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      add(weight->view);
      total += extra_bytes(*weight, precision);
    }
    for (const NormWeight* norm :
         {&layer.attention_norm, &layer.mlp_norm, &layer.attention_post_norm, &layer.mlp_post_norm,
          &layer.head_write_gain, &layer.q_norm, &layer.k_norm, &layer.k_norm_each}) {
      total += norm_bytes(*norm);
    }
  }
  return total;
}

MemoryPlan plan_memory(const Model& model, const EngineOptions& options, Backend& backend) {
  const std::int64_t available = backend.available_bytes();
  if (backend.kind() == DeviceKind::cpu) {
    // A quarter of what is free leaves room for the page cache that the weights live in.
    return {0, options.memory_bytes > 0 ? options.memory_bytes
                                        : std::max(available / 4, kLeastWorkspace)};
  }
  MemoryPlan plan{weight_bytes(model, options.precision), options.memory_bytes};
  if (plan.workspace_bytes <= 0) {
    // A fifth is left for what is not planned token by token: logits rows, batch descriptions, the
    // libraries' own.
    plan.workspace_bytes = std::max((available - plan.weight_bytes) / 5 * 4, kLeastWorkspace);
  }
  if (plan.weight_bytes + plan.workspace_bytes > available) {
    throw_no_room(plan, available, backend);
  }
  return plan;
}

}  // namespace headspark
