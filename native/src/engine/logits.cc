// Logits of prompts, batch by batch, into the one array that the caller gets.
#include <algorithm>
#include <numeric>
#include <string>

#include "engine/forward.h"
#include "engine/gates.h"
#include "engine/output_rows.h"
#include "headspark/engine.h"
#include "headspark/error.h"

namespace headspark {
namespace {

using Prompts = std::span<const std::vector<std::int32_t>>;

// Tokens of one forward pass; more make a product no faster, only the memory larger.
constexpr std::int64_t kPromptTokens = 1024;

void check_prompts(Prompts prompts, std::int64_t vocab) {
  for (const auto& prompt : prompts) {
    if (prompt.empty()) throw Error(ErrorCode::INVALID_ARGUMENT, "A prompt has no tokens.");
    for (const std::int32_t token : prompt) {
      if (token < 0 || token >= vocab) {
        throw Error(ErrorCode::INVALID_ARGUMENT, "Token " + std::to_string(token) +
                                                     " is outside the vocabulary of " +
                                                     std::to_string(vocab) + " tokens.");
      }
    }
  }
}

std::int64_t token_count(Prompts prompts) {
  std::int64_t tokens = 0;
  for (const auto& prompt : prompts) tokens += std::ssize(prompt);
  return tokens;
}

std::int64_t longest(Prompts prompts) {
  std::int64_t tokens = 0;
  for (const auto& prompt : prompts) tokens = std::max(tokens, std::ssize(prompt));
  return tokens;
}

/// The first prompts that make a batch.
Prompts first_batch(Prompts prompts, std::int64_t batch_tokens) {
  std::size_t count = 1;
  std::int64_t tokens = std::ssize(prompts[0]);
  while (count < prompts.size() && tokens + std::ssize(prompts[count]) <= batch_tokens) {
    tokens += std::ssize(prompts[count++]);
  }
  return prompts.first(count);
}

std::int64_t logits_rows(Prompts prompts, bool all_positions) {
  return all_positions ? token_count(prompts) : std::ssize(prompts);
}

using Heads = std::span<const std::vector<GatedHead>>;

void run_batch(const Engine& engine, Prompts prompts, Heads heads, const LogitsRequest& request,
               const RotaryTables& rotary, const RunControl& control, float* logits) {
  BatchRows rows;
  for (const auto& prompt : prompts) rows.add(prompt);
  const Batch batch(engine.context, std::move(rows));
  Trace trace(engine, batch.tokens(), {});
  const RowGates gates(engine, heads);
  const std::vector<std::int32_t> last(prompts.size(), 1);
  const WantedTokens wanted(engine.context, batch.host(), last);
  run_forward(engine, batch,
              {.gates = gates.zero_ablation(),
               .rotary = &rotary,
               .wanted = request.all_positions ? nullptr : &wanted},
              trace, control);
  std::vector<std::int32_t> tokens(
      static_cast<std::size_t>(logits_rows(prompts, request.all_positions)));
  std::iota(tokens.begin(), tokens.end(), 0);
  run_logits_to_host(engine, trace.final_residual(), tokens, logits);
}

}  // namespace

HostArray<float> compute_logits(const Engine& engine, const LogitsRequest& request,
                                const RunControl& control) {
  const std::int64_t vocab = engine.config().vocab;
  const Prompts prompts = request.prompts;
  check_prompts(prompts, vocab);
  std::vector<std::vector<GatedHead>> heads = request.heads;
  if (heads.empty()) heads.resize(prompts.size());
  if (heads.size() != prompts.size()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "The gated heads are not those of every prompt.");
  }
  HostArray<float> logits(logits_rows(prompts, request.all_positions) * vocab, "the logits");
  if (prompts.empty()) return logits;
  const BufferReuse reuse(engine.context.backend);
  const RotaryTables rotary = rotary_for(engine, longest(prompts));
  const std::int64_t batch_tokens =
      engine.options.batch_tokens > 0 ? engine.options.batch_tokens : kPromptTokens;
  float* at = logits.data();
  for (std::size_t done = 0; done < prompts.size();) {
    control.check();
    control.report({done, prompts.size(), "prompts"});
    const Prompts batch = first_batch(prompts.subspan(done), batch_tokens);
    run_batch(engine, batch, Heads(heads).subspan(done, batch.size()), request, rotary, control,
              at);
    at += logits_rows(batch, request.all_positions) * vocab;
    done += batch.size();
  }
  control.report({prompts.size(), prompts.size(), "prompts"});
  return logits;
}

}  // namespace headspark
