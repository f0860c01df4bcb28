// Entry of the tests on a GPU: doctest, on a stack that the GPU reads.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <pthread.h>

#include <cstdio>

#include "gpu/mapped_memory.h"

namespace {

struct Arguments {
  int count;
  char** values;
  int status = 1;
};

void* run_tests(void* passed) {
  auto* const arguments = static_cast<Arguments*>(passed);
  doctest::Context context(arguments->count, arguments->values);
  arguments->status = context.run();
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kStackBytes = std::size_t{64} << 20;
  Arguments arguments{argc, argv};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  void* const stack = headspark::test::allocate_mapped(kStackBytes);
  if (stack == nullptr || pthread_attr_setstack(&attributes, stack, kStackBytes) != 0 ||
      pthread_create(&thread, &attributes, run_tests, &arguments) != 0) {
    std::fprintf(stderr, "The thread of the tests could not be made.\n");
    return 1;
  }
  pthread_join(thread, nullptr);
  return arguments.status;
}
