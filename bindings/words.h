// The words by which JavaScript names the core's enumerators, and the refusal of any other.
#pragma once

#include <string>

#include "headspark/attribution.h"
#include "headspark/circuit_eval.h"
#include "headspark/head_activations.h"
#include "headspark/head_properties.h"
#include "headspark/resampled_heads.h"
#include "headspark/sweep.h"

namespace headspark::bindings {

// Each throws INVALID_ARGUMENT that lists the words.
AttributionMethod method_of(const std::string& word);
Metric metric_of(const std::string& word);
IgGrid grid_of(const std::string& word);
KvEdges kv_edges_of(const std::string& word);
ExcludedEdges excluded_of(const std::string& word);
AblationKind ablation_of(const std::string& word);
ActivationRows activation_rows_of(const std::string& word);
GatePositions positions_of(const std::string& word);
HeadQueries queries_of(const std::string& word);
Precision precision_of(const std::string& word);
SelectionRule selection_rule_of(const std::string& word);
Ranking ranking_of(const std::string& word);

const char* architecture_name(Architecture architecture) noexcept;

}  // namespace headspark::bindings
