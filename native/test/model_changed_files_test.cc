// check_files: weights that somebody writes over, cuts short, replaces or deletes while they are
// mapped.
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <csetjmp>
#include <filesystem>
#include <fstream>

#include "model/mapped_file.h"
#include "model_files.h"

namespace headspark {
namespace {

using files::expect_error;
using files::load_folder;
using files::TempFolder;
using files::tiny_checkpoint;
using files::write_checkpoint;
using files::write_file;

const char* const weights = "model.safetensors";

/// A folder with a model in it whose file is older than whatever is written next.
struct Loaded {
  Loaded() {
    write_checkpoint(folder.path(), tiny_checkpoint("llama"));
    std::filesystem::last_write_time(
        path(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    model = load_folder(folder);
  }
  std::filesystem::path path() const { return folder.path() / weights; }

  TempFolder folder;
  std::shared_ptr<const Model> model;
};

void write_byte(const std::filesystem::path& path, std::streamoff offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file.put('\1');
}

TEST_CASE("changed files: what nobody wrote to passes") {
  const Loaded loaded;
  check_files(*loaded.model);
  CHECK(model_fingerprint(*loaded.model).size() == 32);
}

TEST_CASE("changed files: a byte written in place is noticed") {
  const Loaded loaded;
  write_byte(loaded.path(),
             static_cast<std::streamoff>(std::filesystem::file_size(loaded.path())) - 1);
  expect_error(ErrorCode::FILE_CHANGED, {weights, "was written to", "run again"},
               [&] { check_files(*loaded.model); });
  expect_error(ErrorCode::FILE_CHANGED, {weights}, [&] { model_fingerprint(*loaded.model); });
}

TEST_CASE("changed files: a file that grew is noticed") {
  const Loaded loaded;
  std::ofstream(loaded.path(), std::ios::app) << "more";
  expect_error(ErrorCode::FILE_CHANGED, {weights}, [&] { check_files(*loaded.model); });
}

TEST_CASE(
    "changed files: one renamed into place, and a deleted one, leave the mapped one as it was") {
  const Loaded loaded;
  const std::string before = model_fingerprint(*loaded.model);
  const std::filesystem::path other = loaded.folder.path() / "other";
  write_file(other, "nothing like a checkpoint");
  std::filesystem::rename(other, loaded.path());
  check_files(*loaded.model);
  std::filesystem::remove(loaded.path());
  check_files(*loaded.model);
  CHECK(model_fingerprint(*loaded.model) == before);
}

TEST_CASE("changed files: what was cut off reads as zeros and is noticed") {
  constexpr std::size_t kBytes = 1 << 20;
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / weights;
  write_file(path, std::string(kBytes, 'x'));
  const MappedFile file(path);
  CHECK(file.bytes()[kBytes - 1] == std::byte{'x'});
  std::filesystem::resize_file(path, 10);
  // Pages in memory went with the file.
  CHECK(file.bytes()[kBytes - 1] == std::byte{0});
  CHECK(file.bytes()[kBytes / 2] == std::byte{0});
  expect_error(ErrorCode::FILE_CHANGED, {weights, "cut short"}, [&] { file.check_unchanged(); });
  // Whole again, and still not what it was.
  write_file(path, std::string(kBytes, 'x'));
  expect_error(ErrorCode::FILE_CHANGED, {weights, "cut short"}, [&] { file.check_unchanged(); });
}

sigjmp_buf after_fault;
std::atomic<int> foreign_faults{0};

void on_foreign_fault(int) {
  ++foreign_faults;
  siglongjmp(after_fault, 1);
}

TEST_CASE("changed files: bus errors elsewhere go to the handler that was there before") {
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "foreign";
  write_file(path, std::string(1 << 16, 'x'));
  struct sigaction own = {};
  own.sa_handler = on_foreign_fault;
  own.sa_flags = SA_NODEFER;
  sigemptyset(&own.sa_mask);
  struct sigaction before = {};
  REQUIRE(sigaction(SIGBUS, &own, &before) == 0);
  {
    const MappedFile ours(path);  // installs the handler over the foreign one
    const std::filesystem::path cut = folder.path() / "cut";
    write_file(cut, std::string(1 << 16, 'x'));
    std::FILE* stream = std::fopen(cut.c_str(), "rb");
    REQUIRE(stream != nullptr);
    void* mapping = mmap(nullptr, 1 << 16, PROT_READ, MAP_PRIVATE, fileno(stream), 0);
    std::fclose(stream);
    REQUIRE(mapping != MAP_FAILED);
    std::filesystem::resize_file(cut, 0);
    if (sigsetjmp(after_fault, 1) == 0) {
      const volatile char* bytes = static_cast<const volatile char*>(mapping);
      static_cast<void>(bytes[1 << 15]);
      FAIL("the read gave a byte");
    }
    CHECK(foreign_faults == 1);
    munmap(mapping, 1 << 16);
    ours.check_unchanged();
  }
  struct sigaction now = {};
  sigaction(SIGBUS, &before, &now);
  const bool restored = now.sa_handler == on_foreign_fault;
  CHECK(restored);
}

}  // namespace
}  // namespace headspark
