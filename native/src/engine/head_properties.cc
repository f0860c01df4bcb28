// One forward pass per micro-batch, stopped after every layer that has chosen heads: there q, k and
// z are at hand, so nothing has to be kept. The direct effects need the end of the pass and take
// only z at the answers along.
#include "headspark/head_properties.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "engine/attention_summary.h"
#include "engine/copying.h"
#include "engine/direct_effect.h"
#include "engine/forward.h"
#include "engine/head_request.h"
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "headspark/error.h"
#include "headspark/ops/attention_pattern.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

/// A device array as the host sees it: in place where it lies there anyway.
class HostView {
 public:
  HostView(const Engine& engine, const float* device, std::int64_t count) : data_(device) {
    if (engine.context.on_cpu()) return;
    copy_.resize(static_cast<std::size_t>(count));
    engine.context.backend->copy_to_host(copy_.data(), device,
                                         count * static_cast<std::int64_t>(sizeof(float)));
    data_ = copy_.data();
  }
  const float* data() const { return data_; }

 private:
  std::vector<float> copy_;
  const float* data_;
};

/// A micro-batch of prompts [first, last).
class PropertyBatch {
 public:
  PropertyBatch(const Engine& engine, const HeadRequestPlan& plan,
                std::pair<std::size_t, std::size_t> range, HeadProperties& result)
      : engine_(engine),
        plan_(plan),
        first_(range.first),
        result_(result),
        batch_(engine.context, rows_of(range)),
        trace_(engine, batch_.tokens(), {.written = true}) {
    const HeadPropertiesRequest& request = plan.request;
    std::vector<std::int32_t> query_tokens;
    for (std::size_t p = range.first; p < range.second; ++p) {
      prompts_.emplace_back(request.prompts[p], request.classes, request.queries);
      prompts_.back().summarize_uniform(result.uniform.data() +
                                        static_cast<std::int64_t>(p) * result.columns);
      const std::int32_t begin = batch_.host().row_begin[p - range.first];
      for (const std::int64_t query : prompts_.back().queries()) {
        query_tokens.push_back(begin + static_cast<std::int32_t>(query));
      }
      const std::int32_t end = batch_.host().row_begin[p - range.first + 1];
      const std::vector<AnswerTokens>& answers = request.prompts[p].answers;
      for (std::size_t a = 0; a < answers.size(); ++a) {
        answers_.push_back(&answers[a]);
        answer_prompt_.push_back(p);
        answer_token_.push_back(end - static_cast<std::int32_t>(answers.size() - a));
      }
    }
    query_tokens_ =
        Buffer<std::int32_t>(engine.context.backend, std::span<const std::int32_t>(query_tokens));
  }

  void run(const RotaryTables& rotary, const RunControl& control) {
    std::int64_t done = 0;
    const auto advance = [&](std::int64_t layer) {
      if (layer <= done) return;
      run_forward(engine_, batch_,
                  {.rotary = &rotary,
                   .first_layer = done,
                   .start_residual = done > 0 ? trace_.layer(done).residual : nullptr,
                   .end_layer = layer},
                  trace_, control);
      done = layer;
    };
    std::vector<std::vector<float>> answer_z;
    for (const LayerHeads& group : plan_.groups) {
      advance(group.layer + 1);
      measure_attention(group, control);
      measure_writes(group, control);
      answer_z.push_back(at_answers(trace_.layer(group.layer).written, z_width()));
    }
    if (answers_.empty()) return;
    advance(engine_.config().layers);
    measure_direct_effects(answer_z);
  }

 private:
  BatchRows rows_of(std::pair<std::size_t, std::size_t> range) const {
    BatchRows rows;
    for (std::size_t p = range.first; p < range.second; ++p) {
      rows.add(plan_.request.prompts[p].tokens);
    }
    return rows;
  }
  std::int64_t z_width() const { return engine_.config().heads * engine_.config().head_dim; }
  float* values(std::size_t prompt, std::size_t head) const {
    return result_.values.data() +
           static_cast<std::int64_t>(prompt * plan_.request.heads.size() + head) * result_.columns;
  }

