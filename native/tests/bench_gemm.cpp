// GEMM speed: median and best of repeated runs, GFLOP/s, best as a share of an FMA peak measured in the same run.
//   bench_gemm [f64 | bf16 [packed]]      e.g. DENSEKIT_ISA=x86-64-v3 bench_gemm
// Two threads: run it twice at once, each on its own core (taskset).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "densekit/kernels.hpp"

using namespace densekit;

namespace {

// CPU time of this thread, where there is such a clock: a machine shared with others takes no part in the numbers.
double now() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
#else
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
#endif
}

struct Times {
  double best, median;
};

// Seconds a call, over 15 samples of at least 0.5 ms each.
template <class F>
Times time_calls(F f) {
  f();
  int calls = 1;
  for (;;) {
    const double start = now();
    for (int i = 0; i < calls; ++i) f();
    if (now() - start > 5e-4) break;
    calls *= 2;
  }
  std::vector<double> samples;
  for (int s = 0; s < 15; ++s) {
    const double start = now();
    for (int i = 0; i < calls; ++i) f();
    samples.push_back((now() - start) / calls);
  }
  std::sort(samples.begin(), samples.end());
  return {samples[0], samples[7]};
}

#if defined(__x86_64__)
// The peak: twelve independent chains of 8-lane FMAs (512-bit ones reach no more on Zen 4: two halves each).
void fma_loop(long rounds) {
  asm volatile(
      "1:\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm0\n vfmadd231ps %%ymm12, %%ymm13, %%ymm1\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm2\n vfmadd231ps %%ymm12, %%ymm13, %%ymm3\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm4\n vfmadd231ps %%ymm12, %%ymm13, %%ymm5\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm6\n vfmadd231ps %%ymm12, %%ymm13, %%ymm7\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm8\n vfmadd231ps %%ymm12, %%ymm13, %%ymm9\n"
      "vfmadd231ps %%ymm12, %%ymm13, %%ymm10\n vfmadd231ps %%ymm12, %%ymm13, %%ymm11\n"
      "dec %0\n jnz 1b\n"
      : "+r"(rounds)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "cc");
}

// The same of products in bfloat16: 16 lanes x 2 products an instruction.
__attribute__((target("avx512f"))) void bfloat16_loop(long rounds) {
  asm volatile(
      "1:\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm0\n vdpbf16ps %%zmm12, %%zmm13, %%zmm1\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm2\n vdpbf16ps %%zmm12, %%zmm13, %%zmm3\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm4\n vdpbf16ps %%zmm12, %%zmm13, %%zmm5\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm6\n vdpbf16ps %%zmm12, %%zmm13, %%zmm7\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm8\n vdpbf16ps %%zmm12, %%zmm13, %%zmm9\n"
      "vdpbf16ps %%zmm12, %%zmm13, %%zmm10\n vdpbf16ps %%zmm12, %%zmm13, %%zmm11\n"
      "dec %0\n jnz 1b\n"
      : "+r"(rounds)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "cc");
}
#endif

struct Shape {
  index_t m, k, n;
};

template <class T>
struct Bench {
  const Kernels<T>& kernels;
  double peak;
  bool bfloat16 = false, packed = false;  // packed: the time of packing B is not counted
  T *a = nullptr, *b = nullptr, *c = nullptr, *scratch = nullptr;

  // 64-byte aligned, as the runtime's arena is: a 64-byte load across two lines takes two cycles on Zen 4.
  static void renew(T*& p, index_t n, T value) {
    std::free(p);
    p = static_cast<T*>(std::aligned_alloc(64, (size_t(n) * sizeof(T) + 64) / 64 * 64));
    for (index_t i = 0; i < n; ++i) p[i] = value;
  }

  void run(const char* what, index_t m, index_t n, index_t k, bool a_transposed, bool b_transposed, bool bias) {
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
    const Times t = time_calls([&] {
      if (bfloat16) kernels.bfloat16_gemm(g, b_packed, scratch);
      else kernels.gemm(g, scratch);
    });
    const double work = 2e-9 * double(m) * double(n) * double(k);
    std::printf("%-8s %5td x %4td x %4td  median %9.3f us %6.1f GFLOP/s | best %9.3f us %6.1f GFLOP/s %5.1f %%\n", what,
                m, k, n, t.median * 1e6, work / t.median, t.best * 1e6, work / t.best, 100 * work / t.best / peak);
  }
};

template <class T>
void bench(const Implementation& i, const Kernels<T>& kernels, double peak, bool bfloat16 = false,
           bool packed = false) {
  std::printf("%s, %s, peak %.1f GFLOP/s   (M x K x N)\n", i.name,
              bfloat16         ? "bfloat16"
              : sizeof(T) == 4 ? "float"
                               : "double",
              peak);
  Bench<T> b{kernels, peak, bfloat16, packed};
  for (index_t batch : {16, 32}) {
    for (Shape s : {Shape{0, 20, 32}, Shape{0, 32, 16}, Shape{0, 16, 1}, Shape{0, 784, 128}, Shape{0, 128, 64},
                    Shape{0, 64, 10}}) {
      b.run("forward", batch, s.n, s.k, false, false, true);
      b.run("dW", s.k, s.n, batch, true, false, false);
      b.run("dX", batch, s.k, s.n, false, true, false);
    }
  }
  for (Shape s : {Shape{1, 784, 128}, Shape{1, 128, 64}, Shape{1, 64, 10}, Shape{1, 512, 512}, Shape{2, 512, 512},
                  Shape{4, 512, 512}, Shape{8, 512, 512}, Shape{16, 512, 512}, Shape{17, 511, 509}, Shape{32, 512, 512},
                  Shape{64, 512, 512}})
    b.run("forward", s.m, s.n, s.k, false, false, true);
  b.run("dW", 512, 512, 64, true, false, false);
  b.run("dX", 64, 512, 512, false, true, false);
  for (Shape s : {Shape{128, 2048, 2048}, Shape{256, 2048, 2048}, Shape{1024, 1024, 1024}}) {
    b.run("forward", s.m, s.n, s.k, false, false, true);
    b.run("dW", s.k, s.n, s.m, true, false, false);
    b.run("dX", s.m, s.k, s.n, false, true, false);
  }
  for (T* p : {b.a, b.b, b.c, b.scratch}) std::free(p);
}

}  // namespace

int main(int argc, char** argv) {
  const Implementation* i = active_implementation();
  if (!i) return std::printf("%s\n", implementation_error()), 1;
  double peak = 0;
#if defined(__x86_64__)
  peak = 20000.0 * 12 * 16 / time_calls([] { fma_loop(20000); }).best * 1e-9;
#endif
  if (argc > 1 && std::strcmp(argv[1], "bf16") == 0) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16"))
      peak = 20000.0 * 12 * 64 / time_calls([] { bfloat16_loop(20000); }).best * 1e-9;
#endif
    bench(*i, *i->f32, peak, true, argc > 2);
  } else if (argc > 1 && std::strcmp(argv[1], "f64") == 0) bench(*i, *i->f64, peak / 2);
  else bench(*i, *i->f32, peak);
}
