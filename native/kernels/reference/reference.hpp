// The reference kernels: every function of the Kernels table as scalar loops in double, one obvious line per formula.
// They are the oracle of the native tests and the implementation of last resort (DENSEKIT_ISA=reference).
#pragma once
#include "densekit/kernels.hpp"

namespace densekit::reference {

extern const Kernels<float> table_f32;
extern const Kernels<double> table_f64;

}  // namespace densekit::reference
