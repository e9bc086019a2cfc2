// What the code needs to know of the machine it runs on, found once. The one place where it is found.
#pragma once
#include <string>

#include "densekit/blocks.hpp"
#include "densekit/kernels.hpp"

namespace densekit {

struct Machine {
  index_t l1d = 0, l2 = 0, l3 = 0;  // bytes: of a core, of a core, shared
  int fma_ports = 1;                // multiply-adds of the widest vectors that a core can begin in a cycle
  int tile_rows = 0, tile_vectors = 0;
};

// DENSEKIT_MACHINE="fma_ports=2,l2=2097152" overrides what is found, for tests and measurements.
const Machine& machine();
const char* machine_error();  // one sentence, when DENSEKIT_MACHINE is not understood; else null
std::string cpu_name();

Blocks blocks_of(const Machine& m);

}  // namespace densekit
