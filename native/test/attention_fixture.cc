// Making of attention inputs and running of both directions.
#include "attention_fixture.h"

#include <algorithm>

namespace headspark::test {

std::vector<AttentionSetting> windows_of_every_kind() {
  std::vector<AttentionSetting> settings;
  for (const std::int64_t window : {2, 7, 33, 100}) {
    settings.push_back({.name = "window " + std::to_string(window),
                        .heads = 4,
                        .kv_heads = 2,
                        .head_dim = 10,
                        .lengths = {1, 5, 0, 66, 1, 37},
                        .prefixes = {0, 31, 4, 0, 100, 64},
                        .gated = true,
                        .window = window});
  }
  for (const std::int64_t window : {3, 200, 257}) {
    settings.push_back({.name = "long rows, window " + std::to_string(window),
                        .heads = 2,
                        .kv_heads = 1,
                        .head_dim = 16,
                        .lengths = {1, 70, 3},
                        .prefixes = {600, 480, 255},
                        .window = window});
  }
  return settings;
}

std::vector<AttentionSetting> gates_of_every_kind() {
  std::vector<AttentionSetting> settings;
  for (const Replacement kind : kReplacements) {
    for (const bool ranged : {false, true}) {
      settings.push_back({.name = "gate " + std::to_string(static_cast<int>(kind)),
                          .heads = 4,
                          .kv_heads = 2,
                          .head_dim = 10,
                          .lengths = {1, 7, 13},
                          .prefixes = {4, 0, 2},
                          .gated = true,
                          .ranged = ranged,
                          .kind = kind});
    }
  }
  return settings;
}

AttentionFixture::AttentionFixture(const AttentionSetting& s, std::uint64_t seed) : setting(s) {
  Random random(seed);
  shape = {s.heads, s.kv_heads, s.head_dim, 0.3f, s.window};
  row_begin.push_back(0);
  std::int32_t store = 3;  // the prefixes do not start at 0
  for (std::size_t r = 0; r < s.lengths.size(); ++r) {
    row_begin.push_back(row_begin.back() + s.lengths[r]);
    const std::int32_t prefix = s.prefixes.empty() ? 0 : s.prefixes[r];
    prefix_begin.push_back(store);
    store += prefix;
    gate_begin.push_back(static_cast<std::int32_t>(random.below(4)));
    gate_end.push_back(prefix + s.lengths[r] - static_cast<std::int32_t>(random.below(3)));
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const float choices[] = {0.0f, 1.0f, 0.5f, 1.3f};
      scale.push_back(choices[random.below(4)]);
    }
  }
  const std::int64_t kv_width = s.kv_heads * s.head_dim;
  q = random.values(count(), -s.score_range, s.score_range);
  k = random.values(tokens() * kv_width);
  v = random.values(tokens() * kv_width);
  prefix_k = random.values(store * kv_width);
  prefix_v = random.values(store * kv_width);
  const std::int64_t stored = std::max<std::int64_t>(tokens() + store, 64);
  replacement = random.values(stored * s.heads * s.head_dim);
  for (const std::int32_t length : s.lengths) {
    replacement_begin.push_back(static_cast<std::int32_t>(random.below(stored - length + 1)));
  }
  d_z = random.values(count());
  for (std::size_t r = 0; r < s.first_query.size(); ++r) {
    const std::int64_t width = s.heads * s.head_dim;
    const auto first = d_z.begin() + row_begin[r] * width;
    std::fill(first, first + s.first_query[r] * width, 0.0f);
  }
}

RowLayout AttentionFixture::layout() const {
  RowLayout layout;
  layout.rows = static_cast<std::int32_t>(setting.lengths.size());
  layout.row_begin = row_begin.data();
  if (!setting.prefixes.empty()) {
    layout.prefix_begin = prefix_begin.data();
    layout.prefix_length = setting.prefixes.data();
    for (std::int32_t r = 0; r < layout.rows; ++r) {
      const std::int32_t end = prefix_begin[static_cast<std::size_t>(r)] + layout.prefix(r);
      layout.store_tokens = std::max(layout.store_tokens, end);
    }
  }
  if (!setting.first_query.empty()) layout.first_query = setting.first_query.data();
  for (std::int32_t r = 0; r < layout.rows; ++r) {
    const std::int32_t own = setting.lengths[static_cast<std::size_t>(r)];
    layout.longest_row = std::max(layout.longest_row, own);
    layout.longest_context = std::max(layout.longest_context, own + layout.prefix(r));
  }
  layout.token_count = static_cast<std::int32_t>(tokens());
  return layout;
}

