// Benchmarks of the CPU ops: each is verified against the specification, then timed, and set beside
// the fp32 peak measured in the same run. Usage: bench_ops [--threads N] [--isa NAME]
// [--filter TEXT] [--milliseconds N] [--json].
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/metric.h"
#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"

namespace {

using headspark::Context;
using headspark::Isa;

struct Options {
  int threads = 0;
  Isa isa = headspark::default_isa();
  std::string filter;
  double milliseconds = 500;
  bool json = false;
};

struct Benchmark {
  std::string name;
  double flops = 0;  // per run
  double bytes = 0;  // per run, read and written at least once
  std::function<void(const Context&)> run;
  /// Largest error of a part of the result against the specification, relative to its largest
  /// value; called after run.
  std::function<double(const Context& specification)> error;
};

std::vector<float> noise(std::int64_t count) {
  static std::uint64_t state = 1;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    value = static_cast<float>(state >> 40) * 0x1p-23f - 1.0f;
  }
  return values;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double largest = 0.0;
  double worst = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    const double diff = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(diff <= worst)) worst = diff;
  }
  return worst / largest;
}

struct LinearShape {
  std::int64_t tokens = 0;
  std::int64_t out = 0;
  std::int64_t in = 0;
  headspark::DType dtype = headspark::DType::bf16;
};

std::string shape_name(const LinearShape& s) {
  return std::to_string(s.tokens) + "x" + std::to_string(s.out) + "x" + std::to_string(s.in) +
         (s.dtype == headspark::DType::bf16 ? " bf16" : " f32");
}

struct LinearData {
  LinearShape shape;
  std::vector<float> f32, x, y;
  std::vector<std::uint16_t> bf16;
  headspark::LinearWeight weight;

  explicit LinearData(const LinearShape& s) : shape(s), f32(noise(s.out * s.in)) {
    for (const float value : f32) bf16.push_back(headspark::f32_to_bf16(value));
    const bool narrow = s.dtype == headspark::DType::bf16;
    weight = headspark::make_linear_weight(headspark::contiguous_view(
        narrow ? static_cast<const void*>(bf16.data()) : f32.data(), s.dtype, s.out, s.in));
    x = noise(s.tokens * std::max(s.in, s.out));
    y.resize(x.size());
  }
  headspark::LinearForward forward() {
    return {&weight, {}, shape.tokens, x.data(), shape.in, y.data(), shape.out};
  }
  headspark::LinearBackward backward() {
    return {&weight, {}, shape.tokens, x.data(), shape.out, y.data(), shape.in};
  }
};

// The first tokens of y again by the specification.
template <typename Params, typename Op>
double linear_error(const Context& specification, const LinearData& data, Params params, Op op,
                    float* Params::*result, std::int64_t width) {
  params.tokens = std::min<std::int64_t>(4, params.tokens);
  std::vector<float> expected(static_cast<std::size_t>(params.tokens * width));
  params.*result = expected.data();
  op(specification, params);
  return relative_error(data.y, expected);
}

void add_linear(std::vector<Benchmark>& all, const LinearShape& s) {
  const auto data = std::make_shared<LinearData>(s);
  const auto count = [](std::int64_t n) { return static_cast<double>(n); };
  const double flops = 2.0 * count(s.tokens) * count(s.out) * count(s.in);
  const double bytes = count(s.out * s.in) * count(headspark::dtype_bytes(s.dtype)) +
                       4.0 * count(s.tokens * (s.in + s.out));
  all.push_back({"linear_forward " + shape_name(s), flops, bytes,
                 [data](const Context& c) { headspark::linear_forward(c, data->forward()); },
                 [data, s](const Context& c) {
                   return linear_error(c, *data, data->forward(), headspark::linear_forward,
                                       &headspark::LinearForward::y, s.out);
                 }});
  all.push_back({"linear_backward " + shape_name(s), flops, bytes,
                 [data](const Context& c) { headspark::linear_backward(c, data->backward()); },
                 [data, s](const Context& c) {
                   return linear_error(c, *data, data->backward(), headspark::linear_backward,
                                       &headspark::LinearBackward::d_x, s.in);
                 }});
}

void add_contraction(std::vector<Benchmark>& all, std::int64_t sources, std::int64_t destinations,
                     std::int64_t length) {
  struct Data {
    std::vector<float> delta, gradient, scores;
  };
  const auto data = std::make_shared<Data>(
      Data{noise(sources * length), noise(destinations * length), std::vector<float>()});
  const auto params = [=](std::int64_t rows, std::vector<float>& scores) {
    scores.assign(static_cast<std::size_t>(rows * destinations), 0.0f);
    return headspark::EdgeContraction{
        rows,   destinations,  length,      data->delta.data(), length, data->gradient.data(),
        length, scores.data(), destinations};
  };
  all.push_back(
      {"edge_contraction " + std::to_string(sources) + "x" + std::to_string(destinations) + "x" +
           std::to_string(length),
       2.0 * static_cast<double>(sources * destinations) * static_cast<double>(length),
       4.0 * static_cast<double>((sources + destinations) * length),
       [=](const Context& c) { headspark::edge_contraction(c, params(sources, data->scores)); },
       [=](const Context& c) {
         std::vector<float> expected;
         headspark::edge_contraction(c, params(std::min<std::int64_t>(sources, 4), expected));
         return relative_error(data->scores, expected);
       }});
}

