// Platforms other than x86-64: the same code on 16-byte vectors (NEON on aarch64, whatever the compiler has elsewhere).
#define DENSEKIT_ISA isa_baseline
#define DENSEKIT_ISA_NAME DENSEKIT_BASELINE_NAME
#define DENSEKIT_VECTOR_BYTES 16
#include "kernels/generic/kernels.inl"
