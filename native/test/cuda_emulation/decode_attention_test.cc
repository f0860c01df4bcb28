// Which rows decode attention computes together, and that pages which rows share are read once for
// all of them. What it computes is tested with the op: paged_attention_test.cc.
#include "cuda/decode_attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>

#include "cuda/decode_plan.h"
#include "cuda_emulation/read_watch.h"
#include "cuda_emulation/runtime_emulated.h"
#include "ops/paged_attention_memory.h"
#include "paged_fixture.h"

namespace headspark::test {
namespace {

Context device_context(Precision precision = Precision::exact) {
  return levels().front().context(3, precision);
}

/// Rows of one token each (but for `lengths`) with these lists of pages, which nobody reads.
struct PlannedRows {
  std::vector<std::int32_t> row_begin{0}, stored, page_begin{0};
  std::vector<float*> pages;
  RowLayout layout;

  PlannedRows(const std::vector<std::vector<int>>& lists, const std::vector<std::int32_t>& lengths,
              std::vector<std::int32_t> prefixes)
      : stored(std::move(prefixes)) {
    static float memory[64];
    for (std::size_t r = 0; r < lists.size(); ++r) {
      for (const int page : lists[r]) pages.push_back(memory + page);
      page_begin.push_back(static_cast<std::int32_t>(pages.size()));
      row_begin.push_back(row_begin.back() + lengths[r]);
      layout.longest_row = std::max(layout.longest_row, lengths[r]);
      layout.longest_context = std::max(layout.longest_context, stored[r] + lengths[r]);
    }
    layout.rows = static_cast<std::int32_t>(lists.size());
    layout.row_begin = row_begin.data();
    layout.prefix_length = stored.data();
    layout.token_count = row_begin.back();
  }
  PagedRows rows() const { return {layout, page_begin.data(), pages.data()}; }
};

std::vector<int> split_of(const cuda::DecodePlan& plan, const std::int32_t* array, int split) {
  const std::int32_t* begin = array + plan.at(split, 0);
  return {begin, begin + plan.rows.layout.rows};
}

/// Bytes read of each page by one step.
std::vector<std::int64_t> bytes_read(const Context& context, PagedFixture& paged) {
  cuda_emulation::ReadWatch watch;
  for (const GuardedArray& page : paged.memory) watch.add(page.data(), page.size());
  paged.run(context);
  std::vector<std::int64_t> bytes;
  for (const GuardedArray& page : paged.memory) bytes.push_back(watch.bytes(page.data()));
  return bytes;
}

// Three query heads a group: a tile of 64 has room for 21 rows.
AttentionSetting rows_of(std::int32_t rows, std::int32_t tokens, std::int64_t kv_heads = 1) {
  AttentionSetting setting{.name = "prompt",
                           .heads = 3 * kv_heads,
                           .kv_heads = kv_heads,
                           .head_dim = 16,
                           .lengths = {},
                           .prefixes = {}};
  setting.lengths.assign(static_cast<std::size_t>(rows), 1);
  setting.prefixes.assign(static_cast<std::size_t>(rows), tokens);
  return setting;
}

}  // namespace

TEST_CASE("decode plan: groups of a split, and the pages that all of a group have in common") {
  // Pages 0 … 8 are a prompt of 288 tokens, 20 … 21 another one.
  const PlannedRows rows({{0, 1, 2, 3, 4, 5, 6, 7, 8, 30},
                          {20, 21, 31},
                          {0, 1, 2, 3, 4, 5, 6, 7, 8, 32},
                          {40, 41},
                          {0, 1, 2, 3, 4, 5, 6, 7, 33},
                          {20, 21, 34},
                          {20, 21, 35},
                          {0, 1}},
                         {1, 1, 1, 1, 1, 1, 2, 0}, {300, 70, 290, 40, 280, 64, 64, 20});
  const Context context = device_context();
  const cuda::DecodePlan plan = cuda::plan_decode(cuda::op_device(context), rows.rows());
  CHECK(plan.splits == 2);
  // Rows 6 and 7 have not one token: they are none of this step's.
  CHECK(split_of(plan, plan.leader, 0) == std::vector<int>{0, 1, 0, 3, 0, 1, -1, -1});
  CHECK(split_of(plan, plan.shared, 0) == std::vector<int>{8, 2, 8, 0, 8, 2, 0, 0});
  std::vector<int> rank = split_of(plan, plan.rank, 0);
  CHECK(std::vector<int>(rank.begin(), rank.begin() + 6) == std::vector<int>{0, 0, 1, 0, 2, 1});
  // Row 4 went on by itself there.
  CHECK(split_of(plan, plan.leader, 1) == std::vector<int>{0, -1, 0, -1, 4, -1, -1, -1});
  CHECK(split_of(plan, plan.shared, 1) == std::vector<int>{1, 0, 1, 0, 0, 0, 0, 0});
}

TEST_CASE("decode plan: a page that one row of the group does not see to its end is not shared") {
  const PlannedRows rows({{0, 1, 2}, {0, 1, 2}, {0, 1, 3}}, {1, 1, 1}, {95, 64, 80});
  const Context context = device_context();
  const cuda::DecodePlan plan = cuda::plan_decode(cuda::op_device(context), rows.rows());
  CHECK(split_of(plan, plan.shared, 0) == std::vector<int>{2, 2, 2});
}

TEST_CASE("decode plan: many rows") {
  std::vector<std::vector<int>> lists;
  for (int r = 0; r < 150; ++r) lists.push_back({r % 3, 10 + r % 2, 40});
  const PlannedRows rows(lists, std::vector<std::int32_t>(150, 1),
                         std::vector<std::int32_t>(150, 64));
  const Context context = device_context();
  const cuda::DecodePlan plan = cuda::plan_decode(cuda::op_device(context), rows.rows());
  for (int r = 0; r < 150; ++r) {
    CHECK(plan.leader[r] == r % 3);
    CHECK(plan.rank[r] == r / 3);
    CHECK(plan.shared[r] == 1);
  }
}

TEST_CASE("decode plan: of several layers what it is of each, however their tables lie") {
  const std::vector<std::int32_t> lengths{1, 1, 1, 1, 2}, stored{300, 290, 100, 310, 290};
  const std::vector<int> prompt{0, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto then = [&](int page, std::size_t pages) {
    std::vector<int> list(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(pages));
    list.resize(10, page);
    return list;
  };
  std::deque<PlannedRows> layers;
  for (const std::vector<std::size_t>& shared :
       {std::vector<std::size_t>{9, 9, 0, 9, 9}, {0, 0, 0, 0, 0}, {0, 9, 3, 5, 9}}) {
    std::vector<std::vector<int>> lists;
    for (std::size_t r = 0; r < 5; ++r) lists.push_back(then(20 + static_cast<int>(r), shared[r]));
    layers.emplace_back(lists, lengths, stored);
  }
  const Context context = device_context();
  const AttentionShape shape{2, 1, 16, 0.25f};
  const std::int64_t size = paged_plan_size(context, shape, layers[0].layout);
  CHECK(size == 2 * 5 * 3);
  const auto check = [&](std::int64_t row_step, std::int64_t layer_step) {
    std::vector<float*> table(150, nullptr);
    std::vector<std::int32_t> begin;
    for (std::int64_t r = 0; r <= 5; ++r) begin.push_back(static_cast<std::int32_t>(r * row_step));
    for (std::int64_t i = 0; i < 3; ++i) {
      const std::vector<float*>& pages = layers[static_cast<std::size_t>(i)].pages;
      for (std::int64_t r = 0; r < 5; ++r) {
        std::copy_n(pages.begin() + r * 10, 10, table.begin() + r * row_step + i * layer_step);
      }
    }
    std::vector<std::int32_t> plan(static_cast<std::size_t>(3 * size));
    paged_plan(context,
               {shape, {layers[0].layout, begin.data(), table.data()}, 3, layer_step, plan.data()});
    for (std::int64_t i = 0; i < 3; ++i) {
      const cuda::DecodePlan alone =
          cuda::plan_decode(cuda::op_device(context), layers[static_cast<std::size_t>(i)].rows());
      CHECK(std::equal(alone.leader, alone.leader + size, plan.begin() + i * size));
    }
  };
  check(10, 50);
  check(30, 10);
}

TEST_CASE("decode plan: for decode steps of several rows only") {
  const AttentionShape shape{12, 2, 128, 0.1f};
  const Context context = device_context();
  RowLayout layout;
  const auto size = [&](std::int32_t rows, std::int32_t tokens, std::int32_t longest) {
    layout.rows = rows;
    layout.token_count = tokens;
    layout.longest_context = longest;
    return paged_plan_size(context, shape, layout);
  };
  CHECK(size(1, 1, 512) == 0);
  CHECK(size(64, 64, 512) == 3 * 64 * 2);
  CHECK(size(64, 256, 512) == 3 * 64 * 2);
  CHECK(size(64, 257, 512) == 0);
  CHECK(size(256, 256, 131072) > 0);
  CHECK(size(512, 512, 131072) == 0);  // what the splits come to has no room
  CHECK(paged_plan_size(make_cpu_context(1, Isa::specification), shape, layout) == 0);
}

TEST_CASE("decode attention that is given a plan launches three kernels, and reads by it") {
  const Context context = device_context();
  const AttentionFixture fixture(rows_of(21, 64), 6);
  PagedFixture paged(context, fixture);
  for (std::size_t r = 1; r < 21; ++r) paged.share(0, r, 2);
  const PagedRows rows = paged.rows(fixture.layout());
  const auto launches = [](const auto& work) {
    const std::int64_t before = cuda::emulated_work();
    work();
    return cuda::emulated_work() - before;
  };
  std::vector<std::int32_t> plan(
      static_cast<std::size_t>(5 * paged_plan_size(context, fixture.shape, rows.layout)));
  // Five layers with the same pages.
  const auto make = [&] { paged_plan(context, {fixture.shape, rows, 5, 0, plan.data()}); };
  CHECK(launches(make) == 2);
  std::vector<float> z(static_cast<std::size_t>(fixture.count()));
  PagedAttention attention{fixture.shape, rows, fixture.q.data(), {}, z.data()};
  paged_store(context, {fixture.shape, rows, fixture.k.data(), fixture.v.data()});
  CHECK(launches([&] { paged_attention(context, attention); }) == 5);
  attention.plan = plan.data() + plan.size() / 5 * 4;
  CHECK(launches([&] { paged_attention(context, attention); }) == 3);
  paged.plan = attention.plan;
  CHECK(bytes_read(context, paged)[3] == 0);  // of row 1, which reads row 0's
  std::fill(plan.begin(), plan.end(), 0);     // nobody shares anything
  CHECK(bytes_read(context, paged)[0] == 21 * paged.layout.floats() * 4);
}

TEST_CASE("decode attention reads the pages that rows share once for all of them") {
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    const Context context = device_context(precision);
    const AttentionFixture fixture(rows_of(21, 320 + 32), 6);
    PagedFixture apart(context, fixture);
    const std::int64_t whole = apart.layout.floats() * 4;
    const std::vector<std::int64_t> alone = bytes_read(context, apart);
    for (std::size_t i = 0; i < alone.size(); ++i) {
      // The last page of a row has one token, of which the values are read.
      CHECK(alone[i] == (i % 12 == 11 ? whole / 2 + whole / 64 : whole));
    }
    PagedFixture shared(context, fixture);
    for (std::size_t r = 1; r < 21; ++r) shared.share(0, r, 10);
    const std::vector<std::int64_t> bytes = bytes_read(context, shared);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::size_t page = i % 12;
      const std::int64_t own = page == 11 ? whole / 2 + whole / 64 : whole;
      CHECK(bytes[i] == (page < 10 && i >= 12 ? 0 : own));
    }
  }
}

