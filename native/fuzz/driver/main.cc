// Drives a fuzz target where libFuzzer is not at hand: replays the files given, then mutates them
// at random until the time is up. A finding is a crash or a sanitizer report; the input that caused
// it is left in fuzz-last-input. Usage: fuzz_<name> [-max_total_time=SECONDS] [FILE|FOLDER]…
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t max_input_bytes = 1 << 16;

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

void add_seeds(const std::filesystem::path& path, std::vector<Bytes>& seeds) {
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) seeds.push_back(read_file(entry.path()));
    }
  } else {
    seeds.push_back(read_file(path));
  }
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Bytes mutate(const std::vector<Bytes>& seeds) {
    Bytes bytes = seeds[below(seeds.size())];
    const std::size_t edits = 1 + below(8);
    for (std::size_t edit = 0; edit < edits; ++edit) edit_once(bytes, seeds[below(seeds.size())]);
    if (bytes.size() > max_input_bytes) bytes.resize(max_input_bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void edit_once(Bytes& bytes, const Bytes& other) {
    static constexpr std::uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '0', '9', '{', '"'};
    const std::size_t at = below(bytes.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = edges[below(std::size(edges))];
        break;
      case 2:
        bytes.insert(bytes.begin() + at, static_cast<std::uint8_t>(random_()));
        break;
      case 3:
        bytes.erase(bytes.begin() + at, bytes.begin() + at + below(bytes.size() - at + 1));
        break;
      case 4:  // eight equal bytes: lengths and offsets go to their ends
        for (std::size_t i = at; i < bytes.size() && i < at + 8; ++i) bytes[i] = edges[below(5)];
        break;
      default:  // a piece of another input
        if (!other.empty()) {
          const std::size_t from = below(other.size());
          const std::size_t count = below(std::min<std::size_t>(other.size() - from, 64) + 1);
          bytes.insert(bytes.begin() + at, other.begin() + from, other.begin() + from + count);
        }
    }
  }

  std::mt19937_64 random_;
};

// Keeps the input of the current run in a file, because a sanitizer ends the process without a
// word to it. Two system calls on an open file cost next to nothing.
class LastInput {
 public:
  LastInput() : file_(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644)) {}
  ~LastInput() {
    close(file_);
    unlink(name);
  }
  LastInput(const LastInput&) = delete;
  LastInput& operator=(const LastInput&) = delete;

  void run(const Bytes& bytes) const {
    const bool kept = pwrite(file_, bytes.data(), bytes.size(), 0) >= 0 &&
                      ftruncate(file_, static_cast<off_t>(bytes.size())) == 0;
    if (!kept) std::cerr << name << " cannot be written\n";
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }

 private:
  static constexpr const char* name = "fuzz-last-input";
  int file_;
};

}  // namespace

int main(int argc, char** argv) {
  double seconds = 10;
  std::vector<Bytes> seeds;
  const std::string time_option = "-max_total_time=";
  for (int index = 1; index < argc; ++index) {
    const std::string argument = argv[index];
    if (argument.rfind(time_option, 0) == 0) {
      seconds = std::atof(argument.c_str() + time_option.size());
    } else if (argument.rfind('-', 0) != 0) {
      add_seeds(argument, seeds);
    }
  }
  seeds.emplace_back();
  const LastInput last_input;
  for (const Bytes& seed : seeds) last_input.run(seed);

  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  Mutator mutator(std::random_device{}());
  std::uint64_t runs = seeds.size();
  for (; Clock::now() < end; ++runs) last_input.run(mutator.mutate(seeds));
  std::cout << "Done " << runs << " runs in " << seconds << " s without a finding\n";
  return 0;
}
