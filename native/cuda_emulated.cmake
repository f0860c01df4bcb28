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

# On these files only: all others compile as in every other build, and are sanitized in `asan`. The
# preset asks of UBSan what a GPU would do wrong in silence; its checks of pointers, which ASan sees as
# well, cost a sixth of all time.
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

# Runs what nvcc made of the kernels instead of what the host's compiler did: their PTX, translated.
set(HEADSPARK_EMULATION_PTX "" CACHE STRING "Target of nvcc whose PTX is run (compute_80, ...), or empty")
if(HEADSPARK_EMULATION_PTX)
  # Kernels of tests are none of nvcc's.
  set(emulated_golden qwen3)
  set(emulated_cases "-tce=cuda emulation*,goldens: greedy*,goldens: *other methods,mlp in blocks*,projections in blocks*,few long rows*,linear*several blocks*")
  find_program(NODE node REQUIRED)
  set(translator ${CMAKE_SOURCE_DIR}/scripts/checks/ptx)
  file(GLOB translator_files CONFIGURE_DEPENDS ${translator}/*.mjs ${CMAKE_SOURCE_DIR}/scripts/checks/nvcc.mjs)
  set(ptx_folder ${CMAKE_CURRENT_BINARY_DIR}/ptx)
  file(MAKE_DIRECTORY ${ptx_folder})
  set(translated)
  foreach(kernels IN LISTS cuda_kernels)
    get_filename_component(name ${kernels} NAME_WE)
    set(out ${ptx_folder}/${name}.cc)
    add_custom_command(OUTPUT ${out}
      COMMAND ${NODE} ${translator}/main.mjs ${kernels} ${HEADSPARK_EMULATION_PTX} ${out}
      DEPENDS ${kernels} ${translator_files} DEPFILE ${ptx_folder}/${name}.d VERBATIM
      COMMENT "PTX of ${name}")
    list(APPEND translated ${out})
  endforeach()
  file(GLOB ptx_sources CONFIGURE_DEPENDS ${emulation}/ptx/*.cc)
  # A program takes all of them: a table lists its kernels as it starts.
  add_library(headspark_ptx OBJECT ${ptx_sources} ${translated})
  target_include_directories(headspark_ptx PRIVATE
    ${CMAKE_CURRENT_SOURCE_DIR}/include ${CMAKE_CURRENT_SOURCE_DIR}/src)
  # Registers that nothing reads are declared all the same.
  target_compile_options(headspark_ptx PRIVATE ${emulation_options} -O1 -ffp-contract=off -w)
  set_target_properties(headspark_ptx PROPERTIES UNITY_BUILD OFF)
  set(device_objects $<TARGET_OBJECTS:headspark_ptx>)
  set_property(SOURCE ${cuda_sources} APPEND PROPERTY COMPILE_OPTIONS -DHEADSPARK_EMULATION_PTX)
  list(APPEND emulation_options -DHEADSPARK_EMULATION_PTX)
endif()
