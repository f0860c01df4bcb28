// The scheduler: admission under a page budget, prompts computed once, one decode pass for all
// running rows, preemption of the youngest by recomputation.
#include <algorithm>
#include <map>

#include "engine/decode_head.h"
#include "engine/gates.h"
#include "engine/generation_checks.h"
#include "engine/generation_row.h"
#include "engine/growing_buffer.h"
#include "engine/prefill.h"
#include "engine/repeated_step.h"
#include "engine/row_pages.h"
#include "headspark/generate.h"
#include "ops/paged_attention_memory.h"

namespace headspark {
namespace {

// Prompt tokens computed between two decode passes: enough for a GEMM at full speed, few enough
// that running rows do not wait long.
constexpr std::int64_t kPrefillTokens = 512;
// Pages per layer (32 tokens) that each running row should find when another one is admitted.
constexpr std::int64_t kHeadroomPages = 1;
// Finished prompts kept for requests that may still come.
constexpr std::size_t kIdlePrompts = 16;

std::int64_t trace_tokens(const GenerationOptions& options) {
  return std::max<std::int64_t>(kPrefillTokens, options.max_rows);
}

// What is left for pages: at least half of the budget, so that a small one still holds some row.
std::int64_t page_budget(const Engine& engine, const GenerationOptions& options) {
  const ModelConfig& config = engine.config();
  const AttentionShape shape = attention_shape(config, 0);
  const FixedNeed fixed{
      Trace::floats_per_token(engine, {}) * 4 * trace_tokens(options),
      DecodeHead::workspace_bytes(engine, options.max_rows),
      paged_attention_bytes(engine.context,
                            {shape, options.max_rows, config.max_positions, config.layers})};
  check_room(engine, options, fixed);
  return std::max(options.memory_bytes - fixed.total(), options.memory_bytes / 2);
}

PromptUse use_of(const GenerationRow& row) {
  return {&row.request.prompt, &row.prompt_gates, row.request.replacement};
}

}  // namespace

struct Generator::State {
  using Row = std::unique_ptr<GenerationRow>;
  using Rows = std::map<std::uint64_t, Row>;  // oldest first

  const Engine& engine;
  GenerationOptions options;
  std::int64_t layers;
  KvPagePool pool;
  PromptCache prompts;
  GateReplacement replacement;
  Prefill prefill;
  DecodeHead head;
  PagedBatch pages;
  GrowingBuffer<std::int32_t> plan;  // of whichever pages a step reads
  Trace trace;
  RepeatedStep repeated;
  RotaryTables rotary;
  Rows waiting;
  Rows running;
  std::map<std::uint64_t, PromptHandle> held;  // prompts of rows whose first token is not drawn yet
  std::vector<std::uint64_t> unheard;          // ends to tell at the next step
  std::uint64_t next_number = 0;
  GenerationStats stats;

  State(const Engine& used, GenerationOptions chosen)
      : engine(used),
        options(checked_options(used, std::move(chosen))),
        layers(used.config().layers),
        pool(used, page_budget(used, options)),
        prompts(used, pool),
        replacement(used, options.replacement),
        prefill(used, pool, replacement),
        head(used, options.max_rows),
        pages(used),
        plan(used.context.backend),
        trace(used, trace_tokens(options), {}),
        repeated(used, pool, replacement, trace, options.max_rows) {
    if (!used.config().windowed.empty()) pool.make_hole();
  }

  LayerRange all_layers() const { return {0, layers}; }
  void check_fits(const GenerationRow& row) const;
  void cover_positions(std::int64_t positions);

  void admit(const RunControl& control);
  enum class Admission { admitted, prompt_missing, memory_missing };
  Admission try_admit_first();
  std::int64_t compute_prompts(const RunControl& control);
  std::int64_t missing_pages(const PromptState& first) const;
  std::int64_t headroom() const {
    return layers * kHeadroomPages * static_cast<std::int64_t>(running.size());
  }
  std::vector<PromptUse> uses(std::int64_t count) const;
  std::vector<PromptHandle> work_of_waiting();
  bool make_room(std::int64_t pages_needed);

