// GEMM speed on one thread: the three products of a Dense layer side by side, each as a share of the multiply-adds this
// machine can do, measured before every line (the best so far counts).
//   bench_gemm [f64 | bf16 [packed]] [MxKxN ...]      e.g. DENSEKIT_ISA=x86-64-v3 bench_gemm f64 128x2048x2048
// A shape is batch x inputs x units. Times are the best of 15 samples of at least 0.5 ms, each of them CPU time of the thread.
// Two threads: run it twice at once, each on its own core (taskset).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "densekit/kernels.hpp"
#include "limits.hpp"

using namespace densekit;

namespace {

// Seconds a call: the best of the samples.
template <class F>
double time_calls(F f) {
  f();
  int calls = 1;
  for (;;) {
    const double start = limits::now();
    for (int i = 0; i < calls; ++i) f();
    if (limits::now() - start > 5e-4) break;
    calls *= 2;
  }
  double best = 1e9;
  for (int s = 0; s < 15; ++s) {
    const double start = limits::now();
    for (int i = 0; i < calls; ++i) f();
    best = std::min(best, (limits::now() - start) / calls);
  }
  return best;
}

// Multiply-adds a second of the units that an implementation may use, as far as they have been seen.
struct Limit {
  std::vector<limits::Unit> units;
  double best = 0;

  Limit(const Implementation& i, bool float64, bool bfloat16) {
    const bool amx = std::strstr(i.name, "amx") != nullptr, dots = amx || std::strstr(i.name, "bf16") != nullptr;
    for (const limits::Unit& unit : limits::units()) {
      const bool own = std::strcmp(unit.type, "bfloat16") == 0;
      const bool usable = own ? bfloat16 && (unit.bits == 0 ? amx : dots) : unit.bits <= 32 * i.f32->lanes;
      if (usable && (own || (std::strcmp(unit.type, "float64") == 0) == float64)) units.push_back(unit);
    }
    const double start = limits::now();
    while (limits::now() - start < 0.05) look();  // processors slow down for a moment when wide vectors begin
  }
  void look() {
    for (const limits::Unit& unit : units) best = std::max(best, limits::rate(unit));
  }
};

struct Shape {
  index_t batch, inputs, units;
};

template <class T>
struct Bench {
  const Kernels<T>& kernels;
  Limit limit;
  bool bfloat16 = false, packed = false;  // packed: the time of packing B is not counted
  T *a = nullptr, *b = nullptr, *c = nullptr, *scratch = nullptr;

  // 64-byte aligned, as the runtime's arena is: a 64-byte load across two lines takes two cycles on Zen 4.
  static void renew(T*& p, index_t n, T value) {
    std::free(p);
    p = static_cast<T*>(std::aligned_alloc(64, (size_t(n) * sizeof(T) + 64) / 64 * 64));
    for (index_t i = 0; i < n; ++i) p[i] = value;
  }

  void product(index_t m, index_t n, index_t k, bool a_transposed, bool b_transposed, bool bias) {
    renew(a, m * k, T(0.5)), renew(b, k * n, T(0.25)), renew(c, m * n, T(0));
    Gemm<T> g;
    g.m = m, g.n = n, g.k = k;
    g.a = a, g.a_row = a_transposed ? 1 : k, g.a_col = a_transposed ? m : 1;
    g.b = b, g.b_row = b_transposed ? 1 : n, g.b_col = b_transposed ? k : 1;
    g.c = c, g.c_row = n;
    g.bias = bias ? b : nullptr, g.relu = bias;
    renew(scratch, bfloat16 ? kernels.bfloat16_scratch(g, packed) : kernels.gemm_scratch(g), T(0));
    std::vector<uint32_t> panels;
    size_t shift = 0;
    if (packed) {
      panels.resize(size_t(kernels.bfloat16_packed(k, n) + 16));
      while (reinterpret_cast<uintptr_t>(panels.data() + shift) % 64) ++shift;
      kernels.bfloat16_pack(g.b, g.b_row, g.b_col, k, n, 0, k, 0, n, panels.data() + shift);
    }
    const uint32_t* b_packed = packed ? panels.data() + shift : nullptr;
    const double seconds = time_calls([&] {
      if (bfloat16) kernels.bfloat16_gemm(g, b_packed, scratch);
      else kernels.gemm(g, scratch);
    });
    limit.look();
    const double rate = 2.0 * double(m) * double(n) * double(k) / seconds;
    std::printf(" | %9.3f us %6.1f %5.1f %%", seconds * 1e6, rate * 1e-9, 100 * rate / limit.best);
    std::fflush(stdout);
  }

