// Words to enumerators.
#include "words.h"

#include <initializer_list>
#include <utility>

#include "headspark/error.h"

namespace headspark::bindings {
namespace {

template <typename T>
T look_up(const char* option, const std::string& word,
          std::initializer_list<std::pair<const char*, T>> words) {
  std::string allowed;
  for (const auto& [name, value] : words) {
    if (word == name) return value;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ErrorCode::INVALID_ARGUMENT, std::string(option) + " is \"" + word.substr(0, 60) +
                                               "\"; it must be one of " + allowed + ".");
}

}  // namespace

AttributionMethod method_of(const std::string& word) {
  using enum AttributionMethod;
  return look_up<AttributionMethod>("method", word,
                                    {{"eap", eap},
                                     {"eap-ig", eap_ig_inputs},
                                     {"clean-corrupted", clean_corrupted},
                                     {"eap-ig-activations", eap_ig_activations},
                                     {"information-flow-routes", information_flow_routes},
                                     {"exact", exact}});
}

Metric metric_of(const std::string& word) {
  using enum Metric;
  return look_up<Metric>(
      "metric", word,
      {{"logit-diff", logit_diff}, {"kl", kl}, {"nll", nll}, {"prob-diff", prob_diff}});
}

IgGrid grid_of(const std::string& word) {
  using enum IgGrid;
  return look_up<IgGrid>("igGrid", word,
                         {{"left", left}, {"right", right}, {"midpoint", midpoint}});
}

KvEdges kv_edges_of(const std::string& word) {
  using enum KvEdges;
  return look_up<KvEdges>("kvEdges", word,
                          {{"per-query-head", per_query_head}, {"grouped", grouped}});
}

Precision precision_of(const std::string& word) {
  using enum Precision;
  return look_up<Precision>("precision", word, {{"exact", exact}, {"fast", fast}});
}

ExcludedEdges excluded_of(const std::string& word) {
  using enum ExcludedEdges;
  return look_up<ExcludedEdges>("excluded", word,
                                {{"patch", patch}, {"zero", zero}, {"mean", mean}});
}

AblationKind ablation_of(const std::string& word) {
  using enum AblationKind;
  return look_up<AblationKind>("ablation", word,
                               {{"zero", zero},
                                {"mean", mean},
                                {"mean-per-position", mean_per_position},
                                {"resample", resample}});
}

ActivationRows activation_rows_of(const std::string& word) {
  using enum ActivationRows;
  return look_up<ActivationRows>(
      "rows", word, {{"mean", mean}, {"mean-per-position", mean_per_position}, {"tokens", tokens}});
}

GatePositions positions_of(const std::string& word) {
  using enum GatePositions;
  return look_up<GatePositions>("positions", word,
                                {{"all", all}, {"prompt", prompt}, {"generated", generated}});
}

HeadQueries queries_of(const std::string& word) {
  using enum HeadQueries;
  return look_up<HeadQueries>("queries", word, {{"all", all}, {"answer", answer}});
}

SelectionRule selection_rule_of(const std::string& word) {
  using enum SelectionRule;
  return look_up<SelectionRule>("rule", word,
                                {{"top-n", top_n}, {"threshold", threshold}, {"greedy", greedy}});
}

Ranking ranking_of(const std::string& word) {
  using enum Ranking;
  return look_up<Ranking>("ranking", word, {{"absolute", absolute}, {"signed", signed_score}});
}

const char* architecture_name(Architecture architecture) noexcept {
  switch (architecture) {
    case Architecture::qwen2:
      return "qwen2";
    case Architecture::qwen3:
      return "qwen3";
    case Architecture::llama:
      return "llama";
    case Architecture::smollm3:
      return "smollm3";
    case Architecture::mistral:
      return "mistral";
    case Architecture::phi3:
      return "phi3";
    case Architecture::olmo2:
      return "olmo2";
    case Architecture::olmo3:
      return "olmo3";
    case Architecture::gemma3:
      return "gemma3";
    case Architecture::gemma3_text:
      return "gemma3_text";
    case Architecture::granite:
      return "granite";
    case Architecture::gpt2:
      return "gpt2";
    case Architecture::gpt_neox:
      return "gpt_neox";
  }
  return "unknown";
}

}  // namespace headspark::bindings
