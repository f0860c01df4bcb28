// The implementations that the op suite runs on in ordinary builds: the CPU's kernel levels.
#include "op_suite.h"

namespace headspark::test {

Context Level::context(int threads, Precision precision) const {
  return make_cpu_context(threads, isa.value(), precision);
}

const std::vector<Level>& levels() {
  static const std::vector<Level> all = [] {
    std::vector<Level> found;
    for (const Isa isa : cpu_levels()) found.push_back({isa_name(isa), isa});
    return found;
  }();
  return all;
}

std::string level_name(const Context& context) {
  return isa_name(context.isa);
}

}  // namespace headspark::test