  void decode(const RunControl& control, const GenerationSink& sink);
  std::vector<GenerationRow*> take_batch(std::vector<std::int64_t>& counts);
  bool grow(GenerationRow& row, std::int64_t count);
  void preempt(std::uint64_t number);
  bool repeats(const std::vector<GenerationRow*>& rows,
               const std::vector<std::int64_t>& counts) const;
  std::vector<std::int64_t> run_batch(const std::vector<GenerationRow*>& rows,
                                      const std::vector<std::int64_t>& counts,
                                      const RunControl& control);
  void run_packed(const std::vector<GenerationRow*>& rows, const std::vector<std::int64_t>& counts,
                  const RunControl& control);
  void draw(const std::vector<GenerationRow*>& rows, const std::vector<const float*>& residuals,
            const GenerationSink& sink);
  Finish finish_of(const GenerationRow& row) const;
  void tell_ends(const GenerationSink& sink);
};

// Whatever else waits or runs, this row can be computed alone.
void Generator::State::check_fits(const GenerationRow& row) const {
  const std::int64_t tokens = row.most_stored(engine.config().max_positions);
  const std::int64_t needed = pages_alone(engine.config(), pool, row, trace.capacity());
  if (needed <= pool.capacity()) return;
  throw_does_not_fit({tokens, needed * pool.page_bytes(), options.memory_bytes,
                      pool.capacity() * pool.page_bytes()});
}

void Generator::State::cover_positions(std::int64_t positions) {
  if (positions <= rotary.positions()) return;
  const std::int64_t grown =
      std::min(std::max(positions, 2 * rotary.positions()), engine.config().max_positions);
  rotary = rotary_for(engine, grown);
}

// Pages become free: prompts that no admitted row reads first.
bool Generator::State::make_room(std::int64_t pages_needed) {
  std::vector<const PromptState*> kept;
  for (const auto& [number, prompt] : held) kept.push_back(prompt.get());
  while (!pool.prepare(pages_needed)) {
    if (!prompts.evict(kept)) return false;
  }
  return true;
}

std::vector<PromptUse> Generator::State::uses(std::int64_t count) const {
  std::vector<PromptUse> list;
  for (const auto& [number, row] : waiting) {
    if (static_cast<std::int64_t>(list.size()) == count) break;
    list.push_back(use_of(*row));
  }
  return list;
}

// The prompts that the next rows need, as far as they run through the same layers.
std::vector<PromptHandle> Generator::State::work_of_waiting() {
  const auto room =
      static_cast<std::int64_t>(options.max_rows) - static_cast<std::int64_t>(running.size());
  const std::vector<PromptUse> all = uses(4 * options.max_rows);
  std::vector<PromptHandle> work;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < all.size() && static_cast<std::int64_t>(i) < room; ++i) {
    const PromptHandle state = prompts.get(all[i]);
    if (state->complete()) continue;
    const PromptHandle next = prompts.next_work(state, all);
    if (std::find(work.begin(), work.end(), next) != work.end()) continue;
    if (!work.empty()) {
      const LayerRange& first = work.front()->work()->layers;
      const LayerRange& own = next->work()->layers;
      if (own.begin != first.begin || own.end != first.end) continue;
    }
    work.push_back(next);
    tokens += next->length() - next->work()->done;
    if (tokens >= trace.capacity()) break;
  }
  return work;
}

// Pages that the first of `work` needs for its next tokens.
std::int64_t Generator::State::missing_pages(const PromptState& first) const {
  const std::int64_t done = first.work()->done;
  return first.cache().missing(first.work()->layers, done,
                               std::min(first.length(), done + trace.capacity()));
}

