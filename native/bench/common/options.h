// The command line that all benchmark programs share.
#pragma once

#include <string>
#include <vector>

#include "headspark/context.h"
#include "headspark/engine.h"

namespace headspark::bench {

struct Options {
  int threads = 0;
  DeviceKind device = DeviceKind::cpu;
  int device_index = 0;
  Precision precision = Precision::exact;
  std::string filter;                // part of the names of the benchmarks to run
  double milliseconds = 0;           // least time spent on each; 0: the program's own default
  bool json = false;                 // one JSON object on stdout instead of a line each
  bool quick = false;                // smaller sizes and fewer repetitions, for a first look
  int rounds = 0;                    // least runs of each; 0: the program's own default
  bool verify = true;                // compare results with the specification
  std::string out;                   // file for the JSON object, written again after each result
  std::string pairs, paper_pairs;    // files of pairs, a JSON object per line
  std::string adapter;               // a LoRA folder, timed beside the checkpoint without it
  std::int64_t memory_bytes = 0;     // EngineOptions::memory_bytes
  std::int64_t batch_tokens = 0;     // EngineOptions::batch_tokens
  std::vector<std::string> folders;  // what is not an option

  bool selects(const std::string& name) const { return name.find(filter) != std::string::npos; }
};

/// Reads --threads N, --device cpu|cuda:N, --isa NAME, --precision exact|fast, --filter TEXT,
/// --milliseconds N, --rounds N, --pairs FILE, --paper-pairs FILE, --adapter DIR, --memory MB,
/// --batch-tokens N, --out FILE, --json, --quick and --no-verify. `--isa` acts as HEADSPARK_ISA
/// does. Errors: INVALID_ARGUMENT naming the option.
Options parse_options(int argc, char** argv);

/// The options of an engine: threads, device, memory and precision.
EngineOptions engine_options(const Options& options);

/// A number that is not negative. Errors: INVALID_ARGUMENT naming the option.
int whole_number(const std::string& option, const std::string& text);

/// Puts `text` into a file that is whole at any moment: it is written beside it and renamed.
/// Errors: FILE_WRITE naming the file.
void write_whole(const std::string& file, const std::string& text);

/// Runs `body`; an exception becomes a line on stderr and exit code 1 (mistakes) or 2.
int run_main(const char* program, int (*body)(const Options&), int argc, char** argv);

}  // namespace headspark::bench
