// The trie of a sweep: which layers are computed, and that every variant's row has its gates.
#include "engine/sweep_plan.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "op_suite.h"

namespace headspark::test {
namespace {

using Gates = std::map<std::pair<std::int32_t, std::int32_t>, float>;

Gates gates_below(const AblationVariant& variant, std::int64_t layer) {
  Gates gates;
  for (const GatedHead& gated : variant.heads) {
    if (gated.layer < layer) gates[{gated.layer, gated.head}] = gated.factor;
  }
  return gates;
}

/// Every row stands for the gates of its variant, its parent for those below; every variant ends in
/// a row with its gates.
void check_plan(const std::vector<AblationVariant>& variants, std::int64_t layers,
                const SweepPlan& plan) {
  std::set<std::size_t> seen;
  for (const SweepBatch& batch : plan.batches) {
    std::int64_t layer = batch.steps.empty() ? layers : batch.steps.front().first_layer;
    for (std::size_t s = 0; s < batch.steps.size(); ++s) {
      const SweepStep& step = batch.steps[s];
      CHECK(step.first_layer == layer);
      CHECK(step.end_layer > step.first_layer);
      layer = step.end_layer;
      bool joined = false;
      for (std::size_t row = 0; row < step.parents.size(); ++row) {
        const Gates before = gates_below(variants[step.variants[row]], step.first_layer);
        if (step.parents[row] < 0) {
          joined = true;
          CHECK(before.empty());
          continue;
        }
        CHECK_MESSAGE(!joined, "rows with a parent come first");
        REQUIRE(s > 0);
        const std::size_t parent =
            batch.steps[s - 1].variants[static_cast<std::size_t>(step.parents[row])];
        CHECK(before == gates_below(variants[parent], step.first_layer));
      }
    }
    CHECK(layer == layers);
    for (std::size_t i = 0; i < batch.variants.size(); ++i) {
      CHECK(seen.insert(batch.variants[i]).second);
      const Gates own = gates_below(variants[batch.variants[i]], layers);
      CHECK((batch.rows[i] < 0) == own.empty());
      if (batch.rows[i] < 0) continue;
      const auto row = static_cast<std::size_t>(batch.rows[i]);
      CHECK(own == gates_below(variants[batch.steps.back().variants[row]], layers));
    }
  }
  CHECK(seen.size() == variants.size());
}

}  // namespace

TEST_CASE("sweep plan: single heads start at their layer, equal variants are one row") {
  std::vector<AblationVariant> variants;
  for (std::int32_t layer = 0; layer < 4; ++layer) {
    for (std::int32_t head = 0; head < 3; ++head) variants.push_back({{{layer, head, 0.0f}}});
  }
  variants.push_back({});
  variants.push_back({{{2, 1, 0.0f}}});
  const SweepPlan plan = plan_sweep(variants, 4, 100);
  check_plan(variants, 4, plan);
  CHECK(plan.batches.size() == 1);
  CHECK(plan.layer_rows == 3 * (4 + 3 + 2 + 1));
}

TEST_CASE("sweep plan: nested sets share what lies below their difference") {
  const std::vector<AblationVariant> variants{
      {{{1, 0, 0.0f}, {3, 2, 0.0f}, {6, 1, 0.0f}}},
      {{{1, 0, 0.0f}}},
      {{{3, 2, 0.0f}, {1, 0, 0.0f}}},
      {{{1, 0, 0.5f}}},
  };
  const SweepPlan plan = plan_sweep(variants, 8, 100);
  check_plan(variants, 8, plan);
  // Two rows from layer 1 (factors 0 and 0.5), three from 3, four from 6.
  CHECK(plan.layer_rows == 2 * 2 + 3 * 3 + 4 * 2);
}

TEST_CASE("sweep plan: random variants in batches of every size") {
  Random random(3);
  std::vector<AblationVariant> variants;
  for (int i = 0; i < 60; ++i) {
    AblationVariant variant;
    for (std::int64_t n = random.below(4); n > 0; --n) {
      variant.heads.push_back({static_cast<std::int32_t>(random.below(5)),
                               static_cast<std::int32_t>(random.below(2)),
                               random.below(2) == 0 ? 0.0f : 0.5f});
    }
    variants.push_back(variant);
  }
  for (const std::size_t rows : {1, 2, 7, 60, 1000}) {
    check_plan(variants, 5, plan_sweep(variants, 5, rows));
  }
}

}  // namespace headspark::test
