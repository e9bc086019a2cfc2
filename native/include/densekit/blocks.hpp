// What products are cut into. kernels/machine.cpp works it out once from the machine the process runs on; whatever stands here,
// the bits are the same.
#pragma once
#include <cstddef>

namespace densekit {

struct Blocks {
  // Bytes. What these numbers are for a core with 1 MiB of L2 is written here; machine.cpp has the formulas.
  std::ptrdiff_t panel = 256 << 10;      // a packed block of k x panel
  std::ptrdiff_t direct = 1 << 20;       // an operand of up to this size is read where it lies
  std::ptrdiff_t broadcast = 4 << 20;    // a broadcast operand of more comes from far away for each panel anew
  std::ptrdiff_t prefetch_c = 1 << 19;   // a C of more lies in no near cache
  std::ptrdiff_t near_panel = 16 << 10;  // a panel of k x 4 vectors of up to this size lies in L1
  int fma_ports = 1;                     // vector multiply-adds that can begin in a cycle
  int tile_rows = 0, tile_vectors = 0;   // of the register tile at most; 0: by the number of ports
};

// Set while the program is loaded; tests change it between two products.
// Hidden: read without a detour over the table of what other libraries may override.
#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((visibility("hidden")))
#endif
extern Blocks blocks;

}  // namespace densekit