TEST_CASE("decode attention reads shared pages once per tile of rows, whatever lies between them") {
  const Context context = device_context();
  const AttentionFixture fixture(rows_of(50, 64), 6);
  PagedFixture paged(context, fixture);
  for (std::size_t r = 2; r < 50; r += 2) paged.share(0, r, 2);
  const std::vector<std::int64_t> bytes = bytes_read(context, paged);
  const std::int64_t whole = paged.layout.floats() * 4;
  CHECK(bytes[0] == 2 * whole);  // 25 rows, 21 to a tile
  CHECK(bytes[1] == 2 * whole);
  CHECK(bytes[3] == whole);  // of row 1, which shares nothing
  CHECK(bytes[6] == 0);      // of row 2, which reads row 0's
}

TEST_CASE("decode attention reads no pages for heads whose gate is 0") {
  const Context context = device_context();
  AttentionSetting setting = rows_of(3, 64, 2);
  setting.gated = true;
  AttentionFixture fixture(setting, 6);
  // Row 0 sees nothing, row 1 nothing of the second key/value head, row 2 one head of each.
  fixture.scale = {0, 0, 0, 0, 0, 0, 1, 0.5f, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  PagedFixture paged(context, fixture);
  const std::int64_t whole = paged.layout.floats() * 4;
  const std::vector<std::int64_t> bytes = bytes_read(context, paged);
  CHECK(bytes[0] == 0);
  CHECK(bytes[3] == whole / 2);
  CHECK(bytes[6] == whole);
}

TEST_CASE("decode attention: takes no more scratch memory than is planned for") {
  const AttentionShape shape{12, 2, 128, 0.1f};
  const Context context = device_context();
  const auto planned = [&](std::int64_t rows, std::int64_t positions, std::int64_t layers = 0) {
    return paged_attention_bytes(context, {shape, rows, positions, layers});
  };
  // 4 * rows * heads * splits * (head_dim + 8), and 12 bytes a row and split of the plan.
  CHECK(planned(1, 1) == 4 * 12 * (128 + 8) + 12);
  CHECK(planned(64, 512) == 64 * 2 * (4 * 12 * (128 + 8) + 12));
  CHECK(planned(64, 512, 28) == planned(64, 512) + 28 * 64 * 2 * 12);
  CHECK(planned(512, 131072) == (std::int64_t{1} << 30) + 512 * 512 * 12);
  CHECK(paged_attention_bytes(make_cpu_context(1, Isa::specification), {shape, 64, 512}) == 0);
}

}  // namespace headspark::test
