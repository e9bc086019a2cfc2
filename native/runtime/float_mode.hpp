// Denormals are flushed while kernels run: one denormal operand can cost a hundred cycles.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace densekit {

inline uint64_t read_float_mode() {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

inline void write_float_mode([[maybe_unused]] uint64_t mode) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(mode));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(mode));
#endif
}

inline uint64_t flushing(uint64_t mode) {
#if defined(__x86_64__)
  return mode | 0x8040;  // flush to zero, denormals are zero
#elif defined(__aarch64__)
  return mode | (uint64_t{1} << 24);
#else
  return mode;
#endif
}

// Flushes for the life of the object; the caller's mode comes back whatever happens.
class FlushDenormals {
 public:
  FlushDenormals() : saved_(read_float_mode()) { write_float_mode(flushing(saved_)); }
  ~FlushDenormals() { write_float_mode(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
  uint64_t saved() const { return saved_; }

 private:
  uint64_t saved_;
};

// The caller's own mode again, while the host runs something of its own.
class CallerFloatMode {
 public:
  explicit CallerFloatMode(const FlushDenormals& flush) : kernel_(read_float_mode()) {
    write_float_mode(flush.saved());
  }
  ~CallerFloatMode() { write_float_mode(kernel_); }
  CallerFloatMode(const CallerFloatMode&) = delete;
  CallerFloatMode& operator=(const CallerFloatMode&) = delete;

 private:
  uint64_t kernel_;
};

}  // namespace densekit
