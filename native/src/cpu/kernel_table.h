// The inner loops of the CPU ops, one table per instruction set. All levels are instantiations of
// the same templates (cpu/kernels), so they share one algorithm. Kernels are leaves: raw pointers
// in, no threads, no allocation, no exceptions, nothing of the standard library (an inline function
// compiled for AVX-512 must not become the one copy that the linker keeps for everybody).
#pragma once

#include <cstdint>

#include "headspark/dtype.h"
#include "headspark/isa.h"

namespace headspark {

struct Context;

/// Keys per chunk of the attention kernels, and the depth block of the fp32 levels: 256 x 16 fp32
/// of B are 16 KB, half of a 32 KB L1.
constexpr std::int64_t kDepthBlock = 256;

/// Row stride of fp32 A operands: 17 cache lines, so that the rows of a tile fall into different
/// sets.
constexpr std::int64_t kTileStride = kDepthBlock + 16;

/// How panels of 16 columns hold B. A panel of the
/// first two layouts serves every instruction set.
enum class PanelLayout {
  f32,        ///< [depth][16] fp32
  pairs,      ///< [depth / 2][16][2] bf16, two depths side by side, as bf16 dot products and tiles
              ///< read it
  fp16_pairs  ///< the same of fp16, each panel times a power of two of its own: only for levels
              ///< with fp16 tiles
};

/// Depth of a `pairs` panel as allocated: whole tiles of 32, zeros past the matrix.
static constexpr std::int64_t padded_depth(std::int64_t depth) {
  return (depth + 31) / 32 * 32;
}

/// Rows of fp32 into the A operand of a level: a = scale * rows, `lead` zeros before every row.
struct PackRowsA {
  const float* rows = nullptr;
  std::int64_t stride = 0;
  std::int64_t count = 0;
  std::int64_t depth = 0;  ///< lead + depth <= the level's depth block
  std::int64_t lead = 0;   ///< 0 or 1
  float scale = 1.0f;
  void* a = nullptr;  ///< a_bytes(count, whole), 64-byte aligned
  /// The rows may be a range of depths of an operand, its first depths first: where the range
  /// begins, a multiple of 32, and the operand's depth. 0: all of it.
  std::int64_t at = 0;
  std::int64_t whole = 0;
};

/// fp32 panels [panel][depth][16] into the terms of a level: [term][panel][pairs].
struct SplitPanels {
  const float* panels = nullptr;
  std::int64_t panel_stride = 0;  ///< floats from one panel to the next
  std::int64_t count = 0;
  std::int64_t depth = 0;
  int terms = 0;                 ///< 1 or the level's b_terms
  std::uint16_t* out = nullptr;  ///< terms * count * padded_depth(depth) * 16
  float* scales = nullptr;       ///< fp16: [count], what a panel's terms are to be multiplied by
  /// From one term to the next in out; 0: they lie one behind the other.
  std::int64_t term_stride = 0;
};

/// Memory to bring into L2 beside other work: `count` pieces of `bytes`, `stride` bytes apart.
struct Fetch {
  const void* at = nullptr;
  std::int64_t bytes = 0;
  std::int64_t stride = 0;
  std::int64_t count = 0;
  std::int64_t asked = 0;  ///< bytes of the first pieces that are on their way
  std::int64_t owed = 0;   ///< lines that should have been asked for by now
};

/// c[rows, panels * 16] (+)= a[rows, depth] b[depth, panels * 16]; depth <= the level's depth
/// block. The block's chain of every element starts at 0 (fp32 levels, fp16 tiles) or at c (bf16
/// tiles) and runs over depth in a fixed order, so neither rows nor threads change the bits.
struct GemmTile {
  const void* a = nullptr;  ///< as pack_a made it; fp32 levels also take rows of stride kTileStride
  std::int64_t rows = 0;
  const void* b = nullptr;  ///< 64-byte aligned for `pairs`
  PanelLayout layout = PanelLayout::f32;
  std::int64_t panel_bytes = 0;     ///< from one panel to the next
  int b_terms = 1;                  ///< of pairs: terms whose sum is B
  std::int64_t term_bytes = 0;      ///< from one term to the next
  const float* b_scales = nullptr;  ///< fp16_pairs: [panels], as of SplitPanels
  std::int64_t panels = 0;
  std::int64_t depth = 0;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  bool accumulate = true;
  float* out = nullptr;  ///< where sums are written, of levels that say so; null: to c
  std::int64_t out_stride = 0;
  Fetch next;  ///< what the caller reads next
};

/// The matrix product of one level and precision.
struct GemmKernels {
  std::int64_t row_tile = 1;     ///< rows of a register tile
  std::int64_t row_block = 192;  ///< most rows of one multiply: A of a depth block stays in L2
  /// Rows of a block whose activations stay in L2 with what they meet (cpu/row_block.h).
  std::int64_t block_rows = 96;
  std::int64_t depth_block = kDepthBlock;  ///< most depths of one multiply: see read_packed.h
  std::int64_t panels = 2;                 ///< most panels of one multiply
  std::int64_t item_panels = 64;           ///< most panels that one thread takes at once
  std::int64_t items_per_thread = 0;       ///< 0: by the depth
  /// Panels of an item of a product of one row block: it goes down all depths, so that each panel
  /// is one stream of memory.
  std::int64_t stream_panels = 1;
  int b_terms = 0;  ///< terms that an fp32 B is split into; 0: multiplied as fp32
  PanelLayout terms_layout = PanelLayout::pairs;  ///< of those terms, and of bf16 weights
  /// A of one block of depth is packed at once, because its rows share one scale.
  bool whole_depths = false;
  bool writes_out = false;  ///< multiply reads GemmTile::out
  bool packs_a = false;     ///< A must go through pack_a; else fp32 rows may be used in place
  std::int64_t expand_rows =
      0;  ///< from this many rows on, `pairs` panels are made fp32 once in L1
  std::int64_t (*a_bytes)(std::int64_t rows, std::int64_t depth) = nullptr;
  void (*pack_a)(const PackRowsA&) = nullptr;
  void (*split_panels)(const SplitPanels&) = nullptr;  ///< null when b_terms is 0
  void (*multiply)(const GemmTile&) = nullptr;
  void (*begin)(std::int64_t rows) = nullptr;  ///< before multiply: see Multiplying
  void (*end)() = nullptr;
};

/// A thread multiplies while one of these lives, and they do not nest. Tile registers are set up
/// and given back for every parallel loop, because other libraries of the process (oneDNN, say) do
/// the same with them between our loops. `rows`: those of every multiply, or 16 and more.
class Multiplying {
 public:
  Multiplying(const GemmKernels& kernels, std::int64_t rows) : end_(kernels.end) {
    if (kernels.begin != nullptr) kernels.begin(rows);
  }
  ~Multiplying() {
    if (end_ != nullptr) end_();
  }
  Multiplying(const Multiplying&) = delete;
  Multiplying& operator=(const Multiplying&) = delete;

