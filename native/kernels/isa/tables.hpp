// The tables each instruction set's translation unit defines. Same generic code, one namespace each.
#pragma once
#include "densekit/kernels.hpp"

#define DENSEKIT_DECLARE_TABLES(name)     \
  namespace densekit::name {              \
  extern const Kernels<float> table_f32;  \
  extern const Kernels<double> table_f64; \
  }

DENSEKIT_DECLARE_TABLES(isa_v4)
DENSEKIT_DECLARE_TABLES(isa_v3)
DENSEKIT_DECLARE_TABLES(isa_v2)
DENSEKIT_DECLARE_TABLES(isa_baseline)

namespace densekit::isa_v4_bf16 {
extern const Kernels<float> table_f32;  // the products in bfloat16 alone
}

namespace densekit::isa_v4_vnni {
extern const Kernels<float> table_f32;  // the products of int8 alone
}

namespace densekit::isa_v4_amx {
extern const Kernels<float> table_f32;  // the products in bfloat16 and of int8 alone
}

namespace densekit::isa_software_tiles {
extern const Kernels<float> table_f32;  // the same, in builds with tests
}

#undef DENSEKIT_DECLARE_TABLES
