// The products by tiles with tiles in software, for the tests.
#define DENSEKIT_ISA isa_software_tiles
#if defined(__AVX2__)
#define DENSEKIT_VECTOR_BYTES 32
#else
#define DENSEKIT_VECTOR_BYTES 16
#endif
#define DENSEKIT_TILES
#define DENSEKIT_SOFTWARE_TILES
#include "kernels/generic/kernels.inl"
