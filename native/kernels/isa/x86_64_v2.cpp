#define DENSEKIT_ISA isa_v2
#define DENSEKIT_ISA_NAME "x86-64-v2"
#define DENSEKIT_VECTOR_BYTES 16
#include "kernels/generic/kernels.inl"
