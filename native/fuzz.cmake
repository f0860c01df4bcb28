# One executable fuzz_<name> per native/fuzz/<name>.cc, which defines LLVMFuzzerTestOneInput. With
# clang it is a libFuzzer binary; other compilers link native/fuzz/driver/, which replays files and
# mutates them at random for as long as asked.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*.cc)
foreach(source IN LISTS fuzz_sources)
  get_filename_component(name ${source} NAME_WE)
  add_executable(fuzz_${name} ${source})
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_include_directories(fuzz_${name} SYSTEM PRIVATE
    ${CMAKE_CURRENT_SOURCE_DIR}/third_party/nlohmann/include)
  target_link_libraries(fuzz_${name} PRIVATE headspark_core headspark_warnings)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/driver/main.cc)
  endif()
endforeach()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(headspark_core PRIVATE -fsanitize=fuzzer-no-link)
endif()
