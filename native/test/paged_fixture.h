// The keys and values of attention inputs in pages, for the tests of attention over pages.
#pragma once

#include <vector>

#include "attention_fixture.h"
#include "headspark/ops/paged_attention.h"

namespace headspark::test {

/// A fixture's prefixes and own tokens in pages, one sequence a row.
struct PagedFixture {
  const AttentionFixture& fixture;
  KvPageLayout layout;
  std::vector<GuardedArray> memory;
  std::vector<float*> pages;
  std::vector<std::int32_t> page_begin{0};
  const std::int32_t* plan = nullptr;  ///< of paged_plan, for run()

  PagedFixture(const Context& context, const AttentionFixture& made)
      : PagedFixture(context, made, kv_page_type(context)) {}
  PagedFixture(const Context& context, const AttentionFixture& made, DType type);

  PagedRows rows(const RowLayout& rows_layout) const {
    return {rows_layout, page_begin.data(), pages.data(), layout.type};
  }
  /// Has `row` read the first `count` pages of `from`, as if both began with the same prompt.
  void share(std::size_t from, std::size_t row, std::int32_t count);
  /// Storing and attention as one call or as two.
  enum class Calls { two, one };
  /// z of the own tokens.
  std::vector<float> run(const Context& context, Calls calls = Calls::two);

  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

 private:
  std::vector<float> page_content() const;
  void store_prefixes(const Context& context);
};

/// Runs both ways, which must come to the same.
std::vector<float> run_paged(const Context& context, const AttentionFixture& fixture);

}  // namespace headspark::test
