// cuBLASLt where it is installed: found and opened when it is first needed, never linked.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cuda/cublas_lt_abi.h"

namespace headspark::cuda {

/// Reads an environment variable; empty when it is not set.
using Environment = std::function<std::string(const char* name)>;

/// Where cuBLASLt may be, in order: what HEADSPARK_CUBLASLT names (a file, or a folder with it, and
/// nothing else then; "none" switches it off), the loader's own search, toolkits (CUDA_HOME,
/// CUDA_PATH, CONDA_PREFIX/lib, /usr/local/cuda*), and nvidia-cublas as pip installs it
/// (VIRTUAL_ENV, CONDA_PREFIX, the python3 on PATH, ~/.local, /usr/local, /usr). Names without a
/// slash are for the loader. `root` stands for "/" and is there for tests.
std::vector<std::string> cublas_lt_candidates(const Environment& environment,
                                              const std::filesystem::path& root = "/");

class CublasLt {
 public:
  struct Opened {
    std::optional<lt::Functions> functions;
    std::string path;     ///< of the library that was opened
    std::string version;  ///< "13.1.0"
    std::string problem;  ///< one sentence, when there is none
  };

  /// Opens the first candidate that is a cuBLASLt of CUDA 12 or later, and not of a later CUDA than
  /// the driver is for (`driver` as driver_version has it; 0: any will do).
  static Opened open(const std::vector<std::string>& candidates, int driver = 0);

  /// The library of this process, looked for once.
  static const Opened& get();
};

/// One sentence on what computes matrix products, for doctor and for the start of a run.
std::string products_text(const CublasLt::Opened& opened);

}  // namespace headspark::cuda
