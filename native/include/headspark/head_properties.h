// What heads do on a set of prompts: where they look, how much they write, and what their writes do
// to the answer. Everything is reduced here, so that no [tokens, tokens] map leaves the core unless
// a drawing asks for it.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/engine.h"
#include "headspark/run_control.h"

namespace headspark {

/// One query head.
struct HeadIndex {
  std::int32_t layer = 0;
  std::int32_t head = 0;
};

/// A place where the model answers: the tokens that are right there, and those that are wrong.
struct AnswerTokens {
  std::vector<std::int32_t> correct;
  std::vector<std::int32_t> incorrect;  ///< empty: measured against the mean of the vocabulary
};

struct HeadPrompt {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint32_t> classes;  ///< per token: bit c is set when it is of class c
  std::vector<AnswerTokens> answers;   ///< at the last answers.size() tokens; empty: no answer
};

/// Which tokens' attention is looked at: every one but the first, which can only read itself, or
/// those where the model answers (without answers the last).
enum class HeadQueries { all, answer };

/// A map to be returned: heads[head] on prompts[prompt].
struct HeadMap {
  std::int32_t prompt = 0;
  std::int32_t head = 0;
};

struct HeadPropertiesRequest {
  std::vector<HeadPrompt> prompts;
  std::vector<HeadIndex> heads;  ///< ascending by layer, then head; each once
  std::int32_t classes = 0;      ///< token classes in use, at most 32
  HeadQueries queries = HeadQueries::all;
  bool copying = true;
  std::vector<HeadMap> maps;
};

/// Columns of a head's values on one prompt; the token classes follow from `classes` on. All means
/// over the queries; shares of attention are probabilities, only queries that see such a token
/// count: in a layer with a sliding window, within it.
struct HeadColumn {
  enum : std::int32_t {
    previous,       ///< attention to the token before
    first,          ///< to the first token of the prompt
    duplicate,      ///< to earlier copies of the query's token
    induction,      ///< to the tokens after those copies, before the query (arXiv 2209.11895)
    entropy,        ///< nats
    distance,       ///< tokens between query and key, in the mean
    write_norm,     ///< L2 norm of what the head adds to the residual stream
    direct_effect,  ///< logits, see below
    classes,        ///< attention to tokens of class 0, 1, …
  };
};

struct HeadProperties {
  std::int64_t columns = 0;  ///< HeadColumn::classes + classes
  /// [prompts, heads, columns]; NaN where no query counts.
  ///
  /// direct_effect: what the head's write at the answer adds to the logit of the right tokens minus
  /// that of the wrong ones, when the scale of the final norm is held at its value in this run
  /// (direct logit attribution, as in TransformerLens' ActivationCache.logit_attrs with centred
  /// weights; b_O belongs to no head). Mean over the answers.
  std::vector<float> values;
  /// [prompts, columns] the same for a head that reads all tokens up to the query alike, without a
  /// window; NaN for the writes.
  std::vector<float> uniform;
  /// [heads] sum of the eigenvalues over the sum of their magnitudes, of W_U W_O W_V W_E: 1 when
  /// all are positive, so that reading a token makes it likelier (Elhage et al. 2021, "A
  /// mathematical framework for transformer circuits"). Norm weights are folded in and norm scales
  /// left out; logits are centred over the vocabulary, which the softmax cannot see. NaN for a head
  /// that writes nothing. Empty unless asked for.
  std::vector<float> copying;
  /// One [tokens, tokens] map per request.maps, queries by keys.
  std::vector<std::vector<float>> maps;
};

/// Results do not depend on threads, memory budget or on which prompts or heads stand beside each
/// other. Errors: INVALID_ARGUMENT for empty or too long prompts, tokens outside the vocabulary,
/// heads outside the model; OUT_OF_MEMORY, CANCELLED.
HeadProperties head_properties(const Engine& engine, const HeadPropertiesRequest& request,
                               const RunControl& control);

}  // namespace headspark
