// What the code needs to know of the machine it runs on.
#pragma once
#include <string>

#include "densekit/kernels.hpp"

namespace densekit {

struct Machine {
  std::string cpu;
  int cores = 1;                    // usable by this process
  index_t l1d = 0, l2 = 0, l3 = 0;  // bytes
};

const Machine& machine();

}  // namespace densekit
