// Making, sharing and running of pages.
#include "paged_fixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace headspark::test {

PagedFixture::PagedFixture(const Context& context, const AttentionFixture& made, DType type)
    : fixture(made), layout{made.shape.kv_heads, made.shape.head_dim, type} {
  const RowLayout rows = made.layout();
  std::int32_t count = 0;
  for (std::int32_t r = 0; r < rows.rows; ++r) {
    const std::int32_t context_tokens = made.setting.lengths[at(r)] + rows.prefix(r);
    count += static_cast<std::int32_t>((context_tokens + kKvPageTokens - 1) / kKvPageTokens);
    page_begin.push_back(count);
  }
  memory.reserve(at(count));
  for (std::int32_t i = 0; i < count; ++i) {
    // What was never stored must not be read: it is NaN, but for the padding of the values.
    memory.emplace_back("page", page_content());
    pages.push_back(memory.back().data());
  }
  store_prefixes(context);
}

std::vector<float> PagedFixture::page_content() const {
  // NaN both as a float and as two bf16.
  std::vector<float> page(at(layout.floats()), bits_to_f32(0x7fc07fc0));
  for (std::int64_t head = 0; head < layout.kv_heads; ++head) {
    for (std::int64_t t = 0; t < kKvPageTokens; ++t) {
      const std::int64_t value =
          head * layout.head_stride() + layout.value_offset() + t * layout.padded_dim();
      const std::int64_t padding = layout.padded_dim() - layout.head_dim;
      std::memset(reinterpret_cast<std::byte*>(page.data()) +
                      (value + layout.head_dim) * dtype_bytes(layout.type),
                  0, at(padding * dtype_bytes(layout.type)));
    }
  }
  return page;
}

void PagedFixture::store_prefixes(const Context& context) {
  if (fixture.setting.prefixes.empty()) return;
  const std::int64_t width = fixture.shape.kv_heads * fixture.shape.head_dim;
  std::vector<std::int32_t> begin{0};
  std::vector<float> k, v;
  for (std::size_t r = 0; r < fixture.setting.prefixes.size(); ++r) {
    begin.push_back(begin.back() + fixture.setting.prefixes[r]);
    const auto from = fixture.prefix_begin[r] * width;
    const auto to = from + fixture.setting.prefixes[r] * width;
    k.insert(k.end(), fixture.prefix_k.begin() + from, fixture.prefix_k.begin() + to);
    v.insert(v.end(), fixture.prefix_v.begin() + from, fixture.prefix_v.begin() + to);
  }
  RowLayout prefix;
  prefix.rows = static_cast<std::int32_t>(fixture.setting.prefixes.size());
  prefix.row_begin = begin.data();
  prefix.token_count = begin.back();
  prefix.longest_row =
      *std::max_element(fixture.setting.prefixes.begin(), fixture.setting.prefixes.end());
  prefix.longest_context = prefix.longest_row;
  paged_store(context, {fixture.shape, rows(prefix), k.data(), v.data()});
}

void PagedFixture::share(std::size_t from, std::size_t row, std::int32_t count) {
  std::copy_n(pages.begin() + page_begin[from], count, pages.begin() + page_begin[row]);
}

std::vector<float> PagedFixture::run(const Context& context, Calls calls) {
  Outputs outputs;
  const bool all = fixture.setting.first_query.empty();  // else the others stay as they are
  float* z = all ? outputs.dense("z", fixture.count()) : outputs.strided("z", fixture.count());
  const PagedRows own = rows(fixture.layout());
  PagedAttention attention{fixture.shape, own, fixture.q.data(), fixture.gate(), z};
  attention.plan = plan;
  if (calls == Calls::one) {
    attention.k = fixture.k.data();
    attention.v = fixture.v.data();
  } else {
    paged_store(context, {fixture.shape, own, fixture.k.data(), fixture.v.data()});
  }
  paged_attention(context, attention);
  outputs.check(fixture.setting.name + " on " + level_name(context));
  for (const GuardedArray& page : memory) CHECK(page.guards_intact());
  return outputs["z"].values();
}

std::vector<float> run_paged(const Context& context, const AttentionFixture& fixture) {
  PagedFixture two(context, fixture);
  PagedFixture one(context, fixture);
  const std::vector<float> z = two.run(context);
  const std::string where = fixture.setting.name + " stored by attention, " + level_name(context);
  check_same_bits(where, one.run(context, PagedFixture::Calls::one), z);
  for (std::size_t i = 0; i < two.memory.size(); ++i) {
    const std::vector<float> stored = one.memory[i].values();
    check_same_bits(where + ", page " + std::to_string(i), stored, two.memory[i].values());
  }
  return z;
}

}  // namespace headspark::test
