// Variants are sorted by their gates from the lowest layer up, so that those that share a beginning
// are neighbours; then each batch walks up the layers and starts a step wherever rows split or
// join.
#include "engine/sweep_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace headspark {
namespace {

/// Heads and factors of one layer, by head.
using LayerGates = std::vector<std::pair<std::int32_t, float>>;
/// The gated layers of a variant, lowest first; a head named twice has its last factor.
using VariantGates = std::map<std::int32_t, LayerGates>;

VariantGates gates_of(const AblationVariant& variant) {
  std::map<std::int32_t, std::map<std::int32_t, float>> by_layer;
  for (const GatedHead& gated : variant.heads) by_layer[gated.layer][gated.head] = gated.factor;
  VariantGates gates;
  for (const auto& [layer, heads] : by_layer) {
    gates.emplace(layer, LayerGates(heads.begin(), heads.end()));
  }
  return gates;
}

/// One batch on its way up the layers.
class Walk {
 public:
  Walk(std::vector<std::size_t> variants, const std::vector<VariantGates>& gates) : gates_(gates) {
    batch_.rows.assign(variants.size(), -1);
    batch_.variants = std::move(variants);
  }

  SweepBatch finish(std::int64_t layers) && {
    for (std::int64_t layer = 0; layer < layers; ++layer) visit(static_cast<std::int32_t>(layer));
    if (!batch_.steps.empty()) batch_.steps.back().end_layer = layers;
    return std::move(batch_);
  }

 private:
  /// A row after this layer: where it comes from, and what it does here.
  using Key = std::pair<std::int32_t, LayerGates>;

  void visit(std::int32_t layer) {
    std::vector<std::pair<Key, std::size_t>> keys;  // with the place of the variant in the batch
    bool changed = false;
    for (std::size_t i = 0; i < batch_.variants.size(); ++i) {
      const VariantGates& gates = gates_[batch_.variants[i]];
      const auto here = gates.find(layer);
      if (here == gates.end() && batch_.rows[i] < 0) continue;
      changed = changed || batch_.rows[i] < 0;
      keys.push_back({{batch_.rows[i], here == gates.end() ? LayerGates() : here->second}, i});
    }
    std::map<Key, std::vector<std::size_t>> children;
    for (const auto& [key, i] : keys) children[key].push_back(i);
    const auto alive = batch_.steps.empty() ? 0 : batch_.steps.back().parents.size();
    if (!changed && children.size() == alive) return;  // every row goes on as it is
    start_step(layer, children);
  }

  void start_step(std::int32_t layer, const std::map<Key, std::vector<std::size_t>>& children) {
    if (!batch_.steps.empty()) batch_.steps.back().end_layer = layer;
    SweepStep step;
    step.first_layer = layer;
    const auto add = [&](const Key& key, const std::vector<std::size_t>& members) {
      for (const std::size_t i : members) {
        batch_.rows[i] = static_cast<std::int32_t>(step.parents.size());
      }
      step.parents.push_back(key.first);
      step.variants.push_back(batch_.variants[members.front()]);
    };
    for (const auto& [key, members] : children) {
      if (key.first >= 0) add(key, members);
    }
    for (const auto& [key, members] : children) {
      if (key.first < 0) add(key, members);
    }
    batch_.steps.push_back(std::move(step));
  }

  const std::vector<VariantGates>& gates_;
  SweepBatch batch_;
};

}  // namespace

SweepPlan plan_sweep(std::span<const AblationVariant> variants, std::int64_t layers,
                     std::size_t rows) {
  std::vector<VariantGates> gates;
  for (const AblationVariant& variant : variants) gates.push_back(gates_of(variant));
  std::vector<std::size_t> order(variants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return gates[a] < gates[b]; });
  SweepPlan plan;
  rows = std::max<std::size_t>(1, rows);
  for (std::size_t begin = 0; begin < order.size(); begin += rows) {
    const auto end =
        order.begin() + static_cast<std::ptrdiff_t>(std::min(order.size(), begin + rows));
    Walk walk({order.begin() + static_cast<std::ptrdiff_t>(begin), end}, gates);
    plan.batches.push_back(std::move(walk).finish(layers));
    for (const SweepStep& step : plan.batches.back().steps) {
      plan.layer_rows +=
          (step.end_layer - step.first_layer) * static_cast<std::int64_t>(step.parents.size());
    }
  }
  return plan;
}

}  // namespace headspark
