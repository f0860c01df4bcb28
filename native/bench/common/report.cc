// Printing of results.
#include "common/report.h"

#include <algorithm>
#include <cstdio>

#include "headspark/device.h"

namespace headspark::bench {
namespace {

nlohmann::json to_json(const Timing& timing) {
  return {{"medianMs", timing.median * 1e3},
          {"minMs", timing.least * 1e3},
          {"maxMs", timing.most * 1e3},
          {"runs", timing.runs}};
}

std::string memory_text(std::int64_t bytes) {
  if (bytes == 0) return "";
  return "  " + std::to_string(bytes >> 20) + " MiB";
}

std::string error_text(double error) {
  if (error < 0) return "";
  char text[32];
  std::snprintf(text, sizeof text, "  error %.1e", error);
  return text;
}

}  // namespace

Report::Report(const char* program, const Context& context, const Options& options)
    : program_(program),
      out_(options.out),
      json_(options.json),
      verifies_(options.verify),
      lines_(json_ ? stderr : stdout),
      meter_(context, options.quick ? 20 : 60),
      latest_(meter_.measure()) {
  const DeviceInfo device = device_info();
  all_ = {{"program", program_},
          {"cpu", device.cpu_name},
          {"device", context.on_cpu() ? "cpu" : context.backend->name()},
          {"products", context.on_cpu() ? "" : probe_gpus().products},
          {"threads", context.threads->threads()},
          {"isa", isa_name(context.isa)},
          {"precision", precision_name(context.precision)},
          {"peakGflops", latest_.fma_gflops},
          {"bf16Instruction", latest_.bf16_instruction},
          {"bf16PeakGflops", latest_.bf16_gflops},
          {"copyGbPerS", latest_.copy_gb_per_s},
          {"results", nlohmann::json::array()},
          {"ratios", nlohmann::json::array()},
          {"scaling", nlohmann::json::array()}};
  std::fprintf(lines_, "%s, %s; peaks: %s\n", computer_text(context).c_str(),
               precision_name(context.precision), peaks_text(latest_).c_str());
  save(false);
}

bool Report::check(const std::string& name, const Check& check) {
  if (check.error == -1 || check.error <= check.tolerance) return true;
  std::fprintf(stderr, "%s: %s is wrong by %g (at most %g)\n", program_.c_str(), name.c_str(),
               check.error, check.tolerance);
  correct_ = false;
  return false;
}

void Report::save(bool complete) {
  all_["complete"] = complete;
  if (!out_.empty()) write_whole(out_, all_.dump(2) + "\n");
}

Peaks Report::beside_result() {
  const Peaks before = latest_;
  latest_ = meter_.measure();
  return larger(before, latest_);
}

nlohmann::json Report::entry_of(const Result& r, const Peaks& peak) const {
  const double gflops = r.flops / r.timing.median * 1e-9;
  nlohmann::json entry = to_json(r.timing);
  entry.update({{"name", r.name},
                {"gflops", gflops},
                {"peakShare", gflops / peak.gflops()},
                {"peakGflops", peak.fma_gflops},
                {"bf16PeakGflops", peak.bf16_gflops},
                {"gbPerS", r.bytes / r.timing.median * 1e-9},
                {"copyGbPerS", peak.copy_gb_per_s}});
  if (r.peak_memory > 0) entry["peakBytes"] = r.peak_memory;
  if (!r.note.empty()) entry["note"] = r.note;
  return entry;
}

void Report::print(const Result& r, const Peaks& peak, double error) const {
  const double gflops = r.flops / r.timing.median * 1e-9;
  std::fprintf(lines_, "%-56s %9.3f ms (%.3f..%.3f)  %14s %3.0f %%  %5.1f GB/s%s%s\n",
               r.name.c_str(), r.timing.median * 1e3, r.timing.least * 1e3, r.timing.most * 1e3,
               rate_text(gflops).c_str(), gflops / peak.gflops() * 100,
               r.bytes / r.timing.median * 1e-9, error_text(error).c_str(),
               memory_text(r.peak_memory).c_str());
  std::fflush(lines_);
}

void Report::add(const Result& r) {
  const Peaks peak = beside_result();
  all_["results"].push_back(entry_of(r, peak));
  print(r, peak, -1);
  save(false);
}

void Report::add(const Result& r, const std::function<Check()>& verify) {
  const Peaks peak = beside_result();
  nlohmann::json entry = entry_of(r, peak);
  entry["verified"] = false;
  all_["results"].push_back(entry);
  save(false);
  Check found;
  if (verifies_) {
    try {
      found = verify();
    } catch (...) {
      print(r, peak, -1);
      throw;
    }
    entry["error"] = found.error;
    entry["verified"] = check(r.name, found);
    all_["results"].back() = entry;
  }
  print(r, peak, found.error);
  save(false);
}

void Report::add(const Ratio& r) {
  check(r.name, {r.difference, r.tolerance});
  nlohmann::json entry = {
      {"name", r.name}, {"ratio", r.ratio()}, {"fast", to_json(r.fast)}, {"slow", to_json(r.slow)}};
  if (r.difference != -1) entry["difference"] = r.difference;
  if (!r.note.empty()) entry["note"] = r.note;
  all_["ratios"].push_back(entry);
  std::fprintf(lines_, "%-56s %9.3fx  (%.3f ms against %.3f ms)%s\n", r.name.c_str(), r.ratio(),
               r.slow.median * 1e3, r.fast.median * 1e3, error_text(r.difference).c_str());
  std::fflush(lines_);
  save(false);
}

void Report::add(const Scale& s) {
  nlohmann::json entry = to_json(s.timing);
  entry.update({{"what", s.what},
                {"amount", s.amount},
                {"peakBytes", s.peak_memory},
                {"msPerAdded", s.per_added * 1e3}});
  all_["scaling"].push_back(entry);
  std::fprintf(lines_, "scaling: %5lld %-9s %9.3f ms", static_cast<long long>(s.amount),
               s.what.c_str(), s.timing.median * 1e3);
  if (s.per_added != 0) std::fprintf(lines_, ", %.3f ms for each added", s.per_added * 1e3);
  std::fprintf(lines_, "%s\n", memory_text(s.peak_memory).c_str());
  std::fflush(lines_);
  save(false);
}

void Report::attempt(const std::string& name, const std::function<void()>& measure) {
  try {
    measure();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s failed: %s\n", program_.c_str(), name.c_str(), error.what());
    all_["failures"].push_back({{"name", name}, {"error", error.what()}});
    correct_ = false;
  }
}

int Report::finish() {
  save(true);
  if (json_) std::puts(all_.dump(2).c_str());
  return correct_ ? 0 : 1;
}

}  // namespace headspark::bench
