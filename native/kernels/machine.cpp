#include "kernels/machine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace densekit {
namespace {

// The size the system reports, or a modest guess where it does not.
index_t cache_size([[maybe_unused]] int name, index_t guess) {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const long bytes = sysconf(name);
  if (bytes > 0) return static_cast<index_t>(bytes);
#endif
  return guess;
}

// L3 as the system has it: in a virtual machine the processor speaks of all that its host has.
index_t l3_of_system(index_t otherwise) {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index3/";
  int level = 0;
  index_t size = 0;
  char unit = '\0';
  std::ifstream(folder + "level") >> level;
  std::ifstream(folder + "size") >> size >> unit;
  return level == 3 && size > 0 && unit == 'K' ? size << 10 : otherwise;
}

#if defined(__x86_64__)

constexpr int kChain = 128, kParallel = 512;  // multiply-adds of the two loops

// One waits for the other: the latency.
__attribute__((target("avx512f"))) uint64_t chain_ticks() {
  const uint64_t start = __rdtsc();
  int rounds = kChain / 8;
  asm volatile(
      "vpxorq %%zmm0, %%zmm0, %%zmm0\n vpxorq %%zmm16, %%zmm16, %%zmm16\n 1:\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n"
      "dec %0\n jnz 1b\n lfence\n"
      : "+r"(rounds)::"xmm0", "xmm16", "cc");
  return __rdtsc() - start;
}

// Sixteen that wait for none of the others.
__attribute__((target("avx512f"))) uint64_t parallel_ticks() {
  const uint64_t start = __rdtsc();
  int rounds = kParallel / 16;
  asm volatile(
      "vpxorq %%zmm16, %%zmm16, %%zmm16\n 1:\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm0\n vfmadd231ps %%zmm16, %%zmm16, %%zmm1\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm2\n vfmadd231ps %%zmm16, %%zmm16, %%zmm3\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm4\n vfmadd231ps %%zmm16, %%zmm16, %%zmm5\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm6\n vfmadd231ps %%zmm16, %%zmm16, %%zmm7\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm8\n vfmadd231ps %%zmm16, %%zmm16, %%zmm9\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm10\n vfmadd231ps %%zmm16, %%zmm16, %%zmm11\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm12\n vfmadd231ps %%zmm16, %%zmm16, %%zmm13\n"
      "vfmadd231ps %%zmm16, %%zmm16, %%zmm14\n vfmadd231ps %%zmm16, %%zmm16, %%zmm15\n"
      "dec %0\n jnz 1b\n lfence\n"
      : "+r"(rounds)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "cc");
  return __rdtsc() - start;
}

// Latency over time of one among many: 4 where one begins in a cycle, 8 where two do. No clock has to be known, and both loops
// see the same one. What else the machine does only adds to a time, so the least of some is taken, in turns; a neighbour on the
// same core can hide the second port, never make one up. In 40 us a processor has got up to wide vectors.
int measured_ports() {
  uint64_t chain = UINT64_MAX, parallel = UINT64_MAX;
  for (int turn = 0; turn < 100; ++turn) {
    chain = std::min(chain, chain_ticks());
    parallel = std::min(parallel, parallel_ticks());
  }
  const double ratio = double(chain) / kChain * kParallel / double(parallel);
  return ratio > 5.5 ? 2 : 1;
}

int fma_ports() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") ? measured_ports() : 1;
}

#else

int fma_ports() { return 1; }

#endif

char error[256];

// name=number, name=number, ...
void override_by(const char* text, Machine* m) {
  for (const char* at = text; *at != '\0';) {
    char name[16];
    long long number = 0;
    int used = 0;
    const bool whole = std::sscanf(at, "%15[a-z0-9_]=%lld%n", name, &number, &used) == 2 && number >= 0 &&
                       number < (1LL << 40) && (at[used] == ',' || at[used] == '\0');
    index_t* size = nullptr;
    int* count = nullptr;
    if (whole && std::strcmp(name, "l1d") == 0) size = &m->l1d;
    if (whole && std::strcmp(name, "l2") == 0) size = &m->l2;
    if (whole && std::strcmp(name, "l3") == 0) size = &m->l3;
    if (whole && std::strcmp(name, "fma_ports") == 0) count = &m->fma_ports;
    if (whole && std::strcmp(name, "tile_rows") == 0) count = &m->tile_rows;
    if (whole && std::strcmp(name, "tile_vectors") == 0) count = &m->tile_vectors;
    if (size != nullptr) *size = static_cast<index_t>(number);
    else if (count != nullptr) *count = static_cast<int>(std::min(number, 64LL));
    else {
      std::snprintf(
          error, sizeof error,
          "DENSEKIT_MACHINE: expected name=number of l1d, l2, l3, fma_ports, tile_rows, tile_vectors, separated by "
          "commas, got '%.64s'. Unset it.",
          text);
      return;
    }
    at += used + (at[used] == ',');
  }
}

Machine find_machine() {
  Machine m;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  m.l1d = cache_size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  m.l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
  m.l3 = cache_size(_SC_LEVEL3_CACHE_SIZE, 8 << 20);
#else
  m.l1d = cache_size(0, 32 << 10);
  m.l2 = cache_size(0, 512 << 10);
  m.l3 = cache_size(0, 8 << 20);
#endif
  m.l3 = l3_of_system(m.l3);
  m.fma_ports = fma_ports();
  if (const char* text = std::getenv("DENSEKIT_MACHINE")) override_by(text, &m);
  return m;
}

}  // namespace

const Machine& machine() {
  static const Machine found = find_machine();
  return found;
}

const char* machine_error() {
  machine();
  return error[0] != '\0' ? error : nullptr;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// A packed panel and the next, which is packed meanwhile, take half of L2; the other half is for the rows that meet them. What fits
// into L2 whole is read in place. Measured on 1 MiB (docs/decisions/0039). Less is treated as 1 MiB: there, too, blocks of fewer
// steps would read and write C oftener. More than 4 MiB belong to several cores.
Blocks blocks_of(const Machine& m) {
  const index_t l2 = std::clamp<index_t>(m.l2, 1 << 20, 4 << 20);
  Blocks b;
  b.panel = l2 / 4;
  b.direct = l2;
  b.broadcast = 4 * l2;
  b.prefetch_c = l2 / 2;
  b.near_panel = m.l1d / 2;
  b.fma_ports = m.fma_ports;
  b.tile_rows = m.tile_rows;
  b.tile_vectors = m.tile_vectors;
  return b;
}

Blocks blocks = blocks_of(machine());

}  // namespace densekit
