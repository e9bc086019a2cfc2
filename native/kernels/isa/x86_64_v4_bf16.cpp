// x86-64-v4 with AVX512-BF16: the products in bfloat16 alone, everything else is x86-64-v4's.
#define DENSEKIT_ISA isa_v4_bf16
#define DENSEKIT_VECTOR_BYTES 64
#define DENSEKIT_BFLOAT16_ALONE
#include "kernels/generic/kernels.inl"
