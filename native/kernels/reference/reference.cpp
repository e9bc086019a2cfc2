// The reference kernel of every function of the table, in plain C++: no vectors, no blocks.
#include "kernels/reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace densekit::reference {
namespace {

constexpr double kSeluScale = 1.0507009873554804934193349852946;
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;

double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }  // NaN stays NaN, zero stays zero
double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double softplus(double x) { return (x > 0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
// Derivative of min(max(x, low), high); a tie is shared between the two sides.
double clip_slope(double x, double low, double high) {
  if (x == low || x == high) return 0.5;
  return x > low && x < high ? 1.0 : 0.0;
}

#include "kernels/reference/products.inl"
//
#include "kernels/reference/activations.inl"
//
#include "kernels/reference/losses.inl"
//
#include "kernels/reference/elementwise.inl"
//
#include "kernels/reference/training.inl"
//
#include "kernels/reference/array_ops.inl"

// ---- Conversion

double half_to_double(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double v = exponent == 31  ? (fraction ? std::numeric_limits<double>::quiet_NaN() : INFINITY)
             : exponent == 0 ? std::ldexp(fraction, -24)
                             : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -v : v;
}

template <class S, class T>
void convert_from(index_t n, const void* src, T* dst) {
  for (index_t i = 0; i < n; ++i) {
    S s;
    std::memcpy(&s, static_cast<const char*>(src) + size_t(i) * sizeof(S), sizeof(S));
    dst[i] = T(s);
  }
}

template <class T>
void convert(index_t n, char type, const void* src, T* dst) {
  switch (type) {
    case '?':
      for (index_t i = 0; i < n; ++i) dst[i] = static_cast<const unsigned char*>(src)[i] ? T(1) : T(0);
      return;
    case 'b': return convert_from<signed char>(n, src, dst);
    case 'B': return convert_from<unsigned char>(n, src, dst);
    case 'h': return convert_from<short>(n, src, dst);
    case 'H': return convert_from<unsigned short>(n, src, dst);
    case 'i': return convert_from<int>(n, src, dst);
    case 'I': return convert_from<unsigned>(n, src, dst);
    case 'l': return convert_from<long>(n, src, dst);
    case 'L': return convert_from<unsigned long>(n, src, dst);
    case 'q': return convert_from<long long>(n, src, dst);
    case 'Q': return convert_from<unsigned long long>(n, src, dst);
    case 'f': return convert_from<float>(n, src, dst);
    case 'd': return convert_from<double>(n, src, dst);
    case 'e':
      for (index_t i = 0; i < n; ++i) {
        uint16_t bits;
        std::memcpy(&bits, static_cast<const char*>(src) + 2 * i, 2);
        dst[i] = T(half_to_double(bits));
      }
      return;
    default: return;
  }
}

template <class T>
constexpr Kernels<T> make_table() {
  Kernels<T> t{};
  t.isa = "reference";
  t.lanes = 1;
  t.gemm_scratch = gemm_scratch<T>;
  t.gemm = gemm<T>;
  if constexpr (sizeof(T) == 4) {
    t.bfloat16_scratch = bfloat16_scratch;
    t.bfloat16_gemm = bfloat16_gemm;
    t.bfloat16_packed = bfloat16_packed;
    t.bfloat16_pack = bfloat16_pack;
    t.bfloat16_round = bfloat16_round;
    t.int8_words = int8_words;
    t.int8_quantize = int8_quantize;
    t.int8_packed = int8_packed;
    t.int8_pack = int8_pack;
    t.int8_gemm = int8_gemm;
    t.float16_round = float16_round;
  }
  t.activate = activate<T>;
  t.activate_backward = activate_backward<T>;
  t.loss = loss<T>;
  t.loss_from_logits = loss_from_logits<T>;
  t.dropout = dropout<T>;
  t.affine = affine<T>;
  t.add = add<T>;
  t.subtract = subtract<T>;
  t.multiply = multiply<T>;
  t.scale = scale<T>;
  t.maximum = maximum<T>;
  t.minimum = minimum<T>;
  t.add_scaled = add_scaled<T>;
  t.select_backward = select_backward<T>;
  t.l1l2_backward = l1l2_backward<T>;
  t.elementwise = elementwise<T>;
  t.elementwise_backward = elementwise_backward<T>;
  t.reduce = reduce<T>;
  t.reduce_backward = reduce_backward<T>;
  t.normalize = normalize<T>;
  t.normalize_backward = normalize_backward<T>;
  t.normalize_gradient = normalize_gradient<T>;
  t.gaussian = gaussian<T>;
  t.column_dots = column_dots<T>;
  t.column_sums = column_sums<T>;
  t.sum = sum<T>;
  t.sum_of_squares = sum_of_squares<T>;
  t.sum_of_magnitudes = sum_of_magnitudes<T>;
  t.update = update<T>;
  t.constrain = constrain<T>;
  t.orthogonal = orthogonal<T>;
  t.adafactor = adafactor<T>;
  t.convert = convert<T>;
  return t;
}

}  // namespace

const Kernels<float> table_f32 = make_table<float>();
const Kernels<double> table_f64 = make_table<double>();

}  // namespace densekit::reference
