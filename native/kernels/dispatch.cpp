// The registry: one Implementation per instruction set, best first. Nothing here is compiled for a special CPU.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "densekit/kernels.hpp"
#include "densekit/tiles.hpp"
#include "kernels/amx.hpp"
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
#endif

[[maybe_unused]] Kernels<float> with_int8(Kernels<float> t, const Kernels<float>& of) {
  t.int8_words = of.int8_words;
  t.int8_quantize = of.int8_quantize;
  t.int8_packed = of.int8_packed;
  t.int8_pack = of.int8_pack;
  t.int8_gemm = of.int8_gemm;
  return t;
}
[[maybe_unused]] Kernels<float> with_bfloat16(Kernels<float> t, const Kernels<float>& of) {
  t.bfloat16_scratch = of.bfloat16_scratch;
  t.bfloat16_gemm = of.bfloat16_gemm;
  t.bfloat16_packed = of.bfloat16_packed;
  t.bfloat16_pack = of.bfloat16_pack;
  t.bfloat16_round = of.bfloat16_round;
  return t;
}
[[maybe_unused]] Kernels<float> named(Kernels<float> t, const char* name) {
  t.isa = name;
  return t;
}

// Products by tiles where `Way` opens them, as of the first use of any. Few rows that meet a B which is not packed read it where it
// lies: to pack it would cost more than the product.
template <class Way>
struct ByTiles {
  static constexpr index_t kFewRows = 12;

  static const Kernels<float>& table() { return Way::is_open() ? Way::tiles() : Way::others(); }
  static const Kernels<float>& table_for(const Gemm<float>& g, bool is_packed) {
    return is_packed || g.m > kFewRows ? table() : Way::others();
  }
  static index_t scratch(const Gemm<float>& g, bool is_packed) {
    return table_for(g, is_packed).bfloat16_scratch(g, is_packed);
  }
  static void gemm(const Gemm<float>& g, const uint32_t* packed, float* scratch) {
    table_for(g, packed != nullptr).bfloat16_gemm(g, packed, scratch);
  }
  static index_t packed(index_t k, index_t n) { return table().bfloat16_packed(k, n); }
  static void pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                   index_t first_n, index_t last_n, uint32_t* packed) {
    table().bfloat16_pack(b, b_row, b_col, k, n, first_k, last_k, first_n, last_n, packed);
  }
  static index_t int8_words(index_t k) { return table().int8_words(k); }
  static void int8_quantize(index_t k, const float* x, float epsilon, float low, float high, uint32_t* words,
                            float* scale) {
    table().int8_quantize(k, x, epsilon, low, high, words, scale);
  }
  static index_t int8_packed(index_t k, index_t n) { return table().int8_packed(k, n); }
  static void int8_pack(index_t k, index_t n, const int8_t* b, uint8_t* packed) { table().int8_pack(k, n, b, packed); }
  static void int8_gemm(const Int8Gemm<float>& g) { table().int8_gemm(g); }

  static Kernels<float> in(Kernels<float> t) {
    t.bfloat16_scratch = scratch, t.bfloat16_gemm = gemm, t.bfloat16_packed = packed, t.bfloat16_pack = pack;
    t.int8_words = int8_words, t.int8_quantize = int8_quantize, t.int8_packed = int8_packed, t.int8_pack = int8_pack;
    t.int8_gemm = int8_gemm;
    return t;
  }
};

#if DENSEKIT_BUILD_X86
const Kernels<float> v4_vnni_f32 = named(with_int8(isa_v4::table_f32, isa_v4_vnni::table_f32), "x86-64-v4-vnni");
const Kernels<float> v4_bf16_f32 = named(with_bfloat16(v4_vnni_f32, isa_v4_bf16::table_f32), "x86-64-v4-bf16");
#if DENSEKIT_BUILD_AMX
// Both kinds of products that meet in a process have to agree.
const char* unlike_v4() {
  const char* tiles = amx::unlike(isa_v4_amx::table_f32, isa_v4::table_f32);
  return tiles != nullptr ? tiles : amx::unlike(v4_bf16_f32, isa_v4::table_f32);
}
amx::Gate amx_gate(amx::missing, amx::refused, unlike_v4);
struct AmxTiles {
  static bool is_open() { return amx_gate.is_open(); }
  static const Kernels<float>& tiles() { return isa_v4_amx::table_f32; }
  static const Kernels<float>& others() { return v4_bf16_f32; }
};
const Kernels<float> v4_amx_f32 = named(ByTiles<AmxTiles>::in(v4_bf16_f32), "x86-64-v4-amx");
bool has_v4_amx() { return has_v4_bf16() && amx::missing() == nullptr; }
const Implementation x86_64_v4_amx = {"x86-64-v4-amx", "AVX-512 F, BW, CD, DQ, VL, VNNI, BF16, AMX TILE, BF16, INT8",
                                      has_v4_amx, &v4_amx_f32, &isa_v4::table_f64};
#endif
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
#if DENSEKIT_BUILD_SOFTWARE_TILES
#if DENSEKIT_BUILD_X86
constexpr const Implementation& software_base = x86_64_v3;
#else
constexpr const Implementation& software_base = baseline;
#endif
struct SoftwareTiles {
  static bool is_open() { return true; }
  static const Kernels<float>& tiles() { return isa_software_tiles::table_f32; }
  static const Kernels<float>& others() { return *software_base.f32; }
};
const Kernels<float> software_tiles_f32 = named(ByTiles<SoftwareTiles>::in(*software_base.f32), "software-tiles");
const Implementation software_tiles = {"software-tiles", software_base.requires_, software_base.supported,
                                       &software_tiles_f32, software_base.f64};
#endif
const Implementation plain = {"reference", "nothing", always, &reference::table_f32, &reference::table_f64};

const Implementation* const kImplementations[] = {
#if DENSEKIT_BUILD_AMX
    &x86_64_v4_amx,
#endif
#if DENSEKIT_BUILD_X86
    &x86_64_v4_bf16, &x86_64_v4_vnni, &x86_64_v4, &x86_64_v3, &x86_64_v2,
#elif DENSEKIT_BUILD_BASELINE
    &baseline,
#endif
#if DENSEKIT_BUILD_SOFTWARE_TILES
    &software_tiles,
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
#if DENSEKIT_BUILD_AMX
      if (forced && *forced && candidate == &x86_64_v4_amx && !amx_gate.is_open()) {
        std::snprintf(choice.error, sizeof choice.error,
                      "DENSEKIT_ISA: expected an instruction set that can be used, got '%s', but %s. Unset it.", forced,
                      amx_gate.why_closed());
        return choice;
      }
#endif
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

const char* tiles_note() {
#if DENSEKIT_BUILD_AMX
  if (active_implementation() == &x86_64_v4_amx) {
    if (!amx_gate.was_asked()) return "not asked for yet";
    if (amx_gate.is_open()) return "used";
    static const std::string why = std::string("not used: ") + amx_gate.why_closed();
    return why.c_str();
  }
#endif
  return nullptr;
}

}  // namespace densekit
