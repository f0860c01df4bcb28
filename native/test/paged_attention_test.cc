// Attention over pages on every level against attention over contiguous keys and values; a token's
// bits depend neither on its batch nor on how many tokens are fed at once.
#include "headspark/ops/paged_attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "headspark/error.h"
#include "paged_fixture.h"

namespace headspark::test {
namespace {

void check_paged(const AttentionSetting& setting) {
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

/// Rows that begin with the same pages as `first`.
struct Sharing {
  std::size_t first;
  std::int32_t pages;
  std::vector<std::size_t> others;
};

/// Inputs whose rows have the same keys and values where they will share pages.
AttentionFixture sharing_fixture(const AttentionSetting& setting, std::uint64_t seed,
                                 const std::vector<Sharing>& all) {
  AttentionFixture fixture(setting, seed);
  const std::int64_t kv_width = fixture.shape.kv_heads * fixture.shape.head_dim;
  for (const Sharing& sharing : all) {
    for (const std::size_t other : sharing.others) {
      for (std::vector<float>* store : {&fixture.prefix_k, &fixture.prefix_v}) {
        const auto from = store->begin() + fixture.prefix_begin[sharing.first] * kv_width;
        std::copy_n(from, sharing.pages * kKvPageTokens * kv_width,
                    store->begin() + fixture.prefix_begin[other] * kv_width);
      }
    }
  }
  return fixture;
}

void share_pages(PagedFixture& paged, const std::vector<Sharing>& all) {
  for (const Sharing& sharing : all) {
    for (const std::size_t other : sharing.others) {
      paged.share(sharing.first, other, sharing.pages);
    }
  }
}

// Rows that share pages get the bits of rows with pages of their own, and of each row alone.
void check_sharing(const AttentionSetting& setting, const std::vector<Sharing>& all) {
  const AttentionFixture fixture = sharing_fixture(setting, 5, all);
  const std::int64_t width = fixture.shape.heads * fixture.shape.head_dim;
  for (const Level& level : levels()) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      const Context context = level.context(2, precision);
      const std::string where = setting.name + " on " + level.name;
      const std::vector<float> apart = PagedFixture(context, fixture).run(context);
      PagedFixture paged(context, fixture);
      share_pages(paged, all);
      check_same_bits(where, paged.run(context), apart);
      for (std::size_t r = 0; r < setting.lengths.size(); r += 5) {
        const std::vector<float> row(apart.begin() + fixture.row_begin[r] * width,
                                     apart.begin() + fixture.row_begin[r + 1] * width);
        const AttentionFixture one = fixture.row(r);
        check_same_bits("alone, " + where, PagedFixture(context, one).run(context), row);
      }
    }
  }
}

/// Layers of one batch, whose rows share pages in ways of their own.
struct PlannedPages {
  std::deque<AttentionFixture> fixtures;
  std::deque<PagedFixture> layers;
  std::vector<std::int32_t> plan;