// One prefill pass for rows that could join. 0 when there is nothing to do, or when the running
// rows need the memory more: a prompt that they would soon push out is not worth computing.
std::int64_t Generator::State::compute_prompts(const RunControl& control) {
  std::vector<PromptHandle> work = work_of_waiting();
  if (work.empty()) return 0;
  const std::int64_t reserve = headroom();
  const auto make_place = [&] {
    const PromptState* kept = work.front().get();
    while (!pool.prepare(missing_pages(*kept) + reserve)) {
      if (!prompts.evict({&kept, 1})) return false;
    }
    return true;
  };
  if (!pool.prepare(missing_pages(*work.front()) + reserve)) {
    work.resize(1);  // the others must not keep what is evicted
    if (!make_place()) {
      if (!running.empty()) return 0;  // they will leave
      work = {prompts.get(uses(1).front())};
      prompts.start_alone(work.front());
      if (!make_place()) throw_no_memory(work.front()->length());
    }
  }
  const LayerRange layers_run = work.front()->work()->layers;
  const std::int64_t tokens = prefill.run(work, reserve, {rotary, trace}, control);
  stats.prefilled_layer_tokens += tokens * (layers_run.end - layers_run.begin);
  return tokens;
}

Generator::State::Admission Generator::State::try_admit_first() {
  const auto first = waiting.begin();
  GenerationRow& row = *first->second;
  const PromptHandle state = prompts.get(use_of(row));
  if (!state->complete()) return Admission::prompt_missing;
  // Its own pages up to the next token, and some for those that run already. Sharing the prompt's
  // last page costs a copy of it.
  const std::int64_t whole = row.prompt_length() / kKvPageTokens;
  const std::int64_t next =
      std::min(row.length() + 1, row.most_stored(engine.config().max_positions));
  const std::int64_t own = std::max<std::int64_t>(0, pages_for(next) - whole);
  held[first->first] = state;
  if (!make_room(layers * own + headroom()) && !running.empty()) {
    held.erase(first->first);
    return Admission::memory_missing;
  }
  row.cache.share(state->cache(), all_layers(), row.prompt_length());
  row.stored = row.prompt_length();
  if (row.generated() == 0) {
    row.fresh = state->last();
  } else {
    held.erase(first->first);
  }
  running.insert(waiting.extract(first));
  return Admission::admitted;
}

void Generator::State::admit(const RunControl& control) {
  std::int64_t prefilled = 0;
  while (!waiting.empty() && static_cast<std::int32_t>(running.size()) < options.max_rows) {
    const Admission first = try_admit_first();
    if (first == Admission::admitted) continue;
    if (first == Admission::memory_missing) break;
    if (prefilled >= kPrefillTokens && !running.empty()) break;
    const std::int64_t tokens = compute_prompts(control);
    if (tokens == 0) break;
    prefilled += tokens;
  }
  while (prompts.size() > kIdlePrompts + static_cast<std::size_t>(options.max_rows)) {
    if (!prompts.evict({})) break;
  }
}

void Generator::State::preempt(std::uint64_t number) {
  const auto found = running.find(number);
  found->second->cache.clear();
  found->second->stored = 0;
  found->second->fresh = nullptr;
  held.erase(number);
  waiting.insert(running.extract(found));
  ++stats.preemptions;
}

// Pages for the row's next `count` tokens. False when the row itself had to give way.
bool Generator::State::grow(GenerationRow& row, std::int64_t count) {
  const std::uint64_t number = row.number;
  forget_before_windows(engine.config(), row);
  while (!row.cache.make_writable(all_layers(), row.stored, row.stored + count)) {
    if (prompts.evict({})) continue;
    const std::uint64_t youngest = running.rbegin()->first;
    if (running.size() == 1) throw_no_memory(row.stored + count);
    preempt(youngest);
    if (youngest == number) return false;
  }
  return true;
}

