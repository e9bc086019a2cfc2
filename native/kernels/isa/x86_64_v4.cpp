#define DENSEKIT_ISA isa_v4
#define DENSEKIT_ISA_NAME "x86-64-v4"
#define DENSEKIT_VECTOR_BYTES 64
#include "kernels/generic/kernels.inl"
