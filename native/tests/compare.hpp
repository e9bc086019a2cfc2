// What tests of kernels share: arrays of random numbers, the sizes that are tried, the comparison with a reference kernel.
#pragma once
#include "check.hpp"
#include "kernels/reference/reference.hpp"

namespace check {

using namespace densekit;

inline const Kernels<double>& reference_kernels = reference::table_f64;
inline const index_t kSizes[] = {0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100, 257};
struct Shape {
  index_t rows, width;
};
inline const Shape kShapes[] = {{0, 3}, {3, 1},   {1, 1},  {32, 1}, {37, 1}, {5, 2},
                                {4, 3}, {32, 10}, {3, 16}, {7, 17}, {2, 33}, {3, 130}};

template <class T>
Array<T> random_array(Random& random, index_t n, double low, double high, index_t shift = 1) {
  Array<T> a(n, shift);
  for (index_t i = 0; i < n; ++i) a[i] = T(random.uniform(low, high));
  return a;
}
template <class T>
Array<double> widen(const Array<T>& a) {
  Array<double> w(a.size());
  for (index_t i = 0; i < a.size(); ++i) w[i] = a[i];
  return w;
}

// |got - expected| <= ulps * eps * (|expected| + scale): `scale` is the size of the intermediates.
template <class T>
bool agree(const Array<T>& got, const Array<double>& expected, double ulps, double scale, const char* what) {
  if (got.size() != expected.size()) return false;
  for (index_t i = 0; i < got.size(); ++i) {
    if (near(got[i], expected[i], ulps * kEps<T> * (std::fabs(expected[i]) + scale))) continue;
    if (what) std::printf("%s: element %td is %.17g, expected %.17g\n", what, i, double(got[i]), expected[i]);
    return false;
  }
  return true;
}

}  // namespace check
