// A tiny test harness: TEST bodies run in order, CHECK counts and prints, main returns the number of failures.
// `near` and `agree` compare with a tolerance computed by the caller and refuse NaN against a number.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "densekit/kernels.hpp"

namespace check {

using densekit::index_t;

struct Test {
  const char* name;
  void (*run)();
};
inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
inline int failures = 0, checks = 0;
struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline bool fail(const char* file, int line, const char* what) {
  if (++failures <= 20) std::printf("%s:%d: %s\n", file, line, what);
  return false;
}

inline bool near(double got, double expected, double tolerance) {
  if (std::isnan(got) || std::isnan(expected)) return std::isnan(got) && std::isnan(expected);
  if (got == expected) return true;  // infinities
  return std::fabs(got - expected) <= tolerance;
}

// DENSEKIT_TEST_THIN=n makes long sweeps take every n-th point: for emulators and instrumented builds.
inline int thinning() {
  const char* n = std::getenv("DENSEKIT_TEST_THIN");
  return n && std::atoi(n) > 1 ? std::atoi(n) : 1;
}

// Random numbers that are the same everywhere.
struct Random {
  uint64_t state = 0x9E3779B97F4A7C15u;
  uint64_t bits() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
  }
  double uniform(double low, double high) { return low + (high - low) * double(bits() >> 11) * 0x1p-53; }
  int below(int n) { return int(bits() % uint64_t(n)); }
};

// n elements that start `shift` elements after an aligned address, framed so that sanitizers see a step outside.
template <class T>
struct Array {
  std::vector<T> store;
  index_t shift;
  explicit Array(index_t n, index_t shift = 0, T value = T(0)) : store(size_t(n + shift), value), shift(shift) {}
  T* data() { return store.data() + shift; }
  const T* data() const { return store.data() + shift; }
  T& operator[](index_t i) { return store[size_t(i + shift)]; }
  const T& operator[](index_t i) const { return store[size_t(i + shift)]; }
  index_t size() const { return index_t(store.size()) - shift; }
};

template <class T>
constexpr double kEps = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

template <class T>
const densekit::Kernels<T>& kernels(const densekit::Implementation& i) {
  if constexpr (sizeof(T) == 4) return *i.f32;
  else return *i.f64;
}

// Calls f(kernels, name) for float and double of every implementation this CPU can run.
template <class F>
void for_implementations(F f) {
  int count = 0;
  const densekit::Implementation* const* all = densekit::implementations(&count);
  for (int i = 0; i < count; ++i) {
    if (!all[i]->supported()) continue;
    f(*all[i]->f32, float{});
    f(*all[i]->f64, double{});
  }
}

inline int run_all() {
  for (const Test& t : tests()) {
    const int before = failures;
    t.run();
    std::printf("%s %s\n", failures == before ? "ok  " : "FAIL", t.name);
  }
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}

}  // namespace check

#define TEST(name)                                            \
  static void test_##name();                                  \
  static check::Register register_##name(#name, test_##name); \
  static void test_##name()
#define CHECK(...) (++check::checks, (__VA_ARGS__) || check::fail(__FILE__, __LINE__, #__VA_ARGS__))
#define CHECK_MAIN() \
  int main() { return check::run_all(); }
