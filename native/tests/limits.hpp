// What a core can do at most, measured: multiply-adds a second by type and vector width, for bench_gemm and benchmarks/peak.cpp.
// A unit of latency L that starts one instruction a cycle is full with L independent chains; two such units need 2 L. Latencies
// are 4 or 5, units two, of 16 bytes four: 12 chains do for 16 registers' worth of names, 16 for AVX-512, 20 for NEON. Fewer
// measure the latency instead, and narrower vectors than the machine has measure half of it.
#pragma once
#include <algorithm>
#include <chrono>
#include <ctime>
#include <vector>
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace limits {

// CPU time of this thread, where there is such a clock: a limit does not fall because others use the machine.
inline double now() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
#else
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
#endif
}

// One way to multiply and add: `flops` of a round, times the rounds asked for.
struct Unit {
  const char* type;  // "float32", "float64", "bfloat16"
  const char* unit;  // "AVX-512", ...
  int bits;          // of a vector; 0: a tile
  double flops;
  void (*run)(long rounds);
};

#if defined(__x86_64__)

// clang-format off
#define DK_REGISTERS_12 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define DK_REGISTERS_16 DK_REGISTERS_12, "xmm12", "xmm13", "xmm14", "xmm15"
#define DK_EACH_12(X, op, w) \
  X(op, w, 0) X(op, w, 1) X(op, w, 2) X(op, w, 3) X(op, w, 4) X(op, w, 5) \
  X(op, w, 6) X(op, w, 7) X(op, w, 8) X(op, w, 9) X(op, w, 10) X(op, w, 11)
#define DK_EACH_16(X, op, w) DK_EACH_12(X, op, w) X(op, w, 12) X(op, w, 13) X(op, w, 14) X(op, w, 15)
#define DK_ZERO(op, w, n) op " %%" w #n ", %%" w #n ", %%" w #n "\n"
#define DK_FMA_512(op, w, n) op " %%" w "16, %%" w "17, %%" w #n "\n"
#define DK_FMA_256(op, w, n) op " %%" w "12, %%" w "13, %%" w #n "\n"

// Zeros in every register: a subnormal that happened to lie there would cost an assist a step.
#define DK_LOOP_512(name, features, op) \
  __attribute__((target(features))) inline void name(long rounds) { \
    asm volatile(DK_EACH_16(DK_ZERO, "vpxorq", "zmm") "vpxorq %%zmm16, %%zmm16, %%zmm16\n" \
                 "vpxorq %%zmm17, %%zmm17, %%zmm17\n 1:\n" DK_EACH_16(DK_FMA_512, op, "zmm") "dec %0\n jnz 1b\n" \
                 : "+r"(rounds)::DK_REGISTERS_16, "xmm16", "xmm17", "cc"); \
  }
#define DK_LOOP_256(name, op) \
  __attribute__((target("avx2,fma"))) inline void name(long rounds) { \
    asm volatile(DK_EACH_12(DK_ZERO, "vxorps", "ymm") "vxorps %%ymm12, %%ymm12, %%ymm12\n" \
                 "vxorps %%ymm13, %%ymm13, %%ymm13\n 1:\n" DK_EACH_12(DK_FMA_256, op, "ymm") "dec %0\n jnz 1b\n" \
                 "vzeroupper\n" \
                 : "+r"(rounds)::DK_REGISTERS_12, "xmm12", "xmm13", "cc"); \
  }
// Without FMA: the sums are the chains, products and copies depend on nothing.
#define DK_MULTIPLY_ADD(op, w, n) \
  "movaps %%xmm12, %%xmm14\n mul" op " %%xmm13, %%xmm14\n add" op " %%xmm14, %%xmm" #n "\n"
#define DK_ZERO_128(op, w, n) "xorps %%xmm" #n ", %%xmm" #n "\n"
#define DK_LOOP_128(name, op) \
  inline void name(long rounds) { \
    asm volatile(DK_EACH_12(DK_ZERO_128, "", "") "xorps %%xmm12, %%xmm12\n xorps %%xmm13, %%xmm13\n 1:\n" DK_EACH_12( \
                     DK_MULTIPLY_ADD, op, "") "dec %0\n jnz 1b\n" \
                 : "+r"(rounds)::DK_REGISTERS_12, "xmm12", "xmm13", "xmm14", "cc"); \
  }

// clang-format on

