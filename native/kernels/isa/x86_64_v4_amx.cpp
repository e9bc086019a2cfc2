// x86-64-v4 with AVX512-BF16 and AMX: the products by tiles alone, in bfloat16 and of int8.
#define DENSEKIT_ISA isa_v4_amx
#define DENSEKIT_VECTOR_BYTES 64
#define DENSEKIT_TILES
#include "kernels/generic/kernels.inl"