struct AttentionData {
  headspark::AttentionShape shape;
  std::vector<std::int32_t> row_begin;
  std::vector<float> q, k, v, z, lse, d_z, d_q, d_k, d_v;

  AttentionData(const headspark::AttentionShape& s, int rows, int tokens) : shape(s) {
    for (int r = 0; r <= rows; ++r) row_begin.push_back(r * tokens);
    const std::int64_t all = rows * tokens * s.heads * s.head_dim;
    const std::int64_t grouped = rows * tokens * s.kv_heads * s.head_dim;
    q = noise(all), k = noise(grouped), v = noise(grouped), d_z = noise(all);
    z.resize(q.size()), d_q = z, d_k = z, d_v = z;
    lse.resize(static_cast<std::size_t>(rows * tokens * s.heads));
  }
  headspark::AttentionForward forward() {
    headspark::AttentionForward p;
    p.shape = shape;
    p.layout.rows = static_cast<std::int32_t>(row_begin.size()) - 1;
    p.layout.row_begin = row_begin.data();
    p.q = q.data(), p.k = k.data(), p.v = v.data(), p.z = z.data(), p.lse = lse.data();
    return p;
  }
  headspark::AttentionBackward backward() {
    const headspark::AttentionForward f = forward();
    headspark::AttentionBackward p;
    p.shape = shape;
    p.layout = f.layout;
    p.q = f.q, p.k = f.k, p.v = f.v, p.raw = f.z, p.lse = f.lse, p.d_z = d_z.data();
    p.d_q = d_q.data(), p.d_k = d_k.data(), p.d_v = d_v.data();
    return p;
  }
};

void add_attention(std::vector<Benchmark>& all, const headspark::AttentionShape& s, int rows,
                   int tokens) {
  const auto data = std::make_shared<AttentionData>(s, rows, tokens);
  const double pairs = 0.5 * rows * tokens * (tokens + 1.0) * static_cast<double>(s.heads);
  const double product = 2.0 * pairs * static_cast<double>(s.head_dim);
  const double bytes = 4.0 * static_cast<double>(2 * data->q.size() + 2 * data->k.size());
  const std::string name = std::to_string(rows) + " rows of " + std::to_string(tokens) + ", " +
                           std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) +
                           " heads of " + std::to_string(s.head_dim);
  const auto error = [data](const Context& c, std::vector<float> AttentionData::*member) {
    const std::vector<float> got = (*data).*member;
    headspark::attention_forward(c, data->forward());
    headspark::attention_backward(c, data->backward());
    return relative_error(got, (*data).*member);
  };
  all.push_back({"attention_forward " + name, 2.0 * product, bytes,
                 [data](const Context& c) { headspark::attention_forward(c, data->forward()); },
                 [=](const Context& c) { return error(c, &AttentionData::z); }});
  all.push_back({"attention_backward " + name, 5.0 * product, 2.5 * bytes,
                 [data](const Context& c) { headspark::attention_backward(c, data->backward()); },
                 [=](const Context& c) { return error(c, &AttentionData::d_k); }});
}

void add_elementwise(std::vector<Benchmark>& all, std::int64_t tokens, std::int64_t width) {
  struct Data {
    std::vector<float> x, up, y;
    headspark::NormWeight norm;
  };
  const std::int64_t count = tokens * width;
  const auto data = std::make_shared<Data>(Data{noise(count), noise(count), noise(count), {}});
  data->norm.weight = noise(width);
  const auto norm = [=](const Context& c) {
    headspark::norm_forward(c, {&data->norm, tokens, data->x.data(), width, data->y.data(), width});
  };
  const auto silu = [=](const Context& c) {
    headspark::mlp_activation_forward(
        c, {headspark::Activation::silu, count, data->x.data(), data->up.data(), data->y.data()});
  };
  const auto error = [=](const auto& run) {
    return [=](const Context& c) {
      const std::vector<float> got = data->y;
      run(c);
      return relative_error(got, data->y);
    };
  };
  const double bytes = 4.0 * static_cast<double>(count);
  const std::string name = std::to_string(tokens) + "x" + std::to_string(width);
  all.push_back({"norm_forward " + name, 0, 2 * bytes, norm, error(norm)});
  all.push_back({"mlp_activation silu " + name, 0, 3 * bytes, silu, error(silu)});
}

std::vector<Benchmark> benchmarks() {
  std::vector<Benchmark> all;
  for (const std::int64_t tokens : {1, 5, 31, 512}) add_linear(all, {tokens, 1536, 576});
  add_linear(all, {512, 576, 1536});
  add_linear(all, {512, 8960, 1536});
  add_linear(all, {1, 8960, 1536});
  add_linear(all, {512, 1536, 576, headspark::DType::f32});
  add_contraction(all, 300, 840, 18000);
  add_contraction(all, 300, 27, 18000);
  add_attention(all, {9, 3, 64, 0.125f}, 80, 31);
  add_attention(all, {12, 2, 128, 0.088f}, 4, 256);
  add_elementwise(all, 512, 1536);
  return all;
}

