// Greatest errors of the vector functions in ulp, against long double, for the instruction set this file is compiled
// for (CMake builds it once each). Float: every 4097th bit pattern and the neighbourhood of the awkward points.
#include "check.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

using namespace check;
using densekit::ActivationKind;
using densekit::ActivationSpec;

namespace {

template <int... I>
struct Ints {};
template <int N, int... I>
struct CountUp : CountUp<N - 1, N - 1, I...> {};
template <int... I>
struct CountUp<0, I...> {
  using Type = Ints<I...>;
};
template <int N>
using FirstInts = typename CountUp<N>::Type;

namespace kernels_under_test {
#include "kernels/generic/vector.inl"
//
#include "kernels/generic/math.inl"
}  // namespace kernels_under_test

namespace k = kernels_under_test;

// Distance in units of the last place of T at the exact value; subnormal results count in the smallest subnormal.
template <class T>
double ulps(T got, long double exact) {
  const T rounded = T(exact);
  if (std::isnan(got) || std::isnan(rounded)) return std::isnan(got) && std::isnan(rounded) ? 0 : 1e9;
  if (got == rounded) return 0;
  if (std::isinf(got) || std::isinf(rounded)) {
    // One step from overflow may fall either way.
    const T largest = sizeof(T) == 4 ? T(3.4028234663852886e38) : T(1.7976931348623157e308);
    return std::fabs(got) >= largest && std::fabs(rounded) >= largest && (got > 0) == (rounded > 0) ? 1 : 1e9;
  }
  int exponent;
  std::frexp(rounded, &exponent);
  const int digits = sizeof(T) == 4 ? 24 : 53, least = sizeof(T) == 4 ? -149 : -1074;
  const int place = exponent - digits < least ? least : exponent - digits;
  return double(std::fabs(static_cast<long double>(got) - exact) / std::ldexp(1.0L, place));
}

template <class T>
std::vector<T> sweep() {
  std::vector<T> x;
  if constexpr (sizeof(T) == 4) {
    for (uint64_t bits = 0; bits < 0x100000000u; bits += 0x1001u * uint64_t(thinning())) {
      const uint32_t b = uint32_t(bits);
      float f;
      std::memcpy(&f, &b, 4);
      x.push_back(f);
    }
  }
  Random random;
  for (double size : {1e-300, 1e-40, 1e-30, 1e-10, 1e-4, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 90.0, 110.0, 700.0,
                      760.0, 1e10, 1e300})
    for (int i = 0; i < 4000 / thinning(); ++i) x.push_back(T(random.uniform(-size, size)));
  for (double point : {0.0, -1.0, 1.0, 0.5, 0.70710678, 1.41421356, -0.34657359, 0.34657359, 0.69314718, 88.72283,
                       -87.33654, -103.97, 709.78, -708.4, -745.1})
    for (int i = -300; i < 300; i += thinning()) {
      T v = T(point);
      for (int step = 0; step < std::abs(i); ++step) v = std::nextafter(v, i < 0 ? T(-INFINITY) : T(INFINITY));
      x.push_back(v);
    }
  for (double v : {double(INFINITY), -double(INFINITY), double(NAN), -0.0}) x.push_back(T(v));
  return x;
}

template <class T, class F, class G>
double greatest(const std::vector<T>& x, F vector_function, G exact, const char* name) {
  constexpr int lanes = k::kLanes<T>;
  double worst = 0;
  T where = 0;
  for (size_t i = 0; i < x.size(); i += lanes) {
    T in[lanes] = {}, out[lanes];
    for (int j = 0; j < lanes && i + j < x.size(); ++j) in[j] = x[i + j];
    k::store(out, vector_function(k::load(in)));
    for (int j = 0; j < lanes && i + j < x.size(); ++j) {
      const double e = ulps(out[j], exact(static_cast<long double>(in[j])));
      if (e > worst) worst = e, where = in[j];
    }
  }
  std::printf("     %-8s %-6s %6.2f ulp at %.9g\n", name, sizeof(T) == 4 ? "float" : "double", worst, double(where));
  return worst;
}

template <class T>
void check_all(double limit, double loose) {
  const std::vector<T> x = sweep<T>();
  using V = k::Vec<T>;
  using L = long double;
#define DENSEKIT_GREATEST(name, exact, most) \
  CHECK(greatest<T>(x, [](V v) { return k::name<T>(v); }, [](L v) -> L { return exact; }, #name) <= most)
  DENSEKIT_GREATEST(exp, std::exp(v), limit);
  DENSEKIT_GREATEST(log, std::log(v), limit);
  DENSEKIT_GREATEST(log1p, std::log1p(v), limit);
  DENSEKIT_GREATEST(expm1, std::expm1(v), limit);
  DENSEKIT_GREATEST(tanh, std::tanh(v), loose);
  DENSEKIT_GREATEST(sigmoid, v < 0 ? std::exp(v) / (1 + std::exp(v)) : 1 / (1 + std::exp(-v)), loose);
  DENSEKIT_GREATEST(erf, std::erf(v), loose);
  DENSEKIT_GREATEST(softplus, (v > 0 ? v : 0) + std::log1p(std::exp(-std::fabs(v))), loose);
#undef DENSEKIT_GREATEST
  std::vector<T> positive;
  for (T v : x) positive.push_back(std::fabs(v));
  CHECK(greatest<T>(
            positive, [](V v) { return k::erfc_positive<T>(v); }, [](L v) -> L { return std::erfc(v); }, "erfc") <= 8);
}

bool supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace

TEST(vector_functions_float) { check_all<float>(3, 4); }
TEST(vector_functions_double) { check_all<double>(4, 5); }

TEST(the_measure_counts) {
  CHECK(ulps(1.0f, 1.0L) == 0);
  CHECK(ulps(1.0f + 0x1p-22f, 1.0L) == 2);
  CHECK(ulps(NAN, 1.0L) > 1e6);
  CHECK(ulps(1.0f, static_cast<long double>(NAN)) > 1e6);
  CHECK(ulps(0.0f, 1e-40L) > 10);
}

int main() {
  if (!supported()) return std::printf("skipped: this CPU lacks the instruction set\n"), 0;
  return check::run_all();
}
