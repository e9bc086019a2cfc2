#include "kernels/amx.hpp"

#include <cstring>
#include <memory>
#include <new>

#if defined(__x86_64__) && defined(__linux__)
#include <cerrno>
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>
#endif

namespace densekit::amx {

#if defined(__x86_64__) && defined(__linux__)
namespace {

constexpr unsigned kTileData = 18;                         // number of the registers' state component
constexpr uint64_t kTileState = uint64_t{3} << 17;         // their configuration and their data
constexpr long kGetPermitted = 0x1022, kRequest = 0x1023;  // of arch_prctl: ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
  Registers(unsigned leaf, unsigned subleaf) { __get_cpuid_count(leaf, subleaf, &a, &b, &c, &d); }
};

uint64_t saved_states() {
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

}  // namespace

const char* missing() {
  constexpr unsigned kSystemSaves = 1u << 27, kBfloat16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  if (__get_cpuid_max(0, nullptr) < 0x1E) return "the CPU has no AMX";
  if ((Registers(7, 0).d & (kBfloat16 | kTile | kInt8)) != (kBfloat16 | kTile | kInt8)) return "the CPU has no AMX";
  if ((Registers(1, 0).c & kSystemSaves) == 0 || (saved_states() & kTileState) != kTileState)
    return "the system does not save the registers of AMX";
  const Registers palette(0x1D, 1), product(0x1E, 0);  // 8 tiles of 16 rows of 64 bytes, K up to 16, N up to 64 bytes
  const bool known = Registers(0x1D, 0).a >= 1 && palette.a >> 16 == 1024 && (palette.b & 0xFFFF) == 64 &&
                     palette.b >> 16 == 8 && (palette.c & 0xFFFF) == 16 && (product.b & 0xFF) == 16 &&
                     (product.b >> 8 & 0xFFFF) == 64;
  return known ? nullptr : "the tiles of this CPU have another size";
}

const char* refused() {
  if (syscall(SYS_arch_prctl, kRequest, kTileData) != 0) {
    return errno == ENOSPC ? "an alternate signal stack of the process is too small for the registers of AMX"
                           : "the system does not hand out the registers of AMX";
  }
  uint64_t permitted = 0;
  if (syscall(SYS_arch_prctl, kGetPermitted, &permitted) != 0 || (permitted >> kTileData & 1) == 0)
    return "the system does not hand out the registers of AMX";
  return nullptr;
}

#else

const char* missing() { return "AMX is used on x86-64 with Linux alone"; }
const char* refused() { return missing(); }

#endif

const char* Gate::ask() {
  const char* answer = "";
  for (const Question question : questions_) {
    if (const char* why = question()) {
      answer = why;
      break;
    }
  }
  const char* before = nullptr;
  return answer_.compare_exchange_strong(before, answer, std::memory_order_acq_rel) ? answer : before;
}

namespace {

constexpr const char* kUnlike = "their products differ from those of the portable kernels";

// Rounding as everywhere, for the kernels that heed the thread's mode.
class DefaultFloatMode {
#if defined(__x86_64__)
 public:
  DefaultFloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(0x9FC0); }  // to nearest, subnormals are zero
  ~DefaultFloatMode() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#endif
};

struct Numbers {
  uint32_t state = 1;
  uint32_t next() { return state = state * 1664525u + 1013904223u; }
  float one() { return float(int32_t(next() >> 8)) * 0x1p-23f - 1.0f; }
};

template <class T>
class Memory {
 public:
  explicit Memory(index_t n) : data_(new (std::nothrow) T[std::size_t(n) + 64 / sizeof(T)]) {}
  explicit operator bool() const { return data_ != nullptr; }
  T* get() const { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(data_.get()) + 63) / 64 * 64); }

 private:
  std::unique_ptr<T[]> data_;
};

struct Shape {
  index_t m, n, k;
};

// Edges of tiles in each direction, a block alone and several, and products that are cut along k.
constexpr Shape kShapes[] = {{1, 70, 33}, {16, 32, 32}, {20, 45, 70}, {50, 40, 530}};