struct Timing {
  double median = 0, least = 0, most = 0;
  int runs = 0;
};

Timing time_runs(const Benchmark& benchmark, const Context& context, double milliseconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  const auto start = Clock::now();
  while (seconds.size() < 5 ||
         std::chrono::duration<double, std::milli>(Clock::now() - start).count() < milliseconds) {
    const auto before = Clock::now();
    benchmark.run(context);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back(),
          static_cast<int>(seconds.size())};
}

Isa isa_named(const std::string& name) {
  for (const Isa isa : {Isa::specification, Isa::portable, Isa::avx2, Isa::avx512}) {
    if (name == headspark::isa_name(isa)) return isa;
  }
  throw headspark::Error(headspark::ErrorCode::INVALID_ARGUMENT, "--isa " + name + " is unknown.");
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--json") {
      options.json = true;
      continue;
    }
    if (i + 1 == argc) {
      throw headspark::Error(headspark::ErrorCode::INVALID_ARGUMENT, name + " needs a value.");
    }
    const std::string value = argv[++i];
    if (name == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (name == "--isa") {
      options.isa = isa_named(value);
    } else if (name == "--filter") {
      options.filter = value;
    } else if (name == "--milliseconds") {
      options.milliseconds = std::atof(value.c_str());
    } else {
      throw headspark::Error(headspark::ErrorCode::INVALID_ARGUMENT,
                             name + " is not an option of bench_ops.");
    }
  }
  return options;
}

struct Result {
  std::string name;
  double error = 0;
  double gflops = 0;
  double peak_share = 0;
  double gb_per_s = 0;
  Timing timing;
};

Result measure(const Benchmark& b, const Context& context, const Context& specification,
               const Options& options) {
  Result result;
  result.name = b.name;
  b.run(context);
  result.error = b.error(specification);
  result.timing = time_runs(b, context, options.milliseconds);
  result.gflops = b.flops / result.timing.median * 1e-9;
  result.gb_per_s = b.bytes / result.timing.median * 1e-9;
  return result;
}

void print_text(const Result& r) {
  std::printf("%-58s %8.3f ms (%.3f..%.3f)  %6.1f GFLOP/s %3.0f %%  %5.1f GB/s  error %.1e\n",
              r.name.c_str(), r.timing.median * 1e3, r.timing.least * 1e3, r.timing.most * 1e3,
              r.gflops, r.peak_share * 100, r.gb_per_s, r.error);
}

// Names hold letters, digits, spaces and slashes only, so nothing needs escaping.
void print_json(const Result& r, const char* separator) {
  std::printf(
      "%s\n  {\"name\": \"%s\", \"error\": %.3e, \"runs\": %d, \"medianMs\": %.6f, "
      "\"minMs\": %.6f, \"maxMs\": %.6f, \"gflops\": %.3f, \"peakShare\": %.4f, "
      "\"gbPerS\": %.3f}",
      separator, r.name.c_str(), r.error, r.timing.runs, r.timing.median * 1e3,
      r.timing.least * 1e3, r.timing.most * 1e3, r.gflops, r.peak_share, r.gb_per_s);
}

int run_all(const Options& options) {
  const Context context = headspark::make_cpu_context(options.threads, options.isa);
  const Context specification = headspark::make_cpu_context(options.threads, Isa::specification);
  headspark::PeakOptions peak_options;
  peak_options.threads = context.threads->threads();
  const headspark::PeakResult peak = headspark::measure_peak(peak_options, {});
  const std::string cpu = headspark::device_info().cpu_name;
  std::printf(options.json ? "{\"cpu\": \"%s\", \"threads\": %d, \"isa\": \"%s\", "
                             "\"peakGflops\": %.1f, \"copyGbPerS\": %.1f, \"results\": ["
                           : "%s, %d threads, kernels %s; peak %.1f GFLOP/s, copy %.1f GB/s\n",
              cpu.c_str(), peak.threads, headspark::isa_name(options.isa), peak.fma_gflops,
              peak.copy_gb_per_s);
  bool correct = true;
  const char* separator = "";
  for (const Benchmark& b : benchmarks()) {
    if (b.name.find(options.filter) == std::string::npos) continue;
    Result result = measure(b, context, specification, options);
    result.peak_share = result.gflops / peak.fma_gflops;
    if (!(result.error <= 1e-4)) {
      std::fprintf(stderr, "bench_ops: %s is wrong by %g\n", b.name.c_str(), result.error);
      correct = false;
    }
    if (options.json) {
      print_json(result, separator);
      separator = ",";
    } else {
      print_text(result);
    }
  }
  if (options.json) std::printf("\n]}\n");
  return correct ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_all(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_ops: %s\n", error.what());
    return 2;
  }
}
