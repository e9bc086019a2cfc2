#include <cmath>

#include "densekit/kernels.hpp"

namespace densekit {

double nadam_momentum(double beta_1, int64_t step) {
  return beta_1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step)));
}

double power(double base, int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base) {
    if (exponent & 1) result *= base;
  }
  return result;
}

}  // namespace densekit
