// The registry: one Implementation per instruction set, best first. Nothing here is compiled for a special CPU.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "densekit/kernels.hpp"
#include "kernels/isa/tables.hpp"
#include "kernels/reference/reference.hpp"

namespace densekit {
namespace {

bool always() { return true; }

#if DENSEKIT_BUILD_X86
bool has_v4() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}
bool has_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_v2() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"); }
bool has_v4_vnni() { return has_v4() && __builtin_cpu_supports("avx512vnni"); }
bool has_v4_bf16() { return has_v4_vnni() && __builtin_cpu_supports("avx512bf16"); }  // no CPU has the latter alone
Kernels<float> with_vnni() {
  Kernels<float> t = isa_v4::table_f32;
  const Kernels<float>& with = isa_v4_vnni::table_f32;
  t.isa = "x86-64-v4-vnni";
  t.int8_words = with.int8_words;
  t.int8_quantize = with.int8_quantize;
  t.int8_packed = with.int8_packed;
  t.int8_pack = with.int8_pack;
  t.int8_gemm = with.int8_gemm;
  return t;
}
const Kernels<float> v4_vnni_f32 = with_vnni();
Kernels<float> with_bfloat16() {
  Kernels<float> t = with_vnni();
  const Kernels<float>& with = isa_v4_bf16::table_f32;
  t.isa = "x86-64-v4-bf16";
  t.bfloat16_scratch = with.bfloat16_scratch;
  t.bfloat16_gemm = with.bfloat16_gemm;
  t.bfloat16_packed = with.bfloat16_packed;
  t.bfloat16_pack = with.bfloat16_pack;
  t.bfloat16_round = with.bfloat16_round;
  return t;
}
const Kernels<float> v4_bf16_f32 = with_bfloat16();
const Implementation x86_64_v4_bf16 = {"x86-64-v4-bf16", "AVX-512 F, BW, CD, DQ, VL, VNNI, BF16", has_v4_bf16,
                                       &v4_bf16_f32, &isa_v4::table_f64};
const Implementation x86_64_v4_vnni = {"x86-64-v4-vnni", "AVX-512 F, BW, CD, DQ, VL, VNNI", has_v4_vnni, &v4_vnni_f32,
                                       &isa_v4::table_f64};
const Implementation x86_64_v4 = {"x86-64-v4", "AVX-512 F, BW, CD, DQ, VL", has_v4, &isa_v4::table_f32,
                                  &isa_v4::table_f64};
const Implementation x86_64_v3 = {"x86-64-v3", "AVX2, FMA, BMI2", has_v3, &isa_v3::table_f32, &isa_v3::table_f64};
const Implementation x86_64_v2 = {"x86-64-v2", "SSE4.2, POPCNT", has_v2, &isa_v2::table_f32, &isa_v2::table_f64};
#elif DENSEKIT_BUILD_BASELINE
const Implementation baseline = {DENSEKIT_BASELINE_NAME, "nothing beyond the platform's baseline", always,
                                 &isa_baseline::table_f32, &isa_baseline::table_f64};
#endif
const Implementation plain = {"reference", "nothing", always, &reference::table_f32, &reference::table_f64};

const Implementation* const kImplementations[] = {
#if DENSEKIT_BUILD_X86
    &x86_64_v4_bf16, &x86_64_v4_vnni, &x86_64_v4, &x86_64_v3, &x86_64_v2,
#elif DENSEKIT_BUILD_BASELINE
    &baseline,
#endif
    &plain,
};
constexpr int kCount = int(sizeof(kImplementations) / sizeof(kImplementations[0]));

struct Choice {
  const Implementation* implementation = nullptr;
  char error[256] = "";
};

Choice choose() {
  Choice choice;
  const char* forced = std::getenv("DENSEKIT_ISA");
  for (const Implementation* candidate : kImplementations) {
    if (forced && *forced && std::strcmp(forced, candidate->name) != 0) continue;
    if (candidate->supported()) {
      choice.implementation = candidate;
      return choice;
    }
    if (forced && *forced) {
      std::snprintf(choice.error, sizeof choice.error,
                    "DENSEKIT_ISA: expected an instruction set of this CPU, got '%.32s' (needs %s). Unset it.", forced,
                    candidate->requires_);
      return choice;
    }
  }
  int used = std::snprintf(choice.error, sizeof choice.error, "DENSEKIT_ISA: expected one of");
  for (const Implementation* candidate : kImplementations)
    used += std::snprintf(choice.error + used, sizeof choice.error - size_t(used), " '%s'", candidate->name);
  std::snprintf(choice.error + used, sizeof choice.error - size_t(used), ", got '%.32s'. Unset it.", forced);
  return choice;
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const Implementation* const* implementations(int* count) {
  *count = kCount;
  return kImplementations;
}

const Implementation* active_implementation() { return choice().implementation; }

const char* implementation_error() { return choice().implementation ? nullptr : choice().error; }

}  // namespace densekit
