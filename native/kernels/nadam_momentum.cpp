#include <cmath>

#include "densekit/kernels.hpp"

namespace densekit {

double nadam_momentum(double beta_1, int64_t step) { return beta_1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step))); }

}  // namespace densekit
