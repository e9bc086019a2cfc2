// What the tests of products by tiles share.
#pragma once
#include <cstring>
#include <vector>

#include "check.hpp"
#include "kernels/amx.hpp"
#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace tiles {

using namespace densekit;

inline const Kernels<float>& kernels_named(const char* name) {
  int count = 0;
  const Implementation* const* all = implementations(&count);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(all[i]->name, name) == 0) return *all[i]->f32;
  return *all[count - 1]->f32;
}
inline const Kernels<float>& software() { return kernels_named("software-tiles"); }

#if defined(__x86_64__)
constexpr const char* kBase = "x86-64-v3";  // what software-tiles is but for its products
#elif defined(__aarch64__)
constexpr const char* kBase = "neon";
#else
constexpr const char* kBase = "generic";
#endif
inline bool has_base() {
  int count = 0;
  const Implementation* const* all = implementations(&count);
  for (int i = 0; i < count; ++i)
    if (std::strcmp(all[i]->name, kBase) == 0) return all[i]->supported();
  return false;
}

#if defined(__linux__) && defined(__x86_64__)
// What a child process ends with; a signal is -1.
template <class F>
int in_child(F f) {
  const pid_t child = fork();
  if (child == 0) _exit(f());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
inline bool is_there() { return amx::missing() == nullptr; }

// Whether this thread's registers of AMX hold something, which a switch of threads would have to save.
inline bool has_tiles() {
  unsigned a = 0, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1) == 0) return false;       // the system saves none of that kind
  if (!__get_cpuid_count(0xD, 1, &a, &b, &c, &d) || (a & 4) == 0) return false;  // cannot be asked
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
  return (a >> 17 & 3) != 0;
}

struct Product {
  std::vector<float> a, b, bias, c, scratch;
  Gemm<float> g;

  Product(const Kernels<float>& kernels, index_t m, index_t n, index_t k) {
    check::Random random;
    a.resize(size_t(m * k)), b.resize(size_t(k * n)), bias.resize(size_t(n)), c.resize(size_t(m * n));
    for (std::vector<float>* values : {&a, &b, &bias})
      for (float& v : *values) v = float(random.uniform(-1, 1));
    g.m = m, g.n = n, g.k = k, g.a = a.data(), g.a_row = k, g.b = b.data(), g.b_row = n, g.c = c.data(), g.c_row = n;
    g.bias = bias.data();
    scratch.resize(size_t(kernels.bfloat16_scratch(g, false)) + 16);
  }
  void run(const Kernels<float>& kernels) {
    const auto aligned = (reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64;
    kernels.bfloat16_gemm(g, nullptr, reinterpret_cast<float*>(aligned));
  }
};
inline std::vector<float> product(const Kernels<float>& kernels, index_t m, index_t n, index_t k) {
  Product p(kernels, m, n, k);
  p.run(kernels);
  return p.c;
}
#endif

}  // namespace tiles
