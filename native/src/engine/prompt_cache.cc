// Which part of a prompt is computed from where.
#include "engine/prompt_cache.h"

#include <algorithm>
#include <bit>
#include <set>

#include "engine/gates.h"

namespace headspark {
namespace {

// A prompt and its gates as one key.
std::vector<std::int32_t> key_of(const PromptUse& use, bool gated) {
  std::vector<std::int32_t> key = *use.prompt;
  if (!gated || use.gates->empty()) return key;
  key.insert(key.end(), {-1, use.run.begin, use.run.length, use.run.loop});
  for (const GatedHead& head : *use.gates) {
    key.insert(key.end(), {-1, head.layer, head.head, std::bit_cast<std::int32_t>(head.factor)});
  }
  return key;
}

}  // namespace

PromptState::PromptState(const Engine& engine, KvPagePool& pool, const PromptUse& use)
    : engine_(engine),
      pool_(pool),
      prompt_(*use.prompt),
      gates_(*use.gates),
      run_(use.run),
      layers_(engine.config().layers),
      first_gated_layer_(headspark::first_gated_layer(gates_, layers_)),
      cache_(pool, layers_),
      last_(engine.context.backend, engine.config().hidden) {}

void PromptState::finish_work() {
  depth_ = work_->layers.end;
  work_.reset();
}

std::int64_t PromptState::residual_bytes() const {
  return length() * engine_.config().hidden * static_cast<std::int64_t>(sizeof(float));
}

const float* PromptState::residual(std::int64_t layer) const {
  const auto found = residuals_.find(layer);
  return found != residuals_.end() ? found->second.data() : nullptr;
}

float* PromptState::residual(std::int64_t layer) {
  const auto found = residuals_.find(layer);
  return found != residuals_.end() ? found->second.data() : nullptr;
}

bool PromptState::keep_residual(std::int64_t layer) {
  if (residuals_.count(layer) != 0) return true;
  if (!pool_.borrow(residual_bytes())) return false;
  residuals_.emplace(layer,
                     Buffer<float>(engine_.context.backend, length() * engine_.config().hidden));
  return true;
}

std::int64_t PromptState::nearest_start(std::int64_t limit) const {
  std::int64_t nearest = 0;
  for (const auto& [layer, residual] : residuals_) {
    if (layer <= std::min(limit, depth_)) nearest = std::max(nearest, layer);
  }
  return nearest;
}

void PromptState::reset() noexcept {
  for (std::size_t i = 0; i < residuals_.size(); ++i) pool_.give_back(residual_bytes());
  residuals_.clear();
  cache_.clear();
  work_.reset();
  depth_ = 0;
}

PromptHandle PromptCache::get(const PromptUse& use) {
  PromptHandle& state = states_[key_of(use, true)];
  if (state == nullptr) {
    state = std::make_shared<PromptState>(engine_, pool_, use);
  }
  state->last_use = ++clock_;
  return state;
}

PromptHandle PromptCache::next_work(const PromptHandle& state, std::span<const PromptUse> waiting) {
  if (state->work()) return state;
  const std::int64_t layers = engine_.config().layers;
  const std::int64_t gated = state->first_gated_layer();
  if (gated == layers) {
    start_trunk(state, waiting, layers);
    return state;
  }
  if (gated > 0) {
    const std::vector<GatedHead> none;
    const PromptHandle trunk = get({&state->prompt(), &none});
    const bool deep_enough = trunk->depth() >= gated;
    if (!deep_enough && (trunk->work() || start_trunk(trunk, waiting, gated))) return trunk;
    const std::int64_t start = trunk->nearest_start(gated);
    if (start > 0) {
      state->cache().share(trunk->cache(), {0, start}, state->length());
      state->work() = PromptState::Work{{start, layers}, 0, trunk};
      return state;
    }
  }
  start_alone(state);
  return state;
}

void PromptCache::start_alone(const PromptHandle& state) {
  state->reset();
  state->work() = PromptState::Work{{0, engine_.config().layers}, 0, nullptr};
}

// The trunk goes as deep as any waiting use of the prompt needs it, and keeps the residuals at
// which variants start. False when the budget cannot keep the one that is needed.
bool PromptCache::start_trunk(const PromptHandle& trunk, std::span<const PromptUse> waiting,
                              std::int64_t needed) {
  const std::int64_t layers = engine_.config().layers;
  std::set<std::int64_t> starts;
  std::int64_t depth = needed;
  if (needed < layers) starts.insert(needed);
  for (const PromptUse& use : waiting) {
    if (*use.prompt != trunk->prompt()) continue;
    const std::int64_t first = first_gated_layer(*use.gates, layers);
    depth = std::max(depth, first);
    if (first > trunk->depth() && first < layers) starts.insert(first);
  }
  if (depth < layers) starts.insert(depth);  // from where it can go on later
  for (const std::int64_t layer : starts) {
    if (trunk->keep_residual(layer)) continue;
    if (layer == needed) return false;
    if (layer == depth) depth = needed;
  }
  trunk->work() = PromptState::Work{{trunk->depth(), depth}, 0, nullptr};
  return true;
}

bool PromptCache::evict(std::span<const PromptState* const> kept) {
  auto oldest = states_.end();
  for (auto it = states_.begin(); it != states_.end(); ++it) {
    if (std::find(kept.begin(), kept.end(), it->second.get()) != kept.end()) continue;
    if (oldest == states_.end() || it->second->last_use < oldest->second->last_use) oldest = it;
  }
  if (oldest == states_.end()) return false;
  states_.erase(oldest);  // whoever still reads it holds it
  return true;
}

}  // namespace headspark