  void line(Shape s) {
    std::printf("%5td x %4td x %4td", s.batch, s.inputs, s.units);
    product(s.batch, s.units, s.inputs, false, false, true);
    product(s.inputs, s.units, s.batch, true, false, false);
    product(s.batch, s.inputs, s.units, false, true, false);
    std::printf("\n");
  }
};

const std::vector<Shape> kShapes = {
    {16, 20, 32},   {16, 32, 16},    {16, 16, 1},     {16, 784, 128},    {16, 128, 64},     {16, 64, 10},
    {32, 20, 32},   {32, 32, 16},    {32, 16, 1},     {32, 784, 128},    {32, 128, 64},     {32, 64, 10},
    {1, 784, 128},  {1, 512, 512},   {4, 512, 512},   {17, 511, 509},    {64, 512, 512},    {64, 100, 100},
    {128, 784, 64}, {256, 256, 256}, {128, 512, 512}, {128, 2048, 2048}, {256, 2048, 2048}, {1024, 1024, 1024}};

template <class T>
void bench(const Implementation& i, const Kernels<T>& kernels, const std::vector<Shape>& shapes, bool bfloat16 = false,
           bool packed = false) {
  const char* type = bfloat16 ? "bfloat16" : sizeof(T) == 4 ? "float32" : "float64";
  Bench<T> b{kernels, Limit(i, sizeof(T) == 8, bfloat16), bfloat16, packed};
  std::printf("%s, %s: at most", i.name, type);
  for (const limits::Unit& unit : b.limit.units)
    std::printf(" %.1f GFLOP/s by %s,", limits::rate(unit) * 1e-9, unit.unit);
  std::printf(
      " on one thread\nbatch x in x units |        forward: GFLOP/s, share |    weight gradient           |"
      "     input gradient\n");
  for (const Shape& s : shapes) b.line(s);
  std::printf("limit at the end: %.1f GFLOP/s\n", b.limit.best * 1e-9);
  for (T* p : {b.a, b.b, b.c, b.scratch}) std::free(p);
}

}  // namespace

int main(int argc, char** argv) {
  const Implementation* i = active_implementation();
  if (!i) return std::printf("%s\n", implementation_error()), 1;
  bool float64 = false, bfloat16 = false, packed = false;
  std::vector<Shape> shapes;
  for (int n = 1; n < argc; ++n) {
    Shape s;
    if (std::strcmp(argv[n], "f64") == 0) float64 = true;
    else if (std::strcmp(argv[n], "bf16") == 0) bfloat16 = true;
    else if (std::strcmp(argv[n], "packed") == 0) packed = true;
    else if (std::sscanf(argv[n], "%tdx%tdx%td", &s.batch, &s.inputs, &s.units) == 3) shapes.push_back(s);
    else return std::printf("bench_gemm: expected f64, bf16, packed or MxKxN, got '%s'.\n", argv[n]), 1;
  }
  if (shapes.empty()) shapes = kShapes;
  if (bfloat16) bench(*i, *i->f32, shapes, true, packed);
  else if (float64) bench(*i, *i->f64, shapes);
  else bench(*i, *i->f32, shapes);
}