 private:
  void (*end_)();
};

/// panel[k * stride + j] = rows[j][k] for k < depth, j < 16; a null row is zeros.
struct PackRows {
  const float* const* rows = nullptr;  ///< 16 pointers
  std::int64_t depth = 0;
  float* panel = nullptr;
  std::int64_t stride = 16;
};

/// One chunk of one query's scores in the attention backward: on entry scores are scale q·k and d_p
/// is d_raw·v; on return scores are p = exp(score - lse) and d_p is p (d_p - rowsum), zero from
/// `count` to `padded`, and their sums are added to those of the query.
struct AttentionScores {
  float* scores = nullptr;
  float* d_p = nullptr;
  std::int64_t count = 0;
  std::int64_t padded = 0;
  float lse = 0.0f;
  float rowsum = 0.0f;
  float* sum = nullptr;
  float* d_sum = nullptr;
};

/// The same chunk once the sums of all chunks are known: p divided by its sum, and the sum of p d_p
/// in place of rowsum. Both lse and rowsum are fp32 values of the forward, and their rounding would
/// be all the gradient that a query has that attends to one key.
struct AttentionGradients {
  float* scores = nullptr;
  float* d_p = nullptr;
  std::int64_t count = 0;
  float sum = 1.0f;
  float d_sum = 0.0f;
};

struct NormRow {
  const float* x = nullptr;
  const float* d_y = nullptr;  ///< backward only
  const float* weight = nullptr;
  const float* bias = nullptr;  ///< may be null
  float* out = nullptr;         ///< y, or d_x
  std::int64_t width = 0;
  float epsilon = 0.0f;
  bool centered = false;    ///< LayerNorm
  bool fixed = false;       ///< mean 0 and scale 1, whatever x is
  bool accumulate = false;  ///< backward only
};

/// a' = a cos - b sin, b' = b cos + a sin, in place, with the scales multiplied to cos and sin.
struct Rotation {
  float* a = nullptr;
  float* b = nullptr;
  const float* cosine = nullptr;
  const float* sine = nullptr;
  std::int64_t pairs = 0;
  float cosine_scale = 1.0f;
  float sine_scale = 1.0f;
};

struct ActivationRange {
  const float* gate = nullptr;
  const float* up = nullptr;   ///< may be null
  const float* d_y = nullptr;  ///< backward only
  float* out = nullptr;        ///< y, or d_gate
  float* d_up = nullptr;       ///< backward only, null when up is
  std::int64_t count = 0;
};

struct ActivationKernels {
  void (*forward)(const ActivationRange&);
  void (*backward)(const ActivationRange&);
};

/// z[i] = scale x[i] + (1 - scale) r[i]; r null stands for zero.
struct Blend {
  float scale = 1.0f;
  const float* x = nullptr;
  const float* r = nullptr;
  float* z = nullptr;
  std::int64_t count = 0;
};

/// y = weight d, minus its mean when centered, + constant - sum over copies of multiples[c] x[c]:
/// the end of a norm's backward, summed over copies (head_input_fast.cc).
struct PullBack {
  const float* d = nullptr;  ///< may be y
  float* y = nullptr;
  const float* weight = nullptr;
  const float* x = nullptr;  ///< [copies, width], stride x_stride
  std::int64_t x_stride = 0;
  const float* multiples = nullptr;
  std::int64_t copies = 0;
  float constant = 0.0f;
  bool centered = false;
  std::int64_t width = 0;
};

/// Depths, or keys, of paged attention between two looks at what to fetch.
constexpr std::int64_t kFetchSteps = 8;

/// What one key/value head has in some pages, to bring into L2 beside other work.
struct PageFetch {
  const float* const* pages = nullptr;
  std::int64_t count = 0;
  std::int64_t offset = 0;      ///< of the head in a page, in floats
  std::int64_t bytes = 0;       ///< of every page but the last
  std::int64_t last_bytes = 0;  ///< of the last
  std::int64_t asked = 0;       ///< bytes of the first page that are on their way
  std::int64_t owed = 0;        ///< lines that should have been asked for by now
};

/// scores[r * stride + j] = q[r, head_dim] · key j, for all 32 keys of every page of a split.
struct PagedScores {
  const float* q = nullptr;  ///< [rows, head_dim], scaled
  std::int64_t rows = 0;
  std::int64_t head_dim = 0;
  const float* const* pages = nullptr;
  std::int64_t page_count = 0;
  std::int64_t offset = 0;  ///< of the head's keys in a page
  float* scores = nullptr;
  std::int64_t stride = 0;
  PageFetch* next = nullptr;  ///< what the thread reads next; may be null
  std::int64_t lines = 0;     ///< of next, for every kFetchSteps depths
};

/// out[r, padded_dim] = sum over j < counts[r] of weights[r * stride + j] value j.
struct PagedValues {
  const float* weights = nullptr;
  std::int64_t stride = 0;
  std::int64_t rows = 0;
  const std::int64_t* counts = nullptr;  ///< [rows]
  const float* const* pages = nullptr;
  std::int64_t offset = 0;  ///< of the head's values in a page
  std::int64_t padded_dim = 0;
  float* out = nullptr;
  PageFetch* next = nullptr;  ///< as of PagedScores
  std::int64_t lines = 0;     ///< of next, for every kFetchSteps keys
};

/// scores[u, v] += delta[u] · gradient[v] over one block of the contracted axis.
struct ContractionTile {
  const float* delta = nullptr;  ///< [sources, length], stride delta_stride
  std::int64_t delta_stride = 0;
  const float* gradient = nullptr;  ///< [destinations, length], stride gradient_stride
  std::int64_t gradient_stride = 0;
  std::int64_t length = 0;
  std::int64_t sources = 0;
  std::int64_t destinations = 0;
  float* scores = nullptr;
  std::int64_t scores_stride = 0;
  float* packed = nullptr;  ///< workspace: contraction_floats(length)
};
/// Sources of a register tile.
constexpr std::int64_t kContractionRows = 3;
/// Destinations that a level packs at once, at most.
constexpr std::int64_t kContractionColumns = 8;
static constexpr std::int64_t contraction_floats(std::int64_t length) {
  return kContractionColumns * (length + 16);
}

/// A block of rows copied past the caches: for what is read much later.
struct CopyOut {
  const float* from = nullptr;
  std::int64_t from_stride = 0;
  float* to = nullptr;
  std::int64_t to_stride = 0;
  std::int64_t rows = 0;
  std::int64_t count = 0;
};

/// y[i] = base[i] + rows[offsets[0] + i] + rows[offsets[1] + i] + ..., in this order.
struct AddRows {
  const float* rows = nullptr;
  const std::int64_t* offsets = nullptr;
  std::int64_t count = 0;
  const float* base = nullptr;  ///< may be y
  float* y = nullptr;
  std::int64_t length = 0;
};

/// sums[i] += weights[0] rows[0][i], then of rows 1, 2 and 3.
struct WeightedRows {
  const float* rows[4] = {};
  double weights[4] = {};
  double* sums = nullptr;
  std::int64_t count = 0;
};

struct KernelTable {
  GemmKernels gemm;
  GemmKernels attention;  ///< the products of one head: too small to split into terms first
  /// Those of edge_contraction, without scales, which would let a score depend on its neighbours;
  /// without `multiply` at levels that use `contract`.
  GemmKernels contraction;
  void (*pack_rows)(const PackRows&);
  /// [depth][16] fp32 from one `pairs` panel; depth is even.
  void (*expand_pairs)(const std::uint16_t* pairs, std::int64_t depth, float* values);
  void (*expand_bf16)(const std::uint16_t* bits, std::int64_t count, float* values);