// Rows with tokens to feed, oldest first, each with pages for `counts` of them: one, or as many as
// fit for a row that is computed again.
std::vector<GenerationRow*> Generator::State::take_batch(std::vector<std::int64_t>& counts) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, row] : running) {
    if (row->fresh == nullptr) numbers.push_back(number);
  }
  std::vector<GenerationRow*> rows;
  auto left = trace.capacity() - static_cast<std::int64_t>(numbers.size());
  for (const std::uint64_t number : numbers) {
    const auto found = running.find(number);
    if (found == running.end()) continue;  // preempted for an older one
    GenerationRow& row = *found->second;
    const std::int64_t end = row.stored + std::min(row.pending(), 1 + left);
    const std::int64_t count =
        replacement.pass_end(row.request.replacement, row.stored, end) - row.stored;
    if (!grow(row, count)) continue;
    left -= count - 1;
    rows.push_back(&row);
    counts.push_back(count);
  }
  return rows;
}

// No row is computed again, so that the step is like others.
bool Generator::State::repeats(const std::vector<GenerationRow*>& rows,
                               const std::vector<std::int64_t>& counts) const {
  std::int64_t context = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (counts[i] != 1) return false;
    context = std::max(context, rows[i]->stored + 1);
  }
  return repeated.takes(static_cast<std::int64_t>(rows.size()), context);
}

// One decode pass. Where each row's last token lies in the trace.
std::vector<std::int64_t> Generator::State::run_batch(const std::vector<GenerationRow*>& rows,
                                                      const std::vector<std::int64_t>& counts,
                                                      const RunControl& control) {
  std::vector<std::int64_t> last;
  std::int64_t tokens = 0;
  for (const std::int64_t count : counts) {
    tokens += count;
    last.push_back(tokens - 1);
  }
  if (repeats(rows, counts)) {
    last = repeated.run(rows, {rotary, plan}, control);
  } else {
    run_packed(rows, counts, control);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i]->stored += counts[i];
  ++stats.steps;
  stats.decoded_tokens += tokens;
  return last;
}

void Generator::State::run_packed(const std::vector<GenerationRow*>& rows,
                                  const std::vector<std::int64_t>& counts,
                                  const RunControl& control) {
  BatchRows packed;
  std::vector<const KvSequence*> sequences;
  std::vector<std::vector<GatedHead>> heads;
  GateReplacement::BatchRuns runs;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<const std::int32_t> tokens(rows[i]->tokens);
    packed.add(tokens.subspan(static_cast<std::size_t>(rows[i]->stored),
                              static_cast<std::size_t>(counts[i])),
               0, static_cast<std::int32_t>(rows[i]->stored));
    sequences.push_back(&rows[i]->cache);
    heads.push_back(rows[i]->generated_gates);
    runs.runs.push_back(rows[i]->request.replacement);
    runs.positions.push_back(rows[i]->stored);
  }
  const Batch batch(engine.context, std::move(packed));
  pages.set(pool, sequences, all_layers());
  pages.plan_in(plan, engine, batch.layout());
  const RowGates gates(engine, heads);
  ForwardInputs inputs{
      .gates = gates.zero_ablation(), .rotary = &rotary, .pages = &pages, .decoding = true};
  replacement.apply(runs, inputs.gates);
  run_forward(engine, batch, inputs, trace, control);
}

void Generator::State::decode(const RunControl& control, const GenerationSink& sink) {
  std::vector<std::int64_t> counts;
  const std::vector<GenerationRow*> fed = take_batch(counts);
  std::vector<std::int64_t> last;
  if (!fed.empty()) last = run_batch(fed, counts, control);
  std::vector<GenerationRow*> drawing;
  std::vector<const float*> residuals;
  for (std::size_t i = 0; i < fed.size(); ++i) {
    if (fed[i]->pending() > 0) continue;  // still being computed again
    drawing.push_back(fed[i]);
    residuals.push_back(trace.final_residual() + last[i] * engine.config().hidden);
  }
  for (const auto& [number, row] : running) {
    if (row->fresh == nullptr) continue;
    drawing.push_back(row.get());
    residuals.push_back(row->fresh);
  }
  draw(drawing, residuals, sink);
}