// One product by one table, in whatever way `flags` says: 1, 2: A, B transposed, 4: accumulate, 8: B packed, in two parts.
bool product(const Kernels<float>& kernels, const Shape& s, int flags, float* c) {
  Numbers numbers;
  const Memory<float> a(s.m * s.k), b(s.k * s.n), bias(s.n);
  if (!a || !b || !bias) return false;
  for (index_t i = 0; i < s.m * s.k; ++i) a.get()[i] = numbers.one();
  for (index_t i = 0; i < s.k * s.n; ++i) b.get()[i] = numbers.one();
  for (index_t i = 0; i < s.n; ++i) bias.get()[i] = numbers.one();
  for (index_t i = 0; i < s.m * s.n; ++i) c[i] = numbers.one();
  Gemm<float> g;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.a = a.get(), g.a_row = flags & 1 ? 1 : s.k, g.a_col = flags & 1 ? s.m : 1;
  g.b = b.get(), g.b_row = flags & 2 ? 1 : s.n, g.b_col = flags & 2 ? s.k : 1;
  g.c = c, g.c_row = s.n;
  g.accumulate = flags & 4;
  g.bias = bias.get(), g.relu = flags & 1;
  const bool packs = flags & 8;
  const Memory<uint32_t> packed(packs ? kernels.bfloat16_packed(s.k, s.n) : 0);
  const Memory<float> scratch(kernels.bfloat16_scratch(g, packs));
  if (!packed || !scratch) return false;
  const index_t half = s.k / 4 * 2;
  for (index_t first : {index_t{0}, half}) {
    const index_t last = first == half ? s.k : half;
    if (packs && first < last)
      kernels.bfloat16_pack(g.b + first * g.b_row, g.b_row, g.b_col, s.k, s.n, first, last, 0, s.n, packed.get());
  }
  kernels.bfloat16_gemm(g, packs ? packed.get() : nullptr, scratch.get());
  return true;
}

bool int8_product(const Kernels<float>& kernels, const Shape& s, float* c) {
  Numbers numbers;
  const index_t words = kernels.int8_words(s.k);
  const Memory<float> x(s.k), a_scale(s.m), b_scale(s.n);
  const Memory<int8_t> b(s.k * s.n);
  const Memory<uint32_t> a(s.m * words);
  const Memory<uint8_t> packed(kernels.int8_packed(s.k, s.n));
  if (!x || !a_scale || !b_scale || !b || !a || !packed) return false;
  for (index_t i = 0; i < s.k * s.n; ++i) b.get()[i] = int8_t(int(numbers.next() >> 24) - 128);
  for (index_t j = 0; j < s.n; ++j) b_scale.get()[j] = numbers.one() + 2;
  for (index_t i = 0; i < s.m; ++i) {
    for (index_t p = 0; p < s.k; ++p) x.get()[p] = numbers.one();
    kernels.int8_quantize(s.k, x.get(), 1e-7f, -127, 127, a.get() + i * words, a_scale.get() + i);
  }
  kernels.int8_pack(s.k, s.n, b.get(), packed.get());
  Int8Gemm<float> g;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.a = a.get(), g.a_scale = a_scale.get();
  g.b = packed.get(), g.b_scale = b_scale.get();
  g.c = c, g.c_row = s.n;
  kernels.int8_gemm(g);
  return true;
}

}  // namespace

const char* unlike(const Kernels<float>& tiles, const Kernels<float>& portable) {
  constexpr const char* no_memory = "there is no memory to try them";
  const DefaultFloatMode mode;
  for (const Shape& s : kShapes) {
    const auto bytes = std::size_t(s.m * s.n) * sizeof(float);
    const Memory<float> got(s.m * s.n), wanted(s.m * s.n);
    if (!got || !wanted) return no_memory;
    for (int flags = 0; flags < 16; ++flags) {
      if (!product(tiles, s, flags, got.get()) || !product(portable, s, flags, wanted.get())) return no_memory;
      if (std::memcmp(got.get(), wanted.get(), bytes) != 0) return kUnlike;
    }
    if (!int8_product(tiles, s, got.get()) || !int8_product(portable, s, wanted.get())) return no_memory;
    if (std::memcmp(got.get(), wanted.get(), bytes) != 0) return kUnlike;
  }
  return nullptr;
}

}  // namespace densekit::amx
