// x86-64-v4 with AVX512-VNNI: the products of int8 alone, everything else is x86-64-v4's.
#define DENSEKIT_ISA isa_v4_vnni
#define DENSEKIT_VECTOR_BYTES 64
#define DENSEKIT_INT8_ALONE
#include "kernels/generic/kernels.inl"
