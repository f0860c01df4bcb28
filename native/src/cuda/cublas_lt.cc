// The search, and dlopen (POSIX only, all of it here).
#include "cuda/cublas_lt.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cuda/runtime.h"

namespace headspark::cuda {
namespace {

namespace fs = std::filesystem;

const char* const kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

const char* const kSetting = "HEADSPARK_CUBLASLT";
const char* const kOff = "none";

// Older libraries lack what CUDA 12 promises to keep.
constexpr std::size_t kLeastVersion = 120000;

void add_folder(const fs::path& folder, std::vector<std::string>& found) {
  std::error_code ignored;
  for (const char* name : kNames) {
    if (fs::exists(folder / name, ignored)) found.push_back((folder / name).string());
  }
}

/// Folders of `parent` whose names begin so, the latest version first.
std::vector<fs::path> folders(const fs::path& parent, const std::string& begin) {
  std::vector<fs::path> list;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    if (entry.path().filename().string().rfind(begin, 0) == 0) list.push_back(entry.path());
  }
  std::sort(list.begin(), list.end(), std::greater<>());
  return list;
}

void add_toolkits(const Environment& environment, const fs::path& root,
                  std::vector<std::string>& found) {
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string folder = environment(variable);
    if (folder.empty()) continue;
    for (const char* libraries : {"lib64", "lib"}) add_folder(fs::path(folder) / libraries, found);
  }
  // Where conda has them.
  const std::string conda = environment("CONDA_PREFIX");
  if (!conda.empty()) add_folder(fs::path(conda) / "lib", found);
  add_folder(root / "usr/local/cuda/lib64", found);
  for (const fs::path& toolkit : folders(root / "usr/local", "cuda-")) {
    add_folder(toolkit / "lib64", found);
  }
}

/// PREFIX/lib/python3.N/site-packages/nvidia: cu13/lib since CUDA 13, cublas/lib before.
void add_python(const fs::path& prefix, std::vector<std::string>& found) {
  if (prefix.empty()) return;
  for (const fs::path& python : folders(prefix / "lib", "python3")) {
    for (const char* packages : {"site-packages", "dist-packages"}) {
      for (const char* package : {"cu13", "cublas"}) {
        add_folder(python / packages / "nvidia" / package / "lib", found);
      }
    }
  }
}

/// Of the python3 that a shell would start: an environment on PATH need not be activated.
fs::path prefix_of_python(const std::string& path) {
  std::istringstream folders(path);
  std::error_code ignored;
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (fs::exists(fs::path(folder) / "python3", ignored)) return fs::path(folder).parent_path();
  }
  return {};
}

void add_pythons(const Environment& environment, const fs::path& root,
                 std::vector<std::string>& found) {
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    add_python(environment(variable), found);
  }
  add_python(prefix_of_python(environment("PATH")), found);
  const std::string home = environment("HOME");
  if (!home.empty()) add_python(fs::path(home) / ".local", found);
  add_python(root / "usr/local", found);
  add_python(root / "usr", found);
}

template <typename Function>
bool load(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

/// Error text, or empty.
std::string load_all(void* library, int driver, lt::Functions& f) {
  const char* missing = nullptr;
  const auto need = [&](const char* name, auto& function) {
    if (missing == nullptr && !load(library, name, function)) missing = name;
  };
  need("cublasLtCreate", f.Create);
  need("cublasLtDestroy", f.Destroy);
  need("cublasLtGetVersion", f.GetVersion);
  need("cublasLtMatmulDescCreate", f.MatmulDescCreate);
  need("cublasLtMatmulDescDestroy", f.MatmulDescDestroy);
  need("cublasLtMatmulDescSetAttribute", f.MatmulDescSetAttribute);
  need("cublasLtMatrixLayoutCreate", f.MatrixLayoutCreate);
  need("cublasLtMatrixLayoutDestroy", f.MatrixLayoutDestroy);
  need("cublasLtMatrixLayoutSetAttribute", f.MatrixLayoutSetAttribute);
  need("cublasLtMatmulPreferenceCreate", f.MatmulPreferenceCreate);
  need("cublasLtMatmulPreferenceDestroy", f.MatmulPreferenceDestroy);
  need("cublasLtMatmulPreferenceSetAttribute", f.MatmulPreferenceSetAttribute);
  need("cublasLtMatmulAlgoGetHeuristic", f.MatmulAlgoGetHeuristic);
  need("cublasLtMatmul", f.Matmul);
  if (missing != nullptr) return std::string("it lacks ") + missing;
  const std::size_t version = f.GetVersion();
  const auto major = static_cast<int>(version / 10000);
  if (driver > 0 && major > driver / 1000) {
    return "it is of CUDA " + std::to_string(major) + ", and the driver for CUDA " +
           std::to_string(driver / 1000);
  }
  if (version >= kLeastVersion) return {};
  return "it is version " + std::to_string(version) + ", and 120000 (CUDA 12) is the least";
}

std::string version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

std::string process_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::vector<std::string> cublas_lt_candidates(const Environment& environment,
                                              const fs::path& root) {
  std::vector<std::string> found;
  const std::string named = environment(kSetting);
  if (named == kOff) return found;
  if (!named.empty()) {
    std::error_code ignored;
    if (!fs::is_directory(named, ignored)) return {named};
    add_folder(named, found);
    if (found.empty()) found.push_back((fs::path(named) / kNames[0]).string());
    return found;
  }
  found.assign(std::begin(kNames), std::end(kNames));
  add_toolkits(environment, root, found);
  add_pythons(environment, root, found);
  return found;
}

CublasLt::Opened CublasLt::open(const std::vector<std::string>& candidates, int driver) {
  Opened opened;
  opened.problem = "cuBLASLt is not installed where headspark looks";
  for (const std::string& candidate : candidates) {
    void* library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      // A name that the loader does not know says nothing; a file that is there and fails does.
      if (candidate.find('/') != std::string::npos) {
        const char* reason = dlerror();
        opened.problem = candidate + " cannot be opened (" +
                         (reason != nullptr ? reason : "no reason given") + ")";
      }
      continue;
    }
    lt::Functions functions{};
    const std::string problem = load_all(library, driver, functions);
    if (problem.empty()) {
      return {functions, candidate, version_text(functions.GetVersion()), ""};
    }
    opened.problem = candidate + " is not used: " + problem;
    dlclose(library);
  }
  return opened;
}

const CublasLt::Opened& CublasLt::get() {
  // Never closed: a library of this kind does not survive that.
  static const Opened opened = [] {
    Opened found = open(cublas_lt_candidates(process_environment), driver_version());
    if (process_environment(kSetting) == kOff) found.problem = "HEADSPARK_CUBLASLT is none";
    return found;
  }();
  return opened;
}

std::string products_text(const CublasLt::Opened& opened) {
  if (opened.functions) return "cuBLASLt " + opened.version + " from " + opened.path + ".";
  return opened.problem +
         "; headspark's own kernels compute matrix products, more slowly. Install the CUDA toolkit "
         "or the Python package nvidia-cublas, or name the library in HEADSPARK_CUBLASLT.";
}

}  // namespace headspark::cuda