  void measure_attention(const LayerHeads& group, const RunControl& control) {
    const std::int64_t heads = std::ssize(group.heads);
    for (std::int64_t at = 0; at < heads; at += plan_.heads_at_once) {
      control.check();
      measure_maps(group, at, std::min(plan_.heads_at_once, heads - at));
    }
  }

  /// The maps of heads [at, at + count) of a layer.
  void measure_maps(const LayerHeads& group, std::int64_t at, std::int64_t count) {
    std::vector<std::int64_t> begin;
    std::int64_t size = 0;
    for (const PromptTokens& prompt : prompts_) {
      begin.push_back(size);
      size += count * prompt.length() * prompt.length();
    }
    const auto& backend = engine_.context.backend;
    const Buffer<std::int32_t> heads(
        backend, std::span(group.heads)
                     .subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(count)));
    const Buffer<std::int64_t> pattern_begin(backend, std::span<const std::int64_t>(begin));
    Buffer<float> pattern(backend, size);
    AttentionPattern params;
    params.shape = attention_shape(engine_.config(), group.layer);
    params.layout = batch_.layout();
    params.q = trace_.layer(group.layer).q;
    params.k = trace_.layer(group.layer).k;
    params.heads = heads.data();
    params.count = count;
    params.pattern_begin = pattern_begin.data();
    params.pattern = pattern.data();
    attention_pattern(engine_.context, params);
    const HostView host(engine_, pattern.data(), size);
    const std::int64_t items = std::ssize(prompts_) * count;
    engine_.context.threads->parallel_for(items, 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t item = from; item < to; ++item) {
        const auto row = static_cast<std::size_t>(item / count);
        const PromptTokens& prompt = prompts_[row];
        const float* map =
            host.data() + begin[row] + item % count * prompt.length() * prompt.length();
        const std::size_t head = group.first + static_cast<std::size_t>(at + item % count);
        prompt.summarize(map, params.shape, values(first_ + row, head));
        keep_map(first_ + row, head, map, prompt.length() * prompt.length());
      }
    });
  }

  void keep_map(std::size_t prompt, std::size_t head, const float* map, std::int64_t size) {
    for (std::size_t i = 0; i < plan_.request.maps.size(); ++i) {
      const HeadMap& wanted = plan_.request.maps[i];
      if (static_cast<std::size_t>(wanted.prompt) != prompt ||
          static_cast<std::size_t>(wanted.head) != head) {
        continue;
      }
      result_.maps[i].assign(map, map + size);
    }
  }

  void measure_writes(const LayerHeads& group, const RunControl& control) {
    const std::int64_t queries = query_tokens_.size();
    if (queries == 0) return;
    const ModelConfig& config = engine_.config();
    const auto& backend = engine_.context.backend;
    Buffer<float> writes(backend, batch_.tokens() * config.hidden);
    Buffer<double> norms(backend, std::ssize(group.heads) * queries);
    for (std::size_t i = 0; i < group.heads.size(); ++i) {
      control.check();
      const HeadWrite write[] = {{group.heads[i], writes.data()}};
      expand_head_writes(engine_, group.layer, batch_.tokens(), trace_.layer(group.layer).written,
                         write);
      row_norms(engine_.context, {.rows = queries,
                                  .width = config.hidden,
                                  .index = query_tokens_.data(),
                                  .x = writes.data(),
                                  .norms = norms.data() + static_cast<std::int64_t>(i) * queries});
    }
    const std::vector<double> host = norms.to_host();
    for (std::size_t i = 0; i < group.heads.size(); ++i) {
      mean_norms(std::span(host).subspan(i * static_cast<std::size_t>(queries)), group.first + i);
    }
  }

  /// The means of a head over each prompt's queries, which follow each other in `norms`.
  void mean_norms(std::span<const double> norms, std::size_t head) {
    for (std::size_t row = 0; row < prompts_.size(); ++row) {
      const std::size_t count = prompts_[row].queries().size();
      if (count == 0) continue;
      const auto own = norms.first(count);
      const double sum = std::accumulate(own.begin(), own.end(), 0.0);
      values(first_ + row, head)[HeadColumn::write_norm] =
          static_cast<float>(sum / static_cast<double>(count));
      norms = norms.subspan(count);
    }
  }

  /// Rows of x [tokens, width] at the answers, on the host.
  std::vector<float> at_answers(const float* x, std::int64_t width) const {
    std::vector<float> rows(answer_token_.size() * static_cast<std::size_t>(width));
    for (std::size_t a = 0; a < answer_token_.size(); ++a) {
      engine_.context.backend->copy_to_host(rows.data() + static_cast<std::int64_t>(a) * width,
                                            x + answer_token_[a] * width,
                                            width * static_cast<std::int64_t>(sizeof(float)));
    }
    return rows;
  }

  void measure_direct_effects(const std::vector<std::vector<float>>& answer_z) {
    const std::int64_t head_dim = engine_.config().head_dim;
    const Buffer<float> directions = answer_directions(
        engine_, answers_, at_answers(trace_.final_residual(), engine_.config().hidden));
    for (std::size_t g = 0; g < plan_.groups.size(); ++g) {
      const LayerHeads& group = plan_.groups[g];
      const std::vector<float> d = head_directions(engine_, group.layer, directions);
      for (std::size_t i = 0; i < group.heads.size(); ++i) {
        std::vector<double> sums(prompts_.size(), 0.0);
        for (std::size_t a = 0; a < answers_.size(); ++a) {
          const std::int64_t at =
              static_cast<std::int64_t>(a) * z_width() + group.heads[i] * head_dim;
          double effect = 0.0;
          for (std::int64_t e = 0; e < head_dim; ++e) {
            effect += static_cast<double>(answer_z[g][static_cast<std::size_t>(at + e)]) *
                      d[static_cast<std::size_t>(at + e)];
          }
          sums[answer_prompt_[a] - first_] += effect;
        }
        for (std::size_t row = 0; row < prompts_.size(); ++row) {
          const std::size_t count = plan_.request.prompts[first_ + row].answers.size();
          if (count == 0) continue;
          values(first_ + row, group.first + i)[HeadColumn::direct_effect] =
              static_cast<float>(sums[row] / static_cast<double>(count));
        }
      }
    }
  }

  const Engine& engine_;
  const HeadRequestPlan& plan_;
  std::size_t first_;
  HeadProperties& result_;
  Batch batch_;
  Trace trace_;
  std::vector<PromptTokens> prompts_;
  Buffer<std::int32_t> query_tokens_;  ///< in the batch, of all prompts in order
  std::vector<const AnswerTokens*> answers_;
  std::vector<std::size_t> answer_prompt_;  ///< prompt of each answer
  std::vector<std::int32_t> answer_token_;  ///< its token in the batch
};

}  // namespace

HeadProperties head_properties(const Engine& engine, const HeadPropertiesRequest& request,
                               const RunControl& control) {
  check_head_request(engine, request);
  const float undefined = std::numeric_limits<float>::quiet_NaN();
  HeadProperties result;
  result.columns = HeadColumn::classes + request.classes;
  const auto columns = static_cast<std::size_t>(result.columns);
  result.values.assign(request.prompts.size() * request.heads.size() * columns, undefined);
  result.uniform.assign(request.prompts.size() * columns, undefined);
  result.maps.resize(request.maps.size());
  if (request.heads.empty()) return result;
  const HeadRequestPlan plan = plan_head_request(engine, request);
  const BufferReuse reuse(engine.context.backend);
  const RotaryTables rotary = rotary_for(engine, plan.longest);
  for (const auto& range : plan.batches) {
    control.report({range.first, request.prompts.size(), "prompts"});
    PropertyBatch(engine, plan, range, result).run(rotary, control);
  }
  control.report({request.prompts.size(), request.prompts.size(), "prompts"});
  if (request.copying) result.copying = copying_scores(engine, request.heads, control);
  return result;
}

}  // namespace headspark