DK_LOOP_512(fma_f32_512, "avx512f", "vfmadd231ps")
DK_LOOP_512(fma_f64_512, "avx512f", "vfmadd231pd")
DK_LOOP_512(dot_bf16_512, "avx512f", "vdpbf16ps")
DK_LOOP_256(fma_f32_256, "vfmadd231ps")
DK_LOOP_256(fma_f64_256, "vfmadd231pd")
DK_LOOP_128(fma_f32_128, "ps")
DK_LOOP_128(fma_f64_128, "pd")

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define DK_TILES 1
// Tiles of 16 rows of 64 bytes: 16 x 16 sums of 32 products an instruction. Six chains of sums; tiles 6 and 7 are the operands.
__attribute__((target("amx-tile,amx-bf16"))) inline void tiles_bf16(long rounds) {
  struct alignas(64) {
    unsigned char palette = 1, start_row = 0, reserved[14] = {};
    unsigned short bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } layout;
  asm volatile(
      "ldtilecfg %1\n"
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n tilezero %%tmm4\n tilezero %%tmm5\n"
      "tilezero %%tmm6\n tilezero %%tmm7\n 1:\n"
      "tdpbf16ps %%tmm7, %%tmm6, %%tmm0\n tdpbf16ps %%tmm7, %%tmm6, %%tmm1\n tdpbf16ps %%tmm7, %%tmm6, %%tmm2\n"
      "tdpbf16ps %%tmm7, %%tmm6, %%tmm3\n tdpbf16ps %%tmm7, %%tmm6, %%tmm4\n tdpbf16ps %%tmm7, %%tmm6, %%tmm5\n"
      "dec %0\n jnz 1b\n tilerelease\n"
      : "+r"(rounds)
      : "m"(layout)
      : "cc");
}

// The processor has tiles for bfloat16, and the system lets this process use them.
inline bool has_tiles() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
  constexpr long kRequestState = 0x1023, kTileData = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
  return syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
}
#endif

#else

#if defined(__aarch64__)
#define DK_KEEP(v) asm volatile("" : "+w"(v))
constexpr int kChains = 20;  // four units of latency 4
#else
#define DK_KEEP(v) asm volatile("" : "+m"(v))
constexpr int kChains = 12;
#endif

template <class T>
void multiply_adds(long rounds) {
  typedef T Vector __attribute__((vector_size(16)));
  Vector c[kChains] = {}, a = Vector{} + T(0.5), b = Vector{} + T(0.25);
  DK_KEEP(a);
  DK_KEEP(b);
  for (Vector& v : c) DK_KEEP(v);  // or equal chains would become one
  for (long r = 0; r < rounds; ++r) {
    for (Vector& v : c) v = v * a + b;  // contracted to one instruction
  }
  for (Vector& v : c) DK_KEEP(v);
}
#undef DK_KEEP

#endif

// The units of this machine, the widest of a type first.
inline std::vector<Unit> units() {
  std::vector<Unit> all;
#if defined(__x86_64__)
  const bool wide = __builtin_cpu_supports("avx512f"),
             middle = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (wide) all.push_back({"float32", "AVX-512", 512, 16 * 32, fma_f32_512});
  if (middle) all.push_back({"float32", "AVX2", 256, 12 * 16, fma_f32_256});
  all.push_back({"float32", "SSE2", 128, 12 * 8, fma_f32_128});
  if (wide) all.push_back({"float64", "AVX-512", 512, 16 * 16, fma_f64_512});
  if (middle) all.push_back({"float64", "AVX2", 256, 12 * 8, fma_f64_256});
  all.push_back({"float64", "SSE2", 128, 12 * 4, fma_f64_128});
#if defined(DK_TILES)
  if (has_tiles()) all.push_back({"bfloat16", "AMX", 0, 6 * 2.0 * 16 * 16 * 32, tiles_bf16});
#endif
  if (__builtin_cpu_supports("avx512bf16")) all.push_back({"bfloat16", "AVX512-BF16", 512, 16 * 64, dot_bf16_512});
#else
  all.push_back({"float32", "vector", 128, kChains * 8.0, multiply_adds<float>});
  all.push_back({"float64", "vector", 128, kChains * 4.0, multiply_adds<double>});
#endif
  return all;
}

// FLOP/s of a unit: the best of a few laps of 0.5 ms at least.
inline double rate(const Unit& unit, int laps = 5) {
  static constexpr double kLap = 5e-4;
  long rounds = 64;
  double best = 0;
  for (int lap = 0; lap < laps;) {
    const double start = now();
    unit.run(rounds);
    const double seconds = now() - start;
    if (seconds < kLap) rounds *= 2;
    else best = std::max(best, unit.flops * double(rounds) / seconds), ++lap;
  }
  return best;
}

}  // namespace limits
