#include "machine.hpp"

#include <fstream>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include "thread_pool.hpp"

namespace densekit {
namespace {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// The size the system reports, or a modest guess where it does not.
index_t cache_size([[maybe_unused]] int name, index_t guess) {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const long bytes = sysconf(name);
  if (bytes > 0) return static_cast<index_t>(bytes);
#endif
  return guess;
}

Machine find_machine() {
  Machine m;
  m.cpu = cpu_name();
  m.cores = usable_cores();
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  m.l1d = cache_size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  m.l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
  m.l3 = cache_size(_SC_LEVEL3_CACHE_SIZE, 8 << 20);
#else
  m.l1d = 32 << 10;
  m.l2 = 512 << 10;
  m.l3 = 8 << 20;
#endif
  return m;
}

}  // namespace

const Machine& machine() {
  static const Machine found = find_machine();
  return found;
}

}  // namespace densekit