  float (*dot)(const float* a, const float* b, std::int64_t count);
  float (*largest)(const float* x, std::int64_t count);         ///< NaN if any value is
  float (*largest_number)(const float* x, std::int64_t count);  ///< NaN apart; -inf of none
  /// The largest and the second largest value (equal for a tie); no NaN among them. Absent: -inf.
  void (*largest_two)(const float* x, std::int64_t count, float* two);
  /// x = exp(x - offset) up to count, 0 up to padded; returns the sum. No x is larger than offset.
  float (*exp_in_place)(float* x, std::int64_t count, std::int64_t padded, float offset);
  /// Sum of exp(x - offset), nothing written.
  double (*sum_exp)(const float* x, std::int64_t count, float offset);
  /// y = exp(x - offset).
  void (*exp_range)(const float* x, std::int64_t count, float offset, float* y);
  void (*attention_scores)(const AttentionScores&);
  void (*attention_gradients)(const AttentionGradients&);
  void (*contract)(const ContractionTile&);
  void (*paged_scores)(const PagedScores&);
  void (*paged_values)(const PagedValues&);

  void (*norm_forward)(const NormRow&);
  void (*norm_backward)(const NormRow&);
  void (*norm_moments)(const NormRow&, float* mean, float* rstd);
  void (*pull_back)(const PullBack&);
  void (*rotate)(const Rotation&);
  ActivationKernels activations[4];  ///< indexed by Activation

  void (*blend)(const Blend&);
  /// y = a x + b y; b = 0 does not read y.
  void (*combine)(float a, const float* x, float b, float* y, std::int64_t count);
  void (*add_rows)(const AddRows&);
  void (*copy_out)(const CopyOut&);
  double (*abs_sum)(const float* x, std::int64_t count);
  double (*abs_diff_sum)(const float* x, const float* y, std::int64_t count);
  void (*add_weighted_rows)(const WeightedRows&);
};

const KernelTable& portable_kernels();
#if HEADSPARK_X86
const KernelTable& avx2_kernels();
const KernelTable& avx512_kernels();
const KernelTable& avx512_bf16_fast_kernels();
const KernelTable& amx_kernels(Precision precision);
const KernelTable& amx_fp16_kernels(Precision precision);
#endif
/// The AMX kernels with software tiles over the portable kernels: every machine runs them.
const KernelTable& amx_emulated_kernels(Precision precision);
const KernelTable& amx_fp16_emulated_kernels(Precision precision);

/// The table of a level above `specification`.
const KernelTable& kernel_table(Isa isa, Precision precision);
const KernelTable& kernel_table(const Context& context);

}  // namespace headspark
