# The CUDA ops as C++ against the execution model of test/cuda_emulation; included only when
# HEADSPARK_CUDA_EMULATED is on. For tests: slow, and checked at every step.
if(HEADSPARK_CUDA)
  message(FATAL_ERROR "HEADSPARK_CUDA and HEADSPARK_CUDA_EMULATED exclude each other.")
endif()
set(emulation ${CMAKE_CURRENT_SOURCE_DIR}/test/cuda_emulation)
file(GLOB_RECURSE cuda_kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.cu)
file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_SOURCE_DIR}/src/cuda/*.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/src/*_cuda.cc)
list(REMOVE_DUPLICATES cuda_sources)
# Only this speaks to the real runtime.
list(FILTER cuda_sources EXCLUDE REGEX "_cudart\\.cc$")
file(GLOB emulation_sources CONFIGURE_DEPENDS ${emulation}/*.cc)
list(FILTER emulation_sources EXCLUDE REGEX "_test\\.cc$")
list(APPEND cuda_sources ${cuda_kernels} ${emulation_sources})

# On these files only: all others compile as in every other build, and are sanitized in `asan`.
set(emulation_options -DHEADSPARK_CUDA_EMULATED -I${CMAKE_CURRENT_SOURCE_DIR}/test)
set(HEADSPARK_EMULATION_SANITIZE "" CACHE STRING
  "Value of -fsanitize= for kernels, the emulated device and their tests, or empty")
if(HEADSPARK_EMULATION_SANITIZE)
  list(APPEND emulation_options -fsanitize=${HEADSPARK_EMULATION_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${HEADSPARK_EMULATION_SANITIZE})
endif()
set_source_files_properties(${cuda_sources} PROPERTIES COMPILE_OPTIONS "${emulation_options}")
if(HEADSPARK_EMULATION_SANITIZE)
  # Kernels pass through the device at every step of a thread.
  set_source_files_properties(${emulation_sources} PROPERTIES COMPILE_OPTIONS "${emulation_options};-O2")
  # What these two read and write is the device's own.
  set(unsanitized_options ${emulation_options})
  list(FILTER unsanitized_options EXCLUDE REGEX "sanitize")
  set_source_files_properties(${emulation}/shared_shadow.cc ${emulation}/tensor_core.cc PROPERTIES
    COMPILE_OPTIONS "${unsanitized_options};-O3")
endif()
set_source_files_properties(${cuda_kernels} PROPERTIES
  LANGUAGE CXX COMPILE_OPTIONS "${emulation_options};-xc++")

# Sees what kernels ask of memory: the compiler announces their accesses as to a sanitizer.
option(HEADSPARK_EMULATION_TRACE "Check and count what kernels ask of an emulated device's memories" OFF)
set(emulated_golden qwen2)
if(HEADSPARK_EMULATION_TRACE)
  set(emulated_golden qwen3)
  set(emulated_cases "-tce=goldens: greedy*,goldens: *other methods,mlp in blocks*,projections in blocks*,few long rows*,linear*several blocks*")
  if(HEADSPARK_EMULATION_SANITIZE)
    message(FATAL_ERROR "HEADSPARK_EMULATION_TRACE and HEADSPARK_EMULATION_SANITIZE exclude each other.")
  endif()
  file(GLOB traced_sources CONFIGURE_DEPENDS ${emulation}/traced/*.cc)
  set_source_files_properties(${traced_sources} PROPERTIES COMPILE_OPTIONS "${emulation_options}")
  list(APPEND cuda_sources ${traced_sources})
  # No access may be joined with another that nvcc would leave alone.
  set_source_files_properties(${cuda_kernels} PROPERTIES COMPILE_OPTIONS
    "${emulation_options};-xc++;-O2;-g1;-fno-tree-vectorize;-fno-store-merging;-fsanitize=thread;--param=tsan-instrument-func-entry-exit=0")
endif()
