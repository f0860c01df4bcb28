// Where cuBLASLt is looked for, and what is said of a library that is none.
#include "cuda/cublas_lt.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

namespace headspark::test {
namespace {

namespace fs = std::filesystem;
using namespace cuda;

/// A folder of its own with empty files in it.
class FileTree {
 public:
  FileTree() {
    std::string pattern = (fs::temp_directory_path() / "headspark-lt-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~FileTree() { fs::remove_all(root_); }
  std::string add(const std::string& path) const {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream{file} << "not a library";
    return file.string();
  }
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) {
    const auto found = values.find(name);
    return found != values.end() ? found->second : std::string();
  };
}

}  // namespace

TEST_CASE("cuBLASLt: the loader, then toolkits, then what pip installed, newest first") {
  const FileTree tree;
  const std::string toolkit = tree.add("opt/cuda/lib64/libcublasLt.so.12");
  const std::string conda = tree.add("conda/lib/libcublasLt.so.12");
  const std::string newest = tree.add("usr/local/cuda-13.0/lib64/libcublasLt.so.13");
  const std::string older = tree.add("usr/local/cuda-12.4/lib64/libcublasLt.so.12");
  const std::string venv =
      tree.add("venv/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13");
  const std::string home =
      tree.add("home/.local/lib/python3.11/site-packages/nvidia/cublas/lib/libcublasLt.so.12");
  const std::string on_path =
      tree.add("torch/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13");
  tree.add("torch/bin/python3");
  tree.add("later/bin/python3");
  tree.add("later/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13");
  tree.add("usr/local/cuda-11.8/lib64/libcublasLt.so.11");
  const std::string root = tree.root().string();
  CHECK(cublas_lt_candidates(
            environment({{"CUDA_HOME", root + "/opt/cuda"},
                         {"VIRTUAL_ENV", root + "/venv"},
                         {"CONDA_PREFIX", root + "/conda"},
                         {"PATH", root + ":" + root + "/torch/bin:" + root + "/later/bin"},
                         {"HOME", root + "/home"}}),
            tree.root()) == std::vector<std::string>{"libcublasLt.so.13", "libcublasLt.so.12",
                                                     toolkit, conda, newest, older, venv, on_path,
                                                     home});
}

TEST_CASE("cuBLASLt: HEADSPARK_CUBLASLT names a file or its folder, and nothing else is tried") {
  const FileTree tree;
  const std::string file = tree.add("mine/libcublasLt.so.13");
  const auto with = [&](const std::string& value) {
    return cublas_lt_candidates(environment({{"HEADSPARK_CUBLASLT", value}}), tree.root());
  };
  CHECK(with(file) == std::vector<std::string>{file});
  CHECK(with((tree.root() / "mine").string()) == std::vector<std::string>{file});
  CHECK(with("none").empty());
  CHECK(with("/nowhere/libcublasLt.so") == std::vector<std::string>{"/nowhere/libcublasLt.so"});
}

TEST_CASE("cuBLASLt: absent, broken and foreign libraries are one sentence, not a failure") {
  const FileTree tree;
  const std::string broken = tree.add("libcublasLt.so.13");
  const CublasLt::Opened absent = CublasLt::open({});
  CHECK_FALSE(absent.functions.has_value());
  CHECK(products_text(absent).find("own kernels") != std::string::npos);
  CHECK(products_text(absent).find("nvidia-cublas") != std::string::npos);
  const CublasLt::Opened bad = CublasLt::open({broken});
  CHECK_FALSE(bad.functions.has_value());
  CHECK(bad.problem.find(broken + " cannot be opened") == 0);
  const CublasLt::Opened foreign = CublasLt::open({"libm.so.6"});
  CHECK_FALSE(foreign.functions.has_value());
  CHECK(foreign.problem == "libm.so.6 is not used: it lacks cublasLtCreate");
}

}  // namespace headspark::test
