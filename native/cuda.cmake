# The CUDA backend's sources and toolkit; included only when HEADSPARK_CUDA is on.
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR
    "HEADSPARK_CUDA is ON but no nvcc was found. Install the CUDA toolkit (12 or later) and put nvcc "
    "on PATH, or set CUDACXX to it; or use the preset 'cpu', which needs none.")
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  # CMake 3.25 (Debian 12) knows C++20 of no nvcc, though nvcc has it since version 12.
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
# Kernels call the constexpr functions of the public headers. Contraction is off as everywhere: two
# kernels that must give the same bits would not, were one of them contracted otherwise.
set(CMAKE_CUDA_FLAGS "${CMAKE_CUDA_FLAGS} --expt-relaxed-constexpr --fmad=false")
file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cu
  ${CMAKE_CURRENT_SOURCE_DIR}/src/cuda/*.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/src/*_cuda.cc)
list(REMOVE_DUPLICATES cuda_sources)
set_source_files_properties(${cuda_sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
