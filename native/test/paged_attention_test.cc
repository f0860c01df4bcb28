// Attention over pages on every level against attention over contiguous keys and values; a token's
// bits depend neither on its batch nor on how many tokens are fed at once.
#include "headspark/ops/paged_attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "attention_fixture.h"
#include "headspark/error.h"

namespace headspark::test {
namespace {

constexpr Replacement kKinds[] = {Replacement::zero, Replacement::shared, Replacement::position,
                                  Replacement::token};

/// A fixture's prefixes and own tokens in pages, one sequence a row.
struct PagedFixture {
  const AttentionFixture& fixture;
  KvPageLayout layout;
  std::vector<GuardedArray> memory;
  std::vector<float*> pages;
  std::vector<std::int32_t> page_begin{0};

  PagedFixture(const Context& context, const AttentionFixture& made)
      : fixture(made), layout{made.shape.kv_heads, made.shape.head_dim} {
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

  std::vector<float> page_content() const {
    std::vector<float> page(at(layout.floats()), std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t head = 0; head < layout.kv_heads; ++head) {
      for (std::int64_t t = 0; t < kKvPageTokens; ++t) {
        const std::int64_t value =
            head * layout.head_stride() + layout.value_offset() + t * layout.padded_dim();
        std::fill_n(page.begin() + value + layout.head_dim, layout.padded_dim() - layout.head_dim,
                    0.0f);
      }
    }
    return page;
  }

  PagedRows rows(const RowLayout& rows_layout) const {
    return {rows_layout, page_begin.data(), pages.data()};
  }

  void store_prefixes(const Context& context) {
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

  /// Storing and attention as one call or as two.
  enum class Calls { two, one };
  std::vector<float> run(const Context& context, Calls calls = Calls::two) {
    Outputs outputs;
    const bool all = fixture.setting.first_query.empty();  // else the others stay as they are
    float* z = all ? outputs.dense("z", fixture.count()) : outputs.strided("z", fixture.count());
    const PagedRows own = rows(fixture.layout());
    PagedAttention attention{fixture.shape, own, fixture.q.data(), fixture.gate(), z};
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

  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }
};

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

void check_setting(const AttentionSetting& setting) {
  const AttentionFixture fixture(setting, 17);
  AttentionForward contiguous = fixture.forward();
  std::vector<float> reference(static_cast<std::size_t>(fixture.count()));
  contiguous.z = reference.data();
  attention_forward(make_cpu_context(1, Isa::specification), contiguous);
  for (const Level& level : levels()) {
    const std::string where = setting.name + " on " + level.name;
    const std::vector<float> one = run_paged(level.context(1), fixture);
    check_near(where, one, reference, 1e-5);
    check_same_bits(where + ", 3 threads", run_paged(level.context(3), fixture), one);
  }
}

}  // namespace

TEST_CASE("paged attention agrees with contiguous attention: lengths, groups, head widths") {
  for (const std::int64_t head_dim : {1, 10, 16, 24, 64, 80, 128}) {
    check_setting({.name = "paged " + std::to_string(head_dim),
                   .heads = 6,
                   .kv_heads = 2,
                   .head_dim = head_dim,
                   .lengths = {1, 5, 0, 1, 33, 1},
                   .prefixes = {0, 31, 4, 32, 63, 200}});
  }
  for (const std::int64_t group : {1, 2, 4, 5, 7, 8, 9}) {
    check_setting({.name = "paged group " + std::to_string(group),
                   .heads = group,
                   .kv_heads = 1,
                   .head_dim = 12,
                   .lengths = {2, 9, 1},
                   .prefixes = {}});
  }
}

TEST_CASE("paged attention: tokens that are keys only change no bit of the queries") {
  const AttentionFixture all({.name = "paged",
                              .heads = 4,
                              .kv_heads = 2,
                              .head_dim = 24,
                              .lengths = {5, 1, 133, 8},
                              .prefixes = {7, 0, 270, 19},
                              .gated = true,
                              .ranged = true,
                              .kind = Replacement::token},
                             4);
  AttentionFixture some = all;
  some.setting.first_query = {4, 0, 57, 8};
  const std::int64_t width = all.shape.heads * all.shape.head_dim;
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> expected = run_paged(context, all);
    const std::vector<float> result = run_paged(context, some);
    for (std::size_t r = 0; r < all.setting.lengths.size(); ++r) {
      const std::int64_t first = all.row_begin[r] + some.setting.first_query[r];
      const auto queries = [&](const std::vector<float>& z) {
        return std::vector<float>(z.begin() + first * width,
                                  z.begin() + all.row_begin[r + 1] * width);
      };
      check_same_bits("queries on " + level.name, queries(result), queries(expected));
    }
  }
}

TEST_CASE("paged attention crosses its splits, also when they go to several threads") {
  check_setting({.name = "one long row",
                 .heads = 3,
                 .kv_heads = 1,
                 .head_dim = 20,
                 .lengths = {1},
                 .prefixes = {1023}});
  check_setting({.name = "splits",
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .lengths = {1, 12, 1, 300},
                 .prefixes = {255, 250, 256, 500}});
}

TEST_CASE("paged attention with gates of every kind") {
  for (const Replacement kind : kKinds) {
    for (const bool ranged : {false, true}) {
      check_setting({.name = "paged gate " + std::to_string(static_cast<int>(kind)),
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
}

TEST_CASE("paged attention with large scores stays finite") {
  check_setting({.name = "paged large scores",
                 .heads = 2,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .lengths = {12, 1},
                 .prefixes = {300, 520},
                 .score_range = 60.0f});
}

TEST_CASE("a row's paged attention does not depend on its batch") {
  const AttentionFixture fixture({.name = "paged batch",
                                  .heads = 6,
                                  .kv_heads = 2,
                                  .head_dim = 24,
                                  .lengths = {5, 1, 33, 1, 8},
                                  .prefixes = {7, 700, 2, 256, 19},
                                  .gated = true,
                                  .ranged = true,
                                  .kind = Replacement::token},
                                 4);
  const std::int64_t width = fixture.shape.heads * fixture.shape.head_dim;
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> all = run_paged(context, fixture);
    for (std::size_t r = 0; r < fixture.setting.lengths.size(); ++r) {
      const std::vector<float> part(all.begin() + fixture.row_begin[r] * width,
                                    all.begin() + fixture.row_begin[r + 1] * width);
      check_same_bits("paged row alone on " + level.name, run_paged(context, fixture.row(r)), part);
    }
  }
}

TEST_CASE("tokens fed one by one get the bits of tokens fed at once") {
  const AttentionFixture whole({.name = "prompt at once",
                                .heads = 6,
                                .kv_heads = 2,
                                .head_dim = 24,
                                .lengths = {290},
                                .prefixes = {},
                                .gated = true},
                               9);
  const std::int64_t width = whole.shape.heads * whole.shape.head_dim;
  const std::int64_t kv_width = whole.shape.kv_heads * whole.shape.head_dim;
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> at_once = run_paged(context, whole);
    PagedFixture paged(context, whole);
    std::vector<float> step_by_step(at_once.size());
    for (std::int32_t t = 0; t < 290; ++t) {
      const std::int32_t begin[] = {0, 1};
      const std::int32_t none = 0;
      RowLayout layout{1, begin, &none, &t, 1, t + 1, 1};
      const PagedRows rows = paged.rows(layout);
      paged_store(context, {whole.shape, rows, whole.k.data() + t * kv_width,
                            whole.v.data() + t * kv_width});
      paged_attention(context, {whole.shape, rows, whole.q.data() + t * width, whole.gate(),
                                step_by_step.data() + t * width});
    }
    check_same_bits("one by one on " + level.name, step_by_step, at_once);
  }
}

TEST_CASE("rows that share pages get the bits of rows with pages of their own") {
  const AttentionSetting setting{.name = "shared",
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 16,
                                 .lengths = {1, 1},
                                 .prefixes = {64, 64}};
  AttentionFixture fixture(setting, 5);
  fixture.prefix_begin[1] = fixture.prefix_begin[0];
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> apart = run_paged(context, fixture);
    PagedFixture shared(context, fixture);
    shared.pages[3] = shared.pages[0];
    shared.pages[4] = shared.pages[1];
    check_same_bits("shared on " + level.name, shared.run(context), apart);
  }
}

TEST_CASE("a decode step stores its keys and values in the attention itself") {
  for (const std::int64_t head_dim : {10, 64}) {
    check_setting({.name = "decode step " + std::to_string(head_dim),
                   .heads = 6,
                   .kv_heads = 3,
                   .head_dim = head_dim,
                   .lengths = {1, 8, 0, 1, 3, 1, 1},
                   .prefixes = {0, 24, 7, 31, 60, 280, 300}});
  }
}

TEST_CASE("paged attention refuses bad arguments by name") {
  const AttentionFixture fixture({.name = "bad", .lengths = {3, 1}, .prefixes = {}}, 1);
  const Context context = make_cpu_context(1, Isa::specification);
  PagedFixture paged(context, fixture);
  std::vector<float> z(static_cast<std::size_t>(fixture.count()));
  const PagedRows rows = paged.rows(fixture.layout());
  const auto refused = [&](PagedAttention bad, const char* message) {
    CHECK_THROWS_WITH_AS(paged_attention(context, bad), doctest::Contains(message), Error);
  };
  const PagedAttention good{fixture.shape, rows, fixture.q.data(), {}, z.data()};
  PagedAttention bad = good;
  bad.z = nullptr;
  refused(bad, "z is null");
  bad = good;
  bad.shape.kv_heads = 3;
  refused(bad, "multiple");
  bad = good;
  bad.rows.pages = nullptr;
  refused(bad, "rows.pages is null");
  const std::int32_t few[] = {0, 0, 1};
  bad = good;
  bad.rows.page_begin = few;
  refused(bad, "fewer pages");
  bad = good;
  std::vector<float*> missing = paged.pages;
  missing[1] = nullptr;
  bad.rows.pages = missing.data();
  refused(bad, "a page is null");
  const std::int32_t descending[] = {0, 4, 3};
  bad = good;
  bad.rows.layout.row_begin = descending;
  refused(bad, "ascending");
  bad = good;
  bad.gate.scale = fixture.scale.data();
  bad.gate.kind = Replacement::shared;
  refused(bad, "gate.replacement");
  bad = good;
  bad.k = fixture.k.data();
  refused(bad, "k and v must be given together");
  PagedStore store{fixture.shape, rows, nullptr, fixture.v.data()};
  CHECK_THROWS_WITH_AS(paged_store(context, store), doctest::Contains("k is null"), Error);
}

}  // namespace headspark::test
