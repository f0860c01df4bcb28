// Runs prompts through the layers they still need, several prompts and a bounded number of tokens
// at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/forward.h"
#include "engine/gate_replacement.h"
#include "engine/growing_buffer.h"
#include "engine/paged_batch.h"
#include "engine/prompt_cache.h"
#include "headspark/run_control.h"

namespace headspark {

class Prefill {
 public:
  Prefill(const Engine& engine, KvPagePool& pool, GateReplacement& replacement)
      : engine_(engine), pool_(pool), replacement_(replacement), pages_(engine) {}

  struct Workspace {
    const RotaryTables& rotary;
    Trace& trace;
  };

  /// One pass over the next tokens of `states`, which all have work() on the same layers; at most
  /// trace.capacity() tokens, states in order. Finished work is marked so. States after the first
  /// are left out when the pool would have fewer than `reserve` pages left. Returns the tokens
  /// computed: 0 when the pool has no pages for the first state.
  std::int64_t run(std::span<const PromptHandle> states, std::int64_t reserve,
                   const Workspace& workspace, const RunControl& control);

 private:
  struct Chunk {
    PromptState* state;
    std::int64_t begin;  // tokens of the prompt
    std::int64_t end;
    std::int64_t row;  // first token in the batch
  };

  std::vector<Chunk> take_chunks(std::span<const PromptHandle> states, std::int64_t capacity,
                                 std::int64_t reserve);
  void copy_rows(const float* from, float* to, std::int64_t rows) const;
  void load_start(const std::vector<Chunk>& chunks, float* residual) const;
  void run_segments(const std::vector<Chunk>& chunks, const Batch& batch, ForwardInputs inputs,
                    Trace& trace, const RunControl& control) const;
  std::vector<std::int32_t> last_tokens(const std::vector<Chunk>& chunks) const;
  void finish(const std::vector<Chunk>& chunks, const Trace& trace) const;

  const Engine& engine_;
  KvPagePool& pool_;
  GateReplacement& replacement_;
  PagedBatch pages_;
};

}  // namespace headspark
