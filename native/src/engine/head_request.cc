// A prompt is named by its index; the caller knows its file and line.
#include "engine/head_request.h"

#include <algorithm>
#include <string>

#include "device/memory_text.h"
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "engine/trace.h"
#include "headspark/error.h"

namespace headspark {
namespace {

[[noreturn]] void refuse(const std::string& problem) {
  throw Error(ErrorCode::INVALID_ARGUMENT, problem);
}

void check_tokens(const Engine& engine, const std::string& where,
                  const std::vector<std::int32_t>& tokens) {
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < engine.config().vocab) continue;
    refuse(where + " has token " + std::to_string(token) + ", outside the vocabulary of " +
           std::to_string(engine.config().vocab) + " tokens.");
  }
}

void check_prompt(const Engine& engine, std::size_t index, const HeadPrompt& prompt) {
  const std::string where = "Prompt " + std::to_string(index);
  if (prompt.tokens.empty()) refuse(where + " has no tokens.");
  if (std::ssize(prompt.tokens) > engine.config().max_positions) {
    refuse(where + " has " + std::to_string(prompt.tokens.size()) + " tokens, more than the " +
           std::to_string(engine.config().max_positions) + " positions of the model.");
  }
  if (prompt.classes.size() != prompt.tokens.size()) {
    refuse(where + " needs one set of classes per token.");
  }
  if (prompt.answers.size() > prompt.tokens.size()) {
    refuse(where + " has more answers than tokens.");
  }
  check_tokens(engine, where, prompt.tokens);
  for (const AnswerTokens& answer : prompt.answers) {
    if (answer.correct.empty()) refuse(where + " has an answer without a right token.");
    check_tokens(engine, where + "'s answer", answer.correct);
    check_tokens(engine, where + "'s answer", answer.incorrect);
  }
}

void check_heads(const Engine& engine, const std::vector<HeadIndex>& heads) {
  const ModelConfig& config = engine.config();
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const auto [layer, head] = heads[i];
    if (layer < 0 || layer >= config.layers || head < 0 || head >= config.heads) {
      refuse("Head " + std::to_string(head) + " of layer " + std::to_string(layer) +
             " is not in the model.");
    }
    if (i == 0) continue;
    const auto [before_layer, before_head] = heads[i - 1];
    if (layer < before_layer || (layer == before_layer && head <= before_head)) {
      refuse("Heads must ascend by layer, then head, each once.");
    }
  }
}

std::vector<LayerHeads> groups_of(const std::vector<HeadIndex>& heads) {
  std::vector<LayerHeads> groups;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (groups.empty() || groups.back().layer != heads[i].layer) {
      groups.push_back({.layer = heads[i].layer, .first = i, .heads = {}});
    }
    groups.back().heads.push_back(heads[i].head);
  }
  return groups;
}

}  // namespace

void check_head_request(const Engine& engine, const HeadPropertiesRequest& request) {
  if (request.classes < 0 || request.classes > 32) refuse("classes must be from 0 to 32.");
  check_heads(engine, request.heads);
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    check_prompt(engine, i, request.prompts[i]);
  }
  for (const HeadMap& map : request.maps) {
    if (map.prompt >= 0 && map.prompt < std::ssize(request.prompts) && map.head >= 0 &&
        map.head < std::ssize(request.heads)) {
      continue;
    }
    refuse("A map names a prompt or head that the request lacks.");
  }
}

HeadRequestPlan plan_head_request(const Engine& engine, const HeadPropertiesRequest& request) {
  HeadRequestPlan plan{.request = request, .groups = groups_of(request.heads), .batches = {}};
  std::vector<std::int32_t> lengths;
  for (const HeadPrompt& prompt : request.prompts) {
    lengths.push_back(static_cast<std::int32_t>(prompt.tokens.size()));
    plan.longest = std::max<std::int64_t>(plan.longest, lengths.back());
  }
  if (lengths.empty()) return plan;
  for (const LayerHeads& group : plan.groups) {
    plan.heads_at_once = std::max<std::int64_t>(plan.heads_at_once, std::ssize(group.heads));
  }
  // Activations, one head's writes, and a row of the map of every head in memory.
  const std::int64_t own =
      Trace::floats_per_token(engine, {.written = true}) + engine.config().hidden;
  const auto token_bytes = [&] { return 4 * (own + plan.heads_at_once * plan.longest); };
  const std::int64_t budget = engine.options.memory_bytes;
  while (plan.heads_at_once > 1 && token_bytes() * plan.longest > budget) plan.heads_at_once /= 2;
  const std::int64_t needed = token_bytes() * plan.longest;
  if (needed > budget) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "A prompt of " + std::to_string(plan.longest) + " tokens needs " +
                    memory_text(needed) +
                    " of workspace for one attention map, more than the memory budget of " +
                    memory_text(budget) +
                    "; raise the budget (memoryBytes, --memory) or shorten the prompt.");
  }
  const std::int64_t wanted = paying_batch_tokens(engine);
  plan.batches = cut_pairs(lengths, std::clamp<std::int64_t>(budget / token_bytes(), 1, wanted));
  return plan;
}

}  // namespace headspark
