// A decode step whose ops a device can repeat: running rows with one token each, in as few shapes
// as possible, with everything that differs from step to step in buffers that stay where they are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/forward.h"
#include "engine/gate_replacement.h"
#include "engine/generation_row.h"
#include "engine/growing_buffer.h"
#include "engine/paged_batch.h"
#include "headspark/repeated_work.h"

namespace headspark {

/// Rows that a step of `rows` rows is filled up to, at most `most`: steps of few sizes are alike.
std::int64_t padded_rows(std::int64_t rows, std::int64_t most);

class RepeatedStep {
 public:
  /// For up to `most_rows` rows; replacement and trace must outlive it, and the trace have room for
  /// as many tokens.
  RepeatedStep(const Engine& engine, const KvPagePool& pool, GateReplacement& replacement,
               Trace& trace, std::int64_t most_rows);

  /// Whether the device repeats work, and a step of `rows` rows whose longest has `context` tokens
  /// has a table of pages that is worth its memory.
  bool takes(std::int64_t rows, std::int64_t context) const;

  struct Workspace {
    const RotaryTables& rotary;
    GrowingBuffer<std::int32_t>& plan;  ///< of PagedBatch
  };
  /// Feeds the next token of each row, in distinct rows whose pages are writable there. The
  /// result's i-th number is which token of the trace's final residual is rows[i]'s.
  std::vector<std::int64_t> run(std::span<GenerationRow* const> rows, const Workspace& workspace,
                                const RunControl& control);

  RepeatCounts counts() const;
  /// Page pointers copied to the device.
  std::int64_t uploaded_pages() const { return pages_.uploaded(); }

 private:
  std::int64_t pages_of(std::int64_t context) const;
  std::vector<GenerationRow*> place(std::span<GenerationRow* const> rows);
  std::vector<HeadGate> gates_of(const std::vector<GenerationRow*>& placed, std::int64_t padded);
  void upload_gates(const std::vector<GenerationRow*>& placed, std::int64_t padded);
  void replace_in(const std::vector<GenerationRow*>& placed, std::vector<HeadGate>& gates);

  const Engine& engine_;
  const KvPagePool& pool_;
  GateReplacement& replacement_;
  Trace& trace_;
  std::int64_t most_rows_;
  std::unique_ptr<RepeatedWork> work_;
  PagedBatch pages_;
  GrowingBuffer<std::int32_t> batch_;
  GrowingBuffer<float> scales_;              // [layers, padded rows, heads]
  std::vector<std::uint64_t> numbers_;       // of the row at each place
  std::vector<std::uint64_t> gate_numbers_;  // for which scales_ was uploaded
  std::int64_t gate_rows_ = 0;               // padded rows of scales_
};

}  // namespace headspark
