// Parsing of the benchmarks' command line.
#include "common/options.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "headspark/error.h"

namespace headspark::bench {
namespace {

template <typename Number>
Number number(const std::string& option, const std::string& text) {
  Number value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || !(value >= 0)) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                option + " must be a number that is not negative, not " + text + ".");
  }
  return value;
}

void set_device(Options& options, const std::string& name) {
  const std::string prefix = "cuda:";
  if (name == "cpu") {
    options.device = DeviceKind::cpu;
  } else if (name.starts_with(prefix)) {
    options.device = DeviceKind::cuda;
    options.device_index = number<int>("The number in --device", name.substr(prefix.size()));
  } else {
    throw Error(ErrorCode::INVALID_ARGUMENT, "--device must be cpu or cuda:0, not " + name + ".");
  }
}

Precision precision_named(const std::string& name) {
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    if (name == precision_name(precision)) return precision;
  }
  throw Error(ErrorCode::INVALID_ARGUMENT, "--precision must be exact or fast, not " + name + ".");
}

void set_value(Options& options, const std::string& option, const std::string& value) {
  if (option == "--threads") {
    options.threads = number<int>(option, value);
  } else if (option == "--device") {
    set_device(options, value);
  } else if (option == "--isa") {
    setenv("HEADSPARK_ISA", value.c_str(), 1);
    default_isa();  // throws here, not in the middle of a run
  } else if (option == "--precision") {
    options.precision = precision_named(value);
  } else if (option == "--filter") {
    options.filter = value;
  } else if (option == "--milliseconds") {
    options.milliseconds = number<double>(option, value);
  } else if (option == "--rounds") {
    options.rounds = number<int>(option, value);
  } else if (option == "--out") {
    options.out = value;
  } else if (option == "--pairs") {
    options.pairs = value;
  } else if (option == "--paper-pairs") {
    options.paper_pairs = value;
  } else if (option == "--adapter") {
    options.adapter = value;
  } else if (option == "--batch-tokens") {
    options.batch_tokens = number<std::int64_t>(option, value);
  } else if (option == "--memory") {
    options.memory_bytes = number<std::int64_t>(option, value) << 20;
  } else {
    throw Error(ErrorCode::INVALID_ARGUMENT, option + " is not an option of this program.");
  }
}

}  // namespace

int whole_number(const std::string& option, const std::string& text) {
  return number<int>(option, text);
}

void write_whole(const std::string& file, const std::string& text) {
  const std::string part = file + ".part";
  std::ofstream stream(part, std::ios::binary);
  stream << text;
  stream.close();
  std::error_code failed;
  if (stream) std::filesystem::rename(part, file, failed);
  if (stream && !failed) return;
  throw Error(ErrorCode::FILE_WRITE, file +
                                         " cannot be written; give --out a file in a folder that "
                                         "is there and has room.");
}

EngineOptions engine_options(const Options& options) {
  EngineOptions engine;
  engine.threads = options.threads;
  engine.memory_bytes = options.memory_bytes;
  engine.batch_tokens = options.batch_tokens;
  engine.device = options.device;
  engine.device_index = options.device_index;
  engine.precision = options.precision;
  return engine;
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--json") {
      options.json = true;
    } else if (name == "--quick") {
      options.quick = true;
    } else if (name == "--no-verify") {
      options.verify = false;
    } else if (!name.starts_with("--")) {
      options.folders.push_back(name);
    } else if (i + 1 == argc) {
      throw Error(ErrorCode::INVALID_ARGUMENT, name + " needs a value.");
    } else {
      set_value(options, name, argv[++i]);
    }
  }
  return options;
}

int run_main(const char* program, int (*body)(const Options&), int argc, char** argv) {
  try {
    return body(parse_options(argc, argv));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s [%s]\n", program, error.what(), error_code_name(error.code()));
    return error.code() == ErrorCode::INTERNAL ? 2 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    return 2;
  }
}

}  // namespace headspark::bench
