#define DENSEKIT_ISA isa_v3
#define DENSEKIT_ISA_NAME "x86-64-v3"
#define DENSEKIT_VECTOR_BYTES 32
#include "kernels/generic/kernels.inl"