Finish Generator::State::finish_of(const GenerationRow& row) const {
  const auto& stops = row.request.stop_tokens;
  if (std::find(stops.begin(), stops.end(), row.tokens.back()) != stops.end()) {
    return Finish::stop_token;
  }
  if (row.generated() >= row.request.max_new_tokens) return Finish::length;
  return row.length() > engine.config().max_positions ? Finish::context : Finish::none;
}

void Generator::State::draw(const std::vector<GenerationRow*>& rows,
                            const std::vector<const float*>& residuals,
                            const GenerationSink& sink) {
  std::vector<TokenDraw> draws;
  for (const GenerationRow* row : rows) {
    draws.push_back({row->request.sampling, row->request.seed,
                     static_cast<std::uint64_t>(row->generated()), row->tokens,
                     row->request.log_probs});
  }
  const std::vector<DrawnToken> drawn = head.sample(residuals, draws);
  std::vector<GenerationEvent> events;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    GenerationRow& row = *rows[i];
    row.fresh = nullptr;
    held.erase(row.number);
    row.tokens.push_back(drawn[i].token);
    events.push_back(
        {row.number, drawn[i].token, finish_of(row), drawn[i].margin, drawn[i].log_prob});
    if (events.back().finish != Finish::none) running.erase(row.number);
  }
  for (const GenerationEvent& event : events) sink(event);
}

void Generator::State::tell_ends(const GenerationSink& sink) {
  std::vector<std::uint64_t> ended;
  ended.swap(unheard);
  for (const std::uint64_t number : ended) sink({number, -1, Finish::length, kNoMargin});
}

Generator::Generator(const Engine& engine, GenerationOptions options)
    : state_(std::make_unique<State>(engine, std::move(options))) {}
Generator::~Generator() = default;
Generator::Generator(Generator&&) noexcept = default;

std::uint64_t Generator::add(GenerationRequest request) {
  check_request(state_->engine, state_->options, request);
  auto row = std::make_unique<GenerationRow>(state_->pool, state_->layers);
  row->request = std::move(request);
  row->tokens = row->request.prompt;
  const std::vector<GatedHead> gates = sorted_gates(row->request.heads);
  if (row->request.positions != GatePositions::generated) row->prompt_gates = gates;
  if (row->request.positions != GatePositions::prompt) row->generated_gates = gates;
  state_->check_fits(*row);
  state_->cover_positions(row->most_stored(state_->engine.config().max_positions));
  const std::uint64_t number = state_->next_number++;
  row->number = number;
  if (row->request.max_new_tokens == 0) {
    state_->unheard.push_back(number);
  } else {
    state_->waiting.emplace(number, std::move(row));
  }
  return number;
}

void Generator::stop(std::uint64_t request) {
  state_->held.erase(request);
  state_->waiting.erase(request);
  state_->running.erase(request);
}

bool Generator::idle() const {
  return state_->waiting.empty() && state_->running.empty() && state_->unheard.empty();
}

std::int64_t Generator::waiting() const {
  return static_cast<std::int64_t>(state_->waiting.size());
}

std::int64_t Generator::running() const {
  return static_cast<std::int64_t>(state_->running.size());
}

void Generator::step(const RunControl& control, const GenerationSink& sink) {
  control.check();
  state_->tell_ends(sink);
  state_->admit(control);
  state_->decode(control, sink);
}

GenerationStats Generator::stats() const {
  GenerationStats stats = state_->stats;
  stats.pages_used = state_->pool.used();
  stats.most_pages_used = state_->pool.most_used();
  stats.page_capacity = state_->pool.capacity();
  stats.uploaded_pages = state_->repeated.uploaded_pages();
  stats.step_repeats = state_->repeated.counts();
  stats.draw_repeats = state_->head.counts();
  return stats;
}

}  // namespace headspark