HeadGate AttentionFixture::gate() const {
  HeadGate gate;
  if (!setting.gated) return gate;
  gate.scale = scale.data();
  gate.kind = setting.kind;
  gate.replacement = replacement.data();
  gate.replacement_begin = replacement_begin.data();
  if (setting.ranged) {
    gate.gate_begin = gate_begin.data();
    gate.gate_end = gate_end.data();
  }
  return gate;
}

AttentionForward AttentionFixture::forward() const {
  AttentionForward p;
  p.shape = shape;
  p.layout = layout();
  p.q = q.data();
  p.k = k.data();
  p.v = v.data();
  p.prefix_k = prefix_k.data();
  p.prefix_v = prefix_v.data();
  p.gate = gate();
  return p;
}

AttentionBackward AttentionFixture::backward() const {
  AttentionBackward p;
  p.shape = shape;
  p.layout = layout();
  p.q = q.data();
  p.k = k.data();
  p.v = v.data();
  p.prefix_k = prefix_k.data();
  p.prefix_v = prefix_v.data();
  p.gate = gate();
  p.d_z = d_z.data();
  return p;
}

AttentionFixture AttentionFixture::row(std::size_t index) const {
  AttentionFixture one = *this;
  const auto cut = [&](const std::vector<float>& all, std::int64_t width) {
    return std::vector<float>(all.begin() + row_begin[index] * width,
                              all.begin() + row_begin[index + 1] * width);
  };
  const std::int64_t width = shape.heads * shape.head_dim;
  const std::int64_t kv_width = shape.kv_heads * shape.head_dim;
  const auto head = static_cast<std::ptrdiff_t>(index) * shape.heads;
  one.setting.lengths = {setting.lengths[index]};
  if (!setting.prefixes.empty()) one.setting.prefixes = {setting.prefixes[index]};
  one.row_begin = {0, setting.lengths[index]};
  one.prefix_begin = {prefix_begin[index]};
  one.gate_begin = {gate_begin[index]};
  one.gate_end = {gate_end[index]};
  one.scale.assign(scale.begin() + head, scale.begin() + head + shape.heads);
  one.replacement_begin = {replacement_begin[index]};
  one.q = cut(q, width);
  one.k = cut(k, kv_width);
  one.v = cut(v, kv_width);
  one.d_z = cut(d_z, width);
  return one;
}

AttentionResult run_attention(const Context& context, const AttentionFixture& fixture) {
  const std::string where = fixture.setting.name + " on " + level_name(context);
  Outputs outputs;
  AttentionForward f = fixture.forward();
  const bool all = fixture.setting.first_query.empty();  // else the others stay as they are
  const auto output = [&](const char* name, std::int64_t count) {
    return all ? outputs.dense(name, count) : outputs.strided(name, count);
  };
  f.z = output("z", fixture.count());
  f.raw = output("raw", fixture.count());
  f.lse = output("lse", fixture.tokens() * fixture.shape.heads);
  attention_forward(context, f);
  AttentionBackward b = fixture.backward();
  b.raw = f.raw;
  b.lse = f.lse;
  b.d_q = outputs.dense("d_q", fixture.count());
  b.d_k = outputs.dense("d_k", fixture.count());
  b.d_v = outputs.dense("d_v", fixture.count());
  attention_backward(context, b);
  outputs.check(where);
  return {outputs["z"].values(),   outputs["raw"].values(), outputs["lse"].values(),
          outputs["d_q"].values(), outputs["d_k"].values(), outputs["d_v"].values()};
}

}  // namespace headspark::test