  PlannedPages(const Context& context, const AttentionSetting& setting,
               const std::vector<std::vector<Sharing>>& all) {
    std::vector<float*> table;
    for (const std::vector<Sharing>& sharing : all) {
      fixtures.push_back(sharing_fixture(setting, 5 + fixtures.size(), sharing));
      PagedFixture& layer = layers.emplace_back(context, fixtures.back());
      share_pages(layer, sharing);
      table.insert(table.end(), layer.pages.begin(), layer.pages.end());
    }
    const AttentionShape& shape = fixtures[0].shape;
    PagedRows rows = layers[0].rows(fixtures[0].layout());
    rows.pages = table.data();
    const std::int64_t size = paged_plan_size(context, shape, rows.layout);
    CHECK((size == 0) == context.on_cpu());
    const auto count = static_cast<std::int64_t>(all.size());
    plan.assign(static_cast<std::size_t>(count * size) + 1, 77);
    paged_plan(context, {shape, rows, count, static_cast<std::int64_t>(layers[0].pages.size()),
                         plan.data()});
    CHECK(plan.back() == 77);
    for (std::int64_t i = 0; i < count && size > 0; ++i) {
      layers[static_cast<std::size_t>(i)].plan = plan.data() + i * size;
    }
  }
};

void check_paged_batches(std::int64_t window) {
  const AttentionFixture fixture({.name = "paged batch",
                                  .heads = 6,
                                  .kv_heads = 2,
                                  .head_dim = 24,
                                  .lengths = {5, 1, 33, 1, 8},
                                  .prefixes = {7, 700, 2, 256, 19},
                                  .gated = true,
                                  .ranged = true,
                                  .kind = Replacement::token,
                                  .window = window},
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

void check_one_by_one(std::int64_t window) {
  const AttentionFixture whole({.name = "prompt at once",
                                .heads = 6,
                                .kv_heads = 2,
                                .head_dim = 24,
                                .lengths = {290},
                                .prefixes = {},
                                .gated = true,
                                .window = window},
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

void check_past_a_split(std::int64_t window) {
  for (const std::int64_t head_dim : {40, 64, 128, 256}) {
    AttentionFixture whole({.name = "past a split",
                            .heads = 3,
                            .kv_heads = 1,
                            .head_dim = head_dim,
                            .lengths = {4},
                            .prefixes = {254},
                            .gated = true,
                            .window = window},
                           3);
    whole.scale = {0.5f, 1.0f, 1.3f};
    const std::int64_t width = whole.shape.heads * whole.shape.head_dim;
    for (const Level& level : levels()) {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        const Context context = level.context(2, precision);
        const std::vector<float> at_once = PagedFixture(context, whole).run(context);
        PagedFixture paged(context, whole);
        std::vector<float> step_by_step(at_once.size());
        for (std::int32_t t = 0; t < 4; ++t) {
          const std::int32_t begin[] = {0, 1};
          const std::int32_t stored = 254 + t;
          const PagedRows rows = paged.rows({1, begin, nullptr, &stored, 1, stored + 1, 1});
          paged_store(context, {whole.shape, rows, whole.k.data() + t * head_dim,
                                whole.v.data() + t * head_dim});
          paged_attention(context, {whole.shape, rows, whole.q.data() + t * width, whole.gate(),
                                    step_by_step.data() + t * width});
        }
        const std::string where = std::to_string(head_dim) + " wide on " + level.name;
        check_same_bits("one by one, " + where, step_by_step, at_once);
      }
    }
  }
}

void check_shared_prompts(std::int64_t window) {
  // More rows than a tile has room for, prompts that end within a split, one that fills two; in
  // between rows of other lengths, alone, or with nothing to do.
  std::vector<std::int32_t> lengths(30, 1), prefixes(30);
  for (std::size_t r = 0; r < 30; ++r) prefixes[r] = static_cast<std::int32_t>(320 + 3 * r);
  prefixes[3] = 5;
  prefixes[28] = 520;
  prefixes[29] = 530;
  lengths[7] = 4;
  lengths[20] = 0;
  check_sharing({.name = "shared",
                 .heads = 6,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .lengths = lengths,
                 .prefixes = prefixes,
                 .gated = true,
                 .ranged = true,
                 .kind = Replacement::token,
                 .window = window},
                {{0, 10, {1,  2,  4,  5,  6,  7,  9,  10, 11, 12, 14, 15,
                          16, 17, 18, 19, 21, 22, 23, 24, 25, 26, 27}},
                 {8, 8, {13}},
                 {28, 16, {29}}});
}

}  // namespace

TEST_CASE("paged attention agrees with contiguous attention: lengths, groups, head widths") {
  for (const std::int64_t head_dim : {1, 10, 16, 24, 64, 80, 128}) {
    check_paged({.name = "paged " + std::to_string(head_dim),
                 .heads = 6,
                 .kv_heads = 2,
                 .head_dim = head_dim,
                 .lengths = {1, 5, 0, 1, 33, 1},
                 .prefixes = {0, 31, 4, 32, 63, 200}});
  }
  for (const std::int64_t group : {1, 2, 4, 5, 7, 8, 9}) {
    check_paged({.name = "paged group " + std::to_string(group),
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
  check_paged({.name = "one long row",
               .heads = 3,
               .kv_heads = 1,
               .head_dim = 20,
               .lengths = {1},
               .prefixes = {1023}});
  check_paged({.name = "splits",
               .heads = 4,
               .kv_heads = 2,
               .head_dim = 16,
               .lengths = {1, 12, 1, 300},
               .prefixes = {255, 250, 256, 500}});
}

TEST_CASE("paged attention with gates of every kind") {
  for (const AttentionSetting& setting : gates_of_every_kind()) check_paged(setting);
}

TEST_CASE("paged attention with a window") {
  for (const AttentionSetting& setting : windows_of_every_kind()) check_paged(setting);
}

TEST_CASE("paged attention with large scores stays finite") {
  check_paged({.name = "paged large scores",
               .heads = 2,
               .kv_heads = 2,
               .head_dim = 16,
               .lengths = {12, 1},
               .prefixes = {300, 520},
               .score_range = 60.0f});
}

TEST_CASE("a row's paged attention does not depend on its batch") {
  for (const std::int64_t window : {0, 3, 30, 270}) check_paged_batches(window);
}

TEST_CASE("tokens fed one by one get the bits of tokens fed at once") {
  for (const std::int64_t window : {0, 40}) check_one_by_one(window);
}

TEST_CASE("tokens fed one by one past a split get the bits of tokens fed at once: head widths") {
  for (const std::int64_t window : {0, 2, 100}) check_past_a_split(window);
}

TEST_CASE("rows that share pages get the bits of rows with pages of their own") {
  for (const std::int64_t window : {0, 20, 330}) check_shared_prompts(window);
}

TEST_CASE("rows that share pages: head widths and groups") {
  for (const std::int64_t head_dim : {64, 80, 128, 256}) {
    // In exact two rows of 14 heads fill a tile of the widest.
    check_sharing({.name = "shared, " + std::to_string(head_dim) + " wide",
                   .heads = 14,
                   .kv_heads = 1,
                   .head_dim = head_dim,
                   .lengths = {1, 1, 1, 1},
                   .prefixes = {70, 40, 64, 50}},
                  {{0, 1, {1, 2, 3}}});
  }
  for (const std::int64_t group : {1, 16, 17, 70}) {
    check_sharing({.name = "shared, a group of " + std::to_string(group),
                   .heads = group,
                   .kv_heads = 1,
                   .head_dim = 8,
                   .lengths = {1, 1, 1},
                   .prefixes = {40, 50, 64},
                   .gated = true},
                  {{0, 1, {1, 2}}});
  }
}

TEST_CASE("layers whose rows share different pages, planned at once, get the bits of no plan") {
  AttentionSetting setting{.name = "planned",
                           .heads = 6,
                           .kv_heads = 2,
                           .head_dim = 16,
                           .lengths = {1, 1, 1, 1, 1, 0, 3, 1, 1},
                           .prefixes = {320, 330, 300, 100, 290, 60, 300, 70, 64}};
  const std::vector<std::vector<Sharing>> layers = {
      {{0, 9, {1, 2}}, {3, 2, {7, 8}}}, {}, {{0, 1, {1, 2, 3, 4, 7, 8}}}, {{1, 9, {4}}}};
  for (const Level& level : levels()) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      const Context context = level.context(3, precision);
      PlannedPages planned(context, setting, layers);
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::vector<float> expected = PagedFixture(context, planned.fixtures[i]).run(context);
        check_same_bits("layer " + std::to_string(i) + " on " + level.name,
                        planned.layers[i].run(context), expected);
      }
    }
  }
}

TEST_CASE("a decode step stores its keys and values in the attention itself") {
  for (const std::int64_t head_dim : {10, 64}) {
    check_paged({.name = "decode step " + std::to_string(head_dim),
                 .heads = 6,
                 .kv_heads = 3,
                 .head_dim = head_dim,
                 .lengths = {1, 8, 0, 1, 3, 1, 1},
                 .prefixes = {0, 24, 7, 31, 60, 280, 300}});
  }
}

TEST_CASE("pages of bf16 give what rounded keys and values give") {
  AttentionFixture fixture({.name = "rounded",
                            .heads = 6,
                            .kv_heads = 2,
                            .head_dim = 24,
                            .lengths = {1, 40, 1},
                            .prefixes = {300, 7, 31},
                            .gated = true},
                           11);
  AttentionFixture rounded = fixture;
  for (std::vector<float>* values :
       {&rounded.k, &rounded.v, &rounded.prefix_k, &rounded.prefix_v}) {
    for (float& value : *values) value = bf16_to_f32(f32_to_bf16(value));
  }
  for (const Level& level : levels()) {
    // A device multiplies bf16 in fast; on the CPU the specification reads such pages.
    const Context context = level.context(2, Precision::fast);
    const DType type = kv_page_type(context);
    CHECK(type == (context.on_cpu() ? DType::f32 : DType::bf16));
    const std::vector<float> z = PagedFixture(context, fixture, DType::bf16).run(context);
    const DType exact = context.on_cpu() ? DType::f32 : DType::bf16;
    const Context reference = context.on_cpu() ? make_cpu_context(1, Isa::specification) : context;
    check_same_bits("rounded, " + level.name, z,
                    PagedFixture(reference, rounded, exact).run(reference));
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
  bad = good;
  bad.rows.type = DType::f16;
  refused(bad, "rows.type is neither f32 nor bf16");
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
  PagedPlan plan{fixture.shape, rows, -1, 4, nullptr};
  CHECK_THROWS_WITH_AS(paged_plan(context, plan), doctest::Contains("layers is negative"), Error);
  plan.layers = 1;
  plan.layer_step = -4;
  CHECK_THROWS_WITH_AS(paged_plan(context, plan), doctest::Contains("layer_step is"), Error);
}

}  // namespace headspark::test
