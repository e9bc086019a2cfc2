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

// ---- GEMM

template <class T>
index_t gemm_scratch(const Gemm<T>&) {
  return 0;
}

template <class T>
void gemm(const Gemm<T>& g, T*) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      T& c = g.c[i * g.c_row + j];
      T sum = g.accumulate ? c : T(0);  // in T, not double: the chain is the contract
      for (index_t p = 0; p < g.k; ++p)
        sum = std::fma(g.a[i * g.a_row + p * g.a_col], g.b[g.b_step(p) + j * g.b_col], sum);
      if (g.bias) sum += g.bias[j];
      if (g.relu && sum < 0) sum = 0;
      c = sum;
    }
  }
}

// ---- Products in bfloat16: gemm on rounded operands. A packed B: [panel][pair of rows][column], the earlier row high.

float rounded(float x) {
  if (std::isnan(x)) return x;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t low = bits & 0xFFFF;
  bits -= low;
  if (low > 0x8000 || (low == 0x8000 && (bits & 0x10000) != 0)) bits += 0x10000;  // to nearest, a tie to even
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

index_t up_to_16(index_t n) { return (n + 15) / 16 * 16; }

index_t bfloat16_packed(index_t k, index_t n) { return (k + 1) / 2 * up_to_16(n); }

// Where the word of rows p, p + 1 and column j stands.
index_t bfloat16_place(index_t k, index_t n, index_t p, index_t j) {
  const index_t panel = j / kBfloat16Panel * kBfloat16Panel, width = std::min(kBfloat16Panel, up_to_16(n - panel));
  return panel * ((k + 1) / 2) + p / 2 * width + (j - panel);
}

void bfloat16_pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                   index_t first_n, index_t last_n, uint32_t* packed) {
  for (index_t p = first_k; p < last_k; p += 2) {
    for (index_t j = first_n; j < (last_n == n ? up_to_16(n) : last_n); ++j) {
      uint32_t halves[2] = {0, 0};
      for (index_t i = 0; i < 2 && p + i < last_k && j < n; ++i) {
        const float value = rounded(b[(p + i - first_k) * b_row + (j - first_n) * b_col]);
        std::memcpy(&halves[i], &value, sizeof value);
      }
      packed[bfloat16_place(k, n, p, j)] = halves[0] | halves[1] >> 16;
    }
  }
}

float bfloat16_value(const uint32_t* packed, index_t k, index_t n, index_t p, index_t j) {
  const uint32_t word = packed[bfloat16_place(k, n, p, j)], bits = p % 2 == 0 ? word & 0xFFFF0000u : word << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// ---- Products of int8. A row of A: its bytes. A packed B: as it is.

index_t int8_words(index_t k) { return (k + 3) / 4; }
index_t int8_packed(index_t k, index_t n) { return k * n; }
void int8_pack(index_t k, index_t n, const int8_t* b, uint8_t* packed) { std::memcpy(packed, b, std::size_t(k * n)); }

void int8_quantize(index_t k, const float* x, float epsilon, float low, float high, uint32_t* words, float* scale) {
  auto* bytes = reinterpret_cast<int8_t*>(words);
  float most = 0;
  bool finite = true;
  for (index_t p = 0; p < k; ++p) {
    most = std::max(most, std::fabs(x[p]));
    finite = finite && std::isfinite(x[p]);
  }
  *scale = finite ? high / (most + epsilon) : NAN;
  for (index_t p = 0; p < k; ++p)
    bytes[p] = finite ? int8_t(std::nearbyint(std::min(std::max(x[p] * *scale, low), high))) : int8_t(0);
}

void int8_gemm(const Int8Gemm<float>& g) {
  for (index_t i = 0; i < g.m; ++i) {
    const auto* a = reinterpret_cast<const int8_t*>(g.a + i * int8_words(g.k));
    for (index_t j = 0; j < g.n; ++j) {
      int32_t sum = 0;
      for (index_t p = 0; p < g.k; ++p) sum += int32_t(a[p]) * int32_t(static_cast<int8_t>(g.b[p * g.n + j]));
      float y = float(sum) / (g.b_scale[j] * g.a_scale[i]);
      if (g.bias) y += g.bias[j];
      g.c[i * g.c_row + j] = y;
    }
  }
}

void bfloat16_round(index_t n, const float* x, float* y) {
  for (index_t i = 0; i < n; ++i) y[i] = rounded(x[i]);
}

void float16_round(index_t n, const float* x, float* y) {
  for (index_t i = 0; i < n; ++i) {
    int exponent = 0;
    std::frexp(x[i], &exponent);  // |x| = f 2^exponent, f in [0.5, 1): 11 bits of it, none below 2^-24
    const double unit = std::ldexp(1.0, std::max(exponent - 11, -24)), near = std::nearbyint(x[i] / unit) * unit;
    y[i] = std::isfinite(x[i]) ? float(std::fabs(near) > 65504 ? std::copysign(INFINITY, near) : near) : x[i];
  }
}

index_t bfloat16_scratch(const Gemm<float>&, bool) { return 0; }

void bfloat16_gemm(const Gemm<float>& g, const uint32_t* packed_b, float*) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      float& c = g.c[i * g.c_row + j];
      float sum = g.accumulate ? c : 0.0f;
      for (index_t p = 0; p < g.k; ++p) {
        const float b = packed_b ? bfloat16_value(packed_b, g.k, g.n, p, j) : rounded(g.b[p * g.b_row + j * g.b_col]);
        sum = std::fma(rounded(g.a[i * g.a_row + p * g.a_col]), b, sum);
      }
      sum = rounded(sum);
      if (g.bias) sum = rounded(sum + rounded(g.bias[j]));
      if (g.relu && sum < 0) sum = 0;
      c = sum;
    }
  }
}

// ---- Activations

double relu(const double* p, double x) {
  const double slope = p[0], highest = p[1], threshold = p[2];
  double y = x > threshold || x != x ? x : 0.0;
  if (y > highest) y = highest;
  if (threshold != 0 && y < 0 && highest < INFINITY) y = 0;  // the clip of Keras has 0 as its lower side
  if (slope != 0 && x < threshold) y -= slope * (threshold - x);
  return y;
}

double relu_slope(const double* p, double x) {
  const double slope = p[0], highest = p[1], threshold = p[2];
  const bool bounded = highest < INFINITY;
  if (slope != 0 && !bounded && threshold == 0) return x >= 0 ? 1.0 : slope;
  double d = x > threshold ? 1.0 : 0.0;
  if (bounded && x > threshold)  // Keras' relu6 path has slope 0 at both ends, any other maximum shares the tie
    d = threshold == 0 && highest == 6 ? x < 6 : clip_slope(x, 0, highest);
  if (slope != 0 && x < threshold) d += slope;
  return d;
}

double activation(const ActivationSpec& s, double x) {
  const double* p = s.p;
  switch (s.kind) {
    case ActivationKind::relu: return relu(p, x);
    case ActivationKind::elu: return x > 0 ? x : p[0] * std::expm1(x);
    case ActivationKind::celu: return x > 0 ? x : p[0] * std::expm1(x / p[0]);
    case ActivationKind::selu: return kSeluScale * (x > 0 ? x : kSeluAlpha * std::expm1(x));
    case ActivationKind::gelu:
      if (p[0] != 0) return 0.5 * x * (1 + std::tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
      return 0.5 * x * std::erfc(-x * kSqrtHalf);
    case ActivationKind::silu: return x * sigmoid(x);
    case ActivationKind::hard_silu: return x * clip(x + 3, 0, 6) / 6;
    case ActivationKind::sigmoid: return sigmoid(x);
    case ActivationKind::hard_sigmoid: return clip(x + 3, 0, 6) / 6;
    case ActivationKind::tanh: return std::tanh(x);
    case ActivationKind::hard_tanh: return clip(x, -1, 1);
    case ActivationKind::softplus: return softplus(x);
    case ActivationKind::softsign: return x / (1 + std::fabs(x));
    case ActivationKind::exponential: return std::exp(x);
    case ActivationKind::mish: return x * std::tanh(softplus(x));
    case ActivationKind::log_sigmoid: return -softplus(-x);
    case ActivationKind::squareplus: return 0.5 * (x + std::sqrt(x * x + p[0]));
    case ActivationKind::hard_shrink: return std::fabs(x) <= p[0] ? 0 : x;
    case ActivationKind::soft_shrink: return x > p[0] ? x - p[0] : x < -p[0] ? x + p[0] : x != x ? x : 0;
    case ActivationKind::tanh_shrink: return x - std::tanh(x);
    case ActivationKind::threshold: return x <= p[0] ? p[1] : x;
    case ActivationKind::sparse_plus: return x <= -1 ? 0 : x >= 1 ? x : (x + 1) * (x + 1) / 4;
    case ActivationKind::sparse_sigmoid: return 0.5 * clip(x + 1, 0, 2);
    case ActivationKind::log: return std::log(x);
    case ActivationKind::log1p: return std::log1p(x);
    case ActivationKind::log2: return std::log2(x);
    case ActivationKind::log10: return std::log10(x);
    case ActivationKind::expm1: return std::expm1(x);
    case ActivationKind::exp2: return std::exp2(x);
    case ActivationKind::sqrt: return std::sqrt(x);
    case ActivationKind::rsqrt: return 1 / std::sqrt(x);
    case ActivationKind::square: return x * x;
    case ActivationKind::reciprocal: return 1 / x;
    case ActivationKind::negative: return -x;
    case ActivationKind::absolute: return std::fabs(x);
    case ActivationKind::sign: return sign(x);
    case ActivationKind::sin: return std::sin(x);
    case ActivationKind::cos: return std::cos(x);
    case ActivationKind::tan: return std::tan(x);
    case ActivationKind::sinh: return std::sinh(x);
    case ActivationKind::cosh: return std::cosh(x);
    case ActivationKind::arcsin: return std::asin(x);
    case ActivationKind::arccos: return std::acos(x);
    case ActivationKind::arctan: return std::atan(x);
    case ActivationKind::arctanh: return std::atanh(x);
    case ActivationKind::erf: return std::erf(x);
    case ActivationKind::erfc: return std::erfc(x);
    case ActivationKind::floor: return std::floor(x);
    case ActivationKind::ceil: return std::ceil(x);
    case ActivationKind::trunc: return std::trunc(x);
    case ActivationKind::round: return std::nearbyint(x);
    case ActivationKind::logical_not: return x == 0;
    case ActivationKind::isnan: return std::isnan(x);
    case ActivationKind::isinf: return std::isinf(x);
    case ActivationKind::isfinite: return std::isfinite(x);
    case ActivationKind::stop_gradient:
    case ActivationKind::linear:
    case ActivationKind::softmax:
    case ActivationKind::log_softmax:
    case ActivationKind::sparsemax:
    case ActivationKind::glu:
    case ActivationKind::count: break;
  }
  return x;
}

double activation_slope(const ActivationSpec& s, double x) {
  const double* p = s.p;
  switch (s.kind) {
    case ActivationKind::relu: return relu_slope(p, x);
    case ActivationKind::elu: return x > 0 ? 1 : p[0] * std::exp(x);
    case ActivationKind::celu: return x > 0 ? 1 : std::exp(x / p[0]);
    case ActivationKind::selu: return kSeluScale * (x > 0 ? 1 : kSeluAlpha * std::exp(x));
    case ActivationKind::gelu: {
      if (p[0] == 0) return 0.5 * std::erfc(-x * kSqrtHalf) + x * kInverseSqrtTwoPi * std::exp(-0.5 * x * x);
      const double t = std::tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kSqrtTwoOverPi * (1 + 3 * 0.044715 * x * x);
    }
    case ActivationKind::silu: return sigmoid(x) * (1 + x * sigmoid(-x));
    case ActivationKind::hard_silu: return clip(x + 3, 0, 6) / 6 + (x > -3 && x < 3 ? x / 6 : 0);
    case ActivationKind::sigmoid: return sigmoid(x) * sigmoid(-x);
    case ActivationKind::hard_sigmoid: return x > -3 && x < 3 ? 1.0 / 6 : 0;
    case ActivationKind::tanh: return 1 - std::tanh(x) * std::tanh(x);
    case ActivationKind::hard_tanh: return x > 1 || x < -1 ? 0 : 1;
    case ActivationKind::softplus: return sigmoid(x);
    case ActivationKind::softsign: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case ActivationKind::exponential: return std::exp(x);
    case ActivationKind::mish: {
      const double t = std::tanh(softplus(x));
      return t + x * (1 - t * t) * sigmoid(x);
    }
    case ActivationKind::log_sigmoid: return sigmoid(-x);
    case ActivationKind::squareplus: return 0.5 * (1 + x / std::sqrt(x * x + p[0]));
    case ActivationKind::hard_shrink: return std::fabs(x) > p[0] ? 1 : 0;
    case ActivationKind::soft_shrink: return x > p[0] || x < -p[0] ? 1 : 0;
    case ActivationKind::tanh_shrink: return std::tanh(x) * std::tanh(x);
    case ActivationKind::threshold: return x > p[0] ? 1 : 0;
    case ActivationKind::sparse_plus: return x <= -1 ? 0 : x >= 1 ? 1 : (x + 1) / 2;
    case ActivationKind::sparse_sigmoid: return 0.5 * clip_slope(x + 1, 0, 2);
    case ActivationKind::log: return 1 / x;
    case ActivationKind::log1p: return 1 / (1 + x);
    case ActivationKind::log2: return 1 / (x * std::log(2.0));
    case ActivationKind::log10: return 1 / (x * std::log(10.0));
    case ActivationKind::expm1: return std::exp(x);
    case ActivationKind::exp2: return std::exp2(x) * std::log(2.0);
    case ActivationKind::sqrt: return 0.5 / std::sqrt(x);
    case ActivationKind::rsqrt: return -0.5 / (x * std::sqrt(x));
    case ActivationKind::square: return 2 * x;
    case ActivationKind::reciprocal: return -1 / (x * x);
    case ActivationKind::negative: return -1;
    case ActivationKind::absolute: return sign(x);
    case ActivationKind::sin: return std::cos(x);
    case ActivationKind::cos: return -std::sin(x);
    case ActivationKind::tan: return 1 + std::tan(x) * std::tan(x);
    case ActivationKind::sinh: return std::cosh(x);
    case ActivationKind::cosh: return std::sinh(x);
    case ActivationKind::arcsin: return 1 / std::sqrt((1 - x) * (1 + x));
    case ActivationKind::arccos: return -1 / std::sqrt((1 - x) * (1 + x));
    case ActivationKind::arctan: return 1 / (1 + x * x);
    case ActivationKind::arctanh: return 1 / ((1 - x) * (1 + x));
    case ActivationKind::erf: return 2 / std::sqrt(M_PI) * std::exp(-x * x);
    case ActivationKind::erfc: return -2 / std::sqrt(M_PI) * std::exp(-x * x);
    case ActivationKind::sign:
    case ActivationKind::floor:
    case ActivationKind::ceil:
    case ActivationKind::trunc:
    case ActivationKind::round:
    case ActivationKind::stop_gradient:
    case ActivationKind::logical_not:
    case ActivationKind::isnan:
    case ActivationKind::isinf:
    case ActivationKind::isfinite: return 0;
    case ActivationKind::linear:
    case ActivationKind::softmax:
    case ActivationKind::log_softmax:
    case ActivationKind::sparsemax:
    case ActivationKind::glu:
    case ActivationKind::count: break;
  }
  return 1;
}

template <class T>
double log_sum_exp(index_t width, const T* z) {
  double top = -INFINITY, sum = 0;
  for (index_t j = 0; j < width; ++j)
    if (z[j] > top || z[j] != z[j]) top = z[j];
  for (index_t j = 0; j < width; ++j) sum += std::exp(double(z[j]) - top);
  return top + std::log(sum);
}

// Fixed point of tau = (sum of the z above tau - 1) / count: the support only shrinks, so it ends.
template <class T>
double sparsemax_threshold(index_t width, const T* z) {
  double tau = -INFINITY;
  for (index_t count = -1;;) {
    double sum = 0;
    index_t above = 0;
    for (index_t j = 0; j < width; ++j)
      if (!(z[j] <= tau)) sum += z[j], ++above;
    if (above == count) return tau;
    count = above;
    tau = (sum - 1) / double(above);
    if (tau != tau) return tau;
  }
}

template <class T>
void activate(const ActivationSpec& s, index_t rows, index_t width, const T* z, T* y) {
  for (index_t r = 0; r < rows; ++r) {
    const T* zr = z + r * width;
    if (s.kind == ActivationKind::glu) {
      for (index_t j = 0; j < width / 2; ++j) y[r * (width / 2) + j] = T(zr[j] * sigmoid(zr[width / 2 + j]));
      continue;
    }
    T* yr = y + r * width;
    if (s.kind == ActivationKind::softmax || s.kind == ActivationKind::log_softmax) {
      const double norm = log_sum_exp(width, zr);
      for (index_t j = 0; j < width; ++j)
        yr[j] = T(s.kind == ActivationKind::softmax ? std::exp(zr[j] - norm) : zr[j] - norm);
    } else if (s.kind == ActivationKind::sparsemax) {
      const double tau = sparsemax_threshold(width, zr);
      for (index_t j = 0; j < width; ++j) yr[j] = T(zr[j] - tau < 0 ? 0 : zr[j] - tau);
    } else {
      for (index_t j = 0; j < width; ++j) yr[j] = T(activation(s, zr[j]));
    }
  }
}

// The slope in terms of the output, for the kinds that keep no input.
double slope_from_output(const ActivationSpec& s, double y) {
  switch (s.kind) {
    case ActivationKind::relu: return y > 0 ? 1 : 0;  // the plain one
    case ActivationKind::sigmoid: return y * (1 - y);
    case ActivationKind::tanh: return 1 - y * y;
    case ActivationKind::exponential: return y;
    default: return 1;
  }
}

bool is_plain_relu(const ActivationSpec& s) {
  return s.kind == ActivationKind::relu && s.p[0] == 0 && s.p[1] == INFINITY && s.p[2] == 0;
}

template <class T>
void activate_backward(const ActivationSpec& s, index_t rows, index_t width, const T* z, const T* y, const T* dy,
                       T* dz) {
  const bool from_output = s.kind == ActivationKind::sigmoid || s.kind == ActivationKind::tanh ||
                           s.kind == ActivationKind::exponential || (is_plain_relu(s) && y);
  for (index_t r = 0; r < rows; ++r) {
    const index_t at = r * width;
    if (s.kind == ActivationKind::linear) {
      for (index_t j = at; j < at + width; ++j) dz[j] = dy[j];
    } else if (s.kind == ActivationKind::glu) {
      const index_t half = width / 2;
      for (index_t j = 0; j < half; ++j) {
        const double d = dy[r * half + j], gate = sigmoid(z[at + half + j]);
        dz[at + half + j] = T(d * z[at + j] * gate * (1 - gate));
        dz[at + j] = T(d * gate);
      }
    } else if (s.kind == ActivationKind::softmax) {
      double dot = 0;
      for (index_t j = 0; j < width; ++j) dot += double(dy[at + j]) * y[at + j];
      for (index_t j = 0; j < width; ++j) dz[at + j] = T(y[at + j] * (dy[at + j] - dot));
    } else if (s.kind == ActivationKind::log_softmax) {
      double sum = 0;
      for (index_t j = 0; j < width; ++j) sum += dy[at + j];
      for (index_t j = 0; j < width; ++j) dz[at + j] = T(dy[at + j] - std::exp(double(y[at + j])) * sum);
    } else if (s.kind == ActivationKind::sparsemax) {
      double sum = 0, count = 0;
      for (index_t j = 0; j < width; ++j)
        if (y[at + j] > 0) sum += dy[at + j], count += 1;
      for (index_t j = 0; j < width; ++j) dz[at + j] = T(y[at + j] > 0 ? dy[at + j] - sum / count : 0);
    } else {
      for (index_t j = at; j < at + width; ++j)
        dz[j] = T(dy[j] * (from_output ? slope_from_output(s, y[j]) : activation_slope(s, z[j])));
    }
  }
}

// ---- Losses

double smooth(const LossSpec& s, double t, index_t width) {
  if (s.kind == LossKind::binary_crossentropy || s.kind == LossKind::binary_focal_crossentropy)
    return t * (1 - s.p[1]) + 0.5 * s.p[1];
  return t * (1 - s.p[1]) + s.p[1] / double(width);
}

// Target of class j in row r, smoothing done; a label outside [0, width) has no class.
template <class T>
double target(const LossSpec& s, index_t width, const T* y_true, const int32_t* labels, index_t r, index_t j) {
  if (s.kind == LossKind::sparse_categorical_crossentropy) return labels[r] == j ? 1 : 0;
  return smooth(s, y_true[r * width + j], width);
}

bool is_ignored(const LossSpec& s, const int32_t* labels, index_t r) {
  return takes_labels(s.kind) && double(labels[r]) == s.p[1];
}

// Slope of max(x, low).
double max_slope(double x, double low) { return x > low ? 1 : x == low ? 0.5 : 0; }

double power_slope(double x, double exponent) { return exponent == 0 ? 0 : exponent * std::pow(x, exponent - 1); }

// Kinds that are a mean, or a sum, over elements: value and slope at a prediction.
template <class T>
double element_loss(const LossSpec& s, index_t width, double t, double p, double& slope) {
  const double e = p - t;
  switch (s.kind) {
    case LossKind::mean_squared_error: slope = 2 * e; return e * e;
    case LossKind::mean_absolute_error: slope = sign(e); return std::fabs(e);
    case LossKind::mean_absolute_percentage_error: {
      const double size = std::fmax(std::fabs(t), T(s.p[0]));
      slope = 100 * sign(e) / size;
      return 100 * std::fabs(e) / size;
    }
    case LossKind::mean_squared_logarithmic_error: {
      const double low = T(s.p[0]), u = std::fmax(p, low) + 1, difference = std::log(u / (std::fmax(t, low) + 1));
      slope = 2 * difference / u * max_slope(p, low);
      return difference * difference;
    }
    case LossKind::huber:
      slope = std::fabs(e) <= s.p[0] ? e : s.p[0] * sign(e);
      return std::fabs(e) <= s.p[0] ? e * e / 2 : s.p[0] * std::fabs(e) - s.p[0] * s.p[0] / 2;
    case LossKind::log_cosh: slope = std::tanh(e); return std::fabs(e) + softplus(-2 * std::fabs(e)) - std::log(2.0);
    case LossKind::poisson: slope = 1 - t / (p + s.p[0]); return p - t * std::log(p + s.p[0]);
    case LossKind::kl_divergence: {
      const double low = T(s.p[0]), a = clip(t, low, 1), b = clip(p, low, 1);
      slope = -a / b * clip_slope(p, low, 1);
      return a * std::log(a / b);
    }
    case LossKind::hinge:
    case LossKind::squared_hinge: {
      if (s.p[0] != 0) t = 2 * t - 1;
      const double x = 1 - t * p, y = x > 0 ? x : 0;
      slope = s.kind == LossKind::hinge ? -t * max_slope(x, 0) : -2 * t * y;
      return s.kind == LossKind::hinge ? y : y * y;
    }
    default: {  // binary cross-entropies of probabilities
      const bool focal = s.kind == LossKind::binary_focal_crossentropy, logits = focal && s.p[0] != 0;
      const double low = T(s.p[2]), high = T(1 - s.p[2]);
      t = smooth(s, t, width);
      if (logits) p = T(sigmoid(p));
      const double c = clip(p, low, high), entropy = -(t * std::log(c) + (1 - t) * std::log(1 - c));
      slope = clip_slope(p, low, high) * ((1 - t) / (1 - c) - t / c);
      if (!focal) return entropy;
      const double wrong = 1 - (t * p + (1 - t) * (1 - p)), factor = std::pow(wrong, s.p[3]);
      const double balance = std::isnan(s.p[4]) ? 1 : t * s.p[4] + (1 - t) * (1 - s.p[4]);
      slope = balance * (factor * slope + power_slope(wrong, s.p[3]) * (1 - 2 * t) * entropy);
      if (logits) slope *= p * (1 - p);
      return balance * factor * entropy;
    }
  }
}

bool is_element_loss(LossKind kind) {
  switch (kind) {
    case LossKind::categorical_crossentropy:
    case LossKind::sparse_categorical_crossentropy:
    case LossKind::cosine_similarity:
    case LossKind::categorical_hinge:
    case LossKind::categorical_focal_crossentropy:
    case LossKind::categorical_generalized_cross_entropy:
    case LossKind::dice:
    case LossKind::tversky: return false;
    default: return true;
  }
}

// Kinds that look at the row as a whole; d may be null, else it is set to the gradient times `factor`.
template <class T>
double row_loss_of(const LossSpec& s, index_t width, const T* t, int32_t label, const T* y, double factor, T* d) {
  double tt = 0, yy = 0, ty = 0, t_sum = 0, y_sum = 0;
  for (index_t j = 0; t && j < width; ++j) {
    tt += double(t[j]) * t[j], yy += double(y[j]) * y[j], ty += double(t[j]) * y[j];
    t_sum += t[j], y_sum += y[j];
  }
  const auto gradient = [&](auto at) {
    for (index_t j = 0; d && j < width; ++j) d[j] = T(factor * at(j));
  };
  switch (s.kind) {
    case LossKind::cosine_similarity: {
      const double least = s.p[0] * s.p[0], inverse = 1 / std::sqrt(std::fmax(yy, least));
      const double scale = inverse / std::sqrt(std::fmax(tt, least));
      gradient([&](index_t j) { return scale * (ty * inverse * inverse * max_slope(yy, least) * y[j] - t[j]); });
      return -ty * scale;
    }
    case LossKind::categorical_hinge: {
      double wrong = -INFINITY, greatest = 0;
      const auto other = [&](index_t j) { return T((1 - t[j]) * y[j]); };
      for (index_t j = 0; j < width; ++j) wrong = wrong < other(j) ? double(other(j)) : wrong;
      for (index_t j = 0; j < width; ++j) greatest += other(j) == wrong;
      const double x = wrong - ty + 1;
      gradient([&](index_t j) {
        return max_slope(x, 0) * ((other(j) == wrong ? (1 - double(t[j])) / greatest : 0) - t[j]);
      });
      return x > 0 ? x : 0;
    }
    case LossKind::categorical_generalized_cross_entropy: {
      const double p = label >= 0 && label < width ? y[label] : T(0);
      gradient([&](index_t j) { return j == label ? -std::pow(p, s.p[0] - 1) : 0; });
      return (1 - std::pow(p, s.p[0])) / s.p[0];
    }
    case LossKind::dice: {
      const double total = t_sum + y_sum + s.p[0];
      gradient([&](index_t j) { return 2 / total * (ty / total - t[j]); });
      return 1 - 2 * ty / total;
    }
    case LossKind::tversky: {
      const double alpha = s.p[0], beta = s.p[1], total = ty + alpha * (t_sum - ty) + beta * (y_sum - ty) + s.p[2];
      gradient([&](index_t j) { return (ty / total * (t[j] - alpha * t[j] + beta * (1 - t[j])) - t[j]) / total; });
      return 1 - ty / total;
    }
    default: {  // categorical focal
      const bool logits = s.p[0] != 0;
      const double low = T(s.p[2]), high = T(1 - s.p[2]), norm = logits ? log_sum_exp(width, y) : 0;
      const auto q = [&](index_t j) { return double(T(logits ? std::exp(y[j] - norm) : y[j] / y_sum)); };
      const auto slope = [&](index_t j) {
        const double c = clip(q(j), low, high);
        const double d = power_slope(1 - c, s.p[3]) * std::log(c) - std::pow(1 - c, s.p[3]) / c;
        return s.p[4] * smooth(s, t[j], width) * d * clip_slope(q(j), low, high);
      };
      double total = 0, slope_dot = 0;
      for (index_t j = 0; j < width; ++j) {
        const double c = clip(q(j), low, high);
        total -= s.p[4] * smooth(s, t[j], width) * std::pow(1 - c, s.p[3]) * std::log(c);
        slope_dot += slope(j) * q(j);
      }
      gradient([&](index_t j) { return (slope(j) - slope_dot) * (logits ? q(j) : 1 / y_sum); });
      return total;
    }
  }
}

template <class T>
void loss_from_logits(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                      const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz) {
  const bool binary = s.kind == LossKind::binary_crossentropy;
  for (index_t r = 0; r < rows; ++r) {
    const index_t at = r * width;
    const double factor = double(scale) * (weight ? weight[r] : 1);
    const bool ignored = is_ignored(s, labels, r);
    const double norm = binary ? 0 : log_sum_exp(width, z + at);
    double total = 0, target_sum = 0;
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), x = z[at + j];
      target_sum += t;
      if (binary) total += t * softplus(-x) + (1 - t) * softplus(x);
      else if (t != 0) total += t * (norm - x);
    }
    if (row_loss) row_loss[r] = T(ignored ? 0 : binary ? total / double(width) : total);
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), x = z[at + j];
      const double probability = binary ? sigmoid(x) : std::exp(x - norm);
      const double d = binary ? (probability - t) / double(width) : probability * target_sum - t;
      if (y) y[at + j] = T(probability);
      if (dz) dz[at + j] = T(ignored ? 0 : factor * d);
    }
  }
}

template <class T>
void loss(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
          const T* weight, T scale, T* row_loss, T* dy) {
  const bool categorical = s.kind == LossKind::categorical_crossentropy ||
                           s.kind == LossKind::sparse_categorical_crossentropy;
  if ((categorical || s.kind == LossKind::binary_crossentropy) && s.p[0] != 0)
    return loss_from_logits<T>(s, rows, width, y_true, labels, y_pred, weight, scale, row_loss, nullptr, dy);
  const double low = T(s.p[2]), high = T(1 - s.p[2]);
  for (index_t r = 0; r < rows; ++r) {
    const index_t at = r * width;
    const double factor = double(scale) * (weight ? weight[r] : 1);
    if (is_ignored(s, labels, r)) {
      row_loss[r] = 0;
      for (index_t j = 0; dy && j < width; ++j) dy[at + j] = 0;
      continue;
    }
    double total = 0, sum = 0, slope_dot = 0;
    if (is_element_loss(s.kind)) {
      const double count = s.kind == LossKind::kl_divergence ? 1 : double(width);
      for (index_t j = 0; j < width; ++j) {
        double d = 0;
        total += element_loss<T>(s, width, y_true[at + j], y_pred[at + j], d);
        if (dy) dy[at + j] = T(factor * d / count);
      }
      row_loss[r] = T(total / count);
      continue;
    }
    if (!categorical) {
      const bool labelled = takes_labels(s.kind);
      row_loss[r] = T(row_loss_of<T>(s, width, labelled ? nullptr : y_true + at, labelled ? labels[r] : -1, y_pred + at,
                                     factor, dy ? dy + at : nullptr));
      continue;
    }
    for (index_t j = 0; j < width; ++j) sum += y_pred[at + j];
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), q = T(y_pred[at + j] / sum), c = clip(q, low, high);
      if (t != 0) total -= t * std::log(c), slope_dot -= t / c * clip_slope(q, low, high) * q;
      else if (c != c) total = slope_dot = c;
    }
    row_loss[r] = T(total);
    for (index_t j = 0; dy && j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), q = T(y_pred[at + j] / sum), c = clip(q, low, high);
      dy[at + j] = T(factor * (-t / c * clip_slope(q, low, high) - slope_dot) / sum);
    }
  }
}

// ---- Dropout and elementwise helpers

template <class T>
void dropout(index_t n, const T* x, T* y, double rate, uint64_t key, uint64_t counter, uint64_t first_element) {
  const uint32_t keys[2] = {uint32_t(key), uint32_t(key >> 32)};
  for (index_t i = 0; i < n; ++i) {
    const uint64_t e = first_element + uint64_t(i), block = e / 4;
    const uint32_t c[4] = {uint32_t(block), uint32_t(block >> 32), uint32_t(counter), uint32_t(counter >> 32)};
    uint32_t word[4];
    philox4x32(c, keys, word);
    const bool keep = rate < 1 && double(word[e % 4]) >= rate * 4294967296.0;
    y[i] = keep ? T(x[i] * T(1 / (1 - rate))) : T(0);
  }
}

template <class T>
void affine(index_t rows, index_t width, const T* x, const T* scale, index_t n_scale, const T* offset, index_t n_offset,
            T* y) {
  for (index_t r = 0; r < rows; ++r)
    for (index_t j = 0; j < width; ++j)
      y[r * width + j] = T(double(x[r * width + j]) * scale[n_scale == 1 ? 0 : j] + offset[n_offset == 1 ? 0 : j]);
}

template <class T>
void add(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
template <class T>
void subtract(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] - b[i];
}
template <class T>
void multiply(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}
template <class T>
void scale(index_t n, const T* a, T factor, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] * factor;
}
template <class T>
void maximum(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] != a[i] || a[i] > b[i] ? a[i] : b[i];
}
template <class T>
void minimum(index_t n, const T* a, const T* b, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = a[i] != a[i] || a[i] < b[i] ? a[i] : b[i];
}
template <class T>
void add_scaled(index_t n, const T* x, T factor, T* y) {
  for (index_t i = 0; i < n; ++i) y[i] = T(y[i] + double(factor) * x[i]);
}
template <class T>
void select_backward(index_t n, bool is_max, const T* a, const T* b, const T* dy, T* da, T* db) {
  for (index_t i = 0; i < n; ++i) {
    const double share = a[i] == b[i] ? 0.5 : (is_max ? a[i] > b[i] : a[i] < b[i]) ? 1 : 0;
    const double other = a[i] == b[i] ? 0.5 : (is_max ? b[i] > a[i] : b[i] < a[i]) ? 1 : 0;
    const T d = dy[i];
    if (da) da[i] = T(da[i] + share * d);
    if (db) db[i] = T(db[i] + other * d);
  }
}
template <class T>
void l1l2_backward(index_t n, const T* x, T l1, T l2, T scale, T* dx) {
  for (index_t i = 0; i < n; ++i) dx[i] = T(dx[i] + double(scale) * (l1 * sign(x[i]) + 2.0 * l2 * x[i]));
}

template <class T>
void column_sums(index_t rows, index_t width, const T* x, T* out, bool accumulate) {
  for (index_t j = 0; j < width; ++j) {
    double sum = accumulate ? out[j] : 0;
    for (index_t r = 0; r < rows; ++r) sum += x[r * width + j];
    out[j] = T(sum);
  }
}

template <class T>
double sum(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += x[i];
  return s;
}
template <class T>
double sum_of_squares(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += double(x[i]) * x[i];
  return s;
}
template <class T>
double sum_of_magnitudes(index_t n, const T* x) {
  double s = 0;
  for (index_t i = 0; i < n; ++i) s += std::fabs(double(x[i]));
  return s;
}

// ---- Optimizers, constraints, regularizers

// The rules besides sgd, rmsprop and adam: the new weight.
template <class T>
double further_rule(const OptimizerSpec& s, const Update<T>& u, index_t i, double w, double g) {
  const double lr = u.learning_rate, t = double(u.step);
  const double first = u.slot[0][i], second = u.slot[1] ? double(u.slot[1][i]) : 0.0;
  switch (s.kind) {
    case OptimizerKind::adagrad: u.slot[0][i] = T(first + g * g); return w - lr * g / std::sqrt(first + g * g + s.p[0]);
    case OptimizerKind::adadelta: {
      const double rho = s.p[0], a = rho * first + (1 - rho) * g * g;
      const double step = -g * std::sqrt(second + s.p[1]) / std::sqrt(a + s.p[1]);
      u.slot[0][i] = T(a);
      u.slot[1][i] = T(rho * second + (1 - rho) * step * step);
      return w + lr * step;
    }
    case OptimizerKind::adamax: {
      const double m = first + (g - first) * (1 - s.p[0]), norm = std::fmax(s.p[1] * second, std::fabs(g));
      u.slot[0][i] = T(m);
      u.slot[1][i] = T(norm);
      return w - lr / (1 - std::pow(s.p[0], t)) * m / (norm + s.p[2]);
    }
    case OptimizerKind::nadam: {
      const double now = nadam_momentum(s.p[0], u.step), next = nadam_momentum(s.p[0], u.step + 1), product = u.product;
      const double m = first + (g - first) * (1 - s.p[0]), v = second + (g * g - second) * (1 - s.p[1]);
      u.slot[0][i] = T(m);
      u.slot[1][i] = T(v);
      const double mean = next * m / (1 - product * next) + (1 - now) * g / (1 - product);
      return w - lr * mean / (std::sqrt(v / (1 - std::pow(s.p[1], t))) + s.p[2]);
    }
    case OptimizerKind::lamb: {
      const double m = first + (g - first) * (1 - s.p[0]), v = second + (g * g - second) * (1 - s.p[1]);
      u.slot[0][i] = T(m);
      u.slot[1][i] = T(v);
      u.direction[i] = T(m / (1 - std::pow(s.p[0], t)) / (std::sqrt(v / (1 - std::pow(s.p[1], t))) + s.p[2]));
      return w;
    }
    case OptimizerKind::adafactor: u.direction[i] = T(g); return w;
    case OptimizerKind::lion:
      u.slot[0][i] = T(s.p[1] * first + (1 - s.p[1]) * g);
      return w - lr * sign(s.p[0] * first + (1 - s.p[0]) * g);
    case OptimizerKind::muon: {
      if (u.slot[1] == nullptr) {
        const double m = s.p[4] * first + g;
        u.slot[0][i] = T(m);
        u.direction[i] = T(s.p[5] != 0 ? g + s.p[4] * m : m);
        return w;
      }
      const double m = first + (g - first) * (1 - s.p[0]), v = second + (g * g - second) * (1 - s.p[1]);
      u.slot[0][i] = T(m);
      u.slot[1][i] = T(v);
      return w -
             lr * s.p[3] * std::sqrt(1 - std::pow(s.p[1], t)) / (1 - std::pow(s.p[0], t)) * m / (std::sqrt(v) + s.p[2]);
    }
    case OptimizerKind::schedule_free: {
      const double v = second + (g * g - second) * (1 - s.p[1]), warm = s.p[3] > 0 ? std::min(t / s.p[3], 1.0) : 1;
      const double z = first - lr * warm * g / (std::sqrt(v / (1 - std::pow(s.p[1], t))) + s.p[2]);
      const double x = (w - (1 - s.p[0]) * first) / s.p[0];
      u.slot[0][i] = T(z);
      u.slot[1][i] = T(v);
      return (1 - s.p[0]) * z + s.p[0] * ((1 - 1 / t) * x + z / t);
    }
    case OptimizerKind::sgd:
    case OptimizerKind::rmsprop:
    case OptimizerKind::adam:
    case OptimizerKind::count: break;  // `update` has them
    case OptimizerKind::ftrl: {
      const double p = -s.p[0], total = first + g * g, raised = std::pow(total, p);
      const double z = second + g + 2 * s.p[3] * w - (raised - std::pow(first, p)) / lr * w;
      u.slot[0][i] = T(total);
      u.slot[1][i] = T(z);
      return (clip(z, -s.p[1], s.p[1]) - z) / (raised / lr + 2 * (s.p[2] + s.p[4] / (2 * lr)));
    }
  }
  return w;
}

template <class T>
void update(const OptimizerSpec& s, const Update<T>& u) {
  const double lr = u.learning_rate;
  for (index_t i = 0; i < u.n; ++i) {
    double w = u.w[i];
    double g = (u.g[i] + double(u.l1) * sign(w) + 2.0 * u.l2 * w) * u.clip_scale;
    if (s.clip_value > 0) g = clip(g, -s.clip_value, s.clip_value);
    w -= w * u.weight_decay * lr;
    if (s.kind == OptimizerKind::sgd) {
      const double momentum = s.p[0];
      if (momentum == 0) {
        w -= lr * g;
      } else {
        const double m = momentum * u.slot[0][i] - lr * g;
        u.slot[0][i] = T(m);
        w += s.p[1] != 0 ? momentum * m - lr * g : m;
      }
    } else if (s.kind == OptimizerKind::rmsprop) {
      const double rho = s.p[0], momentum = s.p[1], epsilon = s.p[2];
      T* average = s.p[3] != 0 ? u.slot[momentum > 0 ? 2 : 1] : nullptr;
      const double v = rho * u.slot[0][i] + (1 - rho) * g * g;
      u.slot[0][i] = T(v);
      double denominator = v + epsilon;
      if (average) {
        const double a = rho * average[i] + (1 - rho) * g;
        average[i] = T(a);
        denominator -= a * a;
      }
      double step = lr * g / std::sqrt(denominator);
      if (momentum > 0) {
        step += momentum * u.slot[1][i];
        u.slot[1][i] = T(step);
      }
      w -= step;
    } else if (s.kind != OptimizerKind::adam) {
      w = further_rule(s, u, i, w, g);
    } else {
      const double beta_1 = s.p[0], beta_2 = s.p[1], t = double(u.step);
      const double alpha = lr * std::sqrt(1 - std::pow(beta_2, t)) / (1 - std::pow(beta_1, t));
      const double m = u.slot[0][i] + (g - u.slot[0][i]) * (1 - beta_1);
      double v = u.slot[1][i] + (g * g - u.slot[1][i]) * (1 - beta_2);
      u.slot[0][i] = T(m);
      u.slot[1][i] = T(v);
      if (s.p[3] != 0) {
        if (u.slot[2][i] > v) v = u.slot[2][i];
        u.slot[2][i] = T(v);
      }
      w -= alpha * m / (std::sqrt(v) + s.p[2]);
    }
    if (u.ema) u.ema[i] = T(s.ema_momentum * u.ema[i] + (1 - s.ema_momentum) * w);
    if (u.clamp) w = clip(w, u.low, u.high);
    u.w[i] = T(w);
  }
}

// What a group of weights with this norm is multiplied by.
double norm_factor(const ConstraintSpec& s, double norm) {
  if (s.kind == ConstraintKind::max_norm) return clip(norm, 0, s.p[0]) / (s.p[2] + norm);
  if (s.kind == ConstraintKind::min_max_norm)
    return (s.p[2] * clip(norm, s.p[0], s.p[1]) + (1 - s.p[2]) * norm) / (s.p[4] + norm);
  return 1 / (s.p[1] + norm);
}

template <class T>
void constrain(const ConstraintSpec& s, index_t rows, index_t width, T* w) {
  if (s.kind == ConstraintKind::none || s.kind == ConstraintKind::non_neg || s.kind == ConstraintKind::clip) {
    for (index_t i = 0; i < rows * width; ++i) {
      if (s.kind == ConstraintKind::non_neg && w[i] < 0) w[i] = 0;
      if (s.kind == ConstraintKind::clip) w[i] = T(clip(w[i], T(s.p[0]), T(s.p[1])));
    }
    return;
  }
  const int axis = int(s.kind == ConstraintKind::min_max_norm ? s.p[3]
                       : s.kind == ConstraintKind::max_norm   ? s.p[1]
                                                              : s.p[0]);
  const index_t groups = axis == 0 ? width : axis == 1 ? rows : 1;
  const index_t length = axis == 0 ? rows : axis == 1 ? width : rows * width;
  const index_t stride = axis == 0 ? width : 1, step = axis == 0 ? 1 : width;
  for (index_t q = 0; q < groups; ++q) {
    double squares = 0;
    for (index_t i = 0; i < length; ++i) squares += double(w[q * step + i * stride]) * w[q * step + i * stride];
    const double factor = norm_factor(s, std::sqrt(squares));
    for (index_t i = 0; i < length; ++i) w[q * step + i * stride] = T(w[q * step + i * stride] * factor);
  }
}

template <class T>
double adafactor(const OptimizerSpec& s, double keep, index_t rows, index_t width, T* g, T* v, T* r, T* c) {
  const auto square = [&](index_t i, index_t j) { return double(g[i * width + j]) * g[i * width + j] + s.p[1]; };
  double mean = 0;
  for (index_t i = 0; r != nullptr && i < rows; ++i) {
    double sum = 0;
    for (index_t j = 0; j < width; ++j) sum += square(i, j);
    r[i] = T(keep * r[i] + (1 - keep) * sum / double(width));
    mean += r[i] / double(rows);
  }
  for (index_t j = 0; r != nullptr && j < width; ++j) {
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) sum += square(i, j);
    c[j] = T(keep * c[j] + (1 - keep) * sum / double(rows));
  }
  double squares = 0;
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < width; ++j) {
      T* velocity = v + i * width + j;
      const double now = r != nullptr ? r[i] / mean * c[j] : keep * *velocity + (1 - keep) * square(i, j);
      const double step = g[i * width + j] / std::sqrt(now);
      *velocity = T(now);
      g[i * width + j] = T(step);
      squares += step * step;
    }
  }
  return squares;
}

// value = factor / 2 * sum over i != j of |u_i . u_j| / pairs, with u the unit vectors of the rows (or columns).
// d value / d u_i = factor / pairs * s_i, s_i = sum over j of sign(u_i . u_j) u_j; then through u = w / |w|.
template <class T>
double orthogonal(const RegularizerSpec& s, index_t rows, index_t width, const T* w, T* g, T*) {
  const bool columns = s.p[1] != 0;
  const index_t size = columns ? width : rows, length = columns ? rows : width;
  const index_t next = columns ? 1 : width, along = columns ? width : 1;
  const auto norm = [&](index_t i) {
    double q = 0;
    for (index_t e = 0; e < length; ++e) q += double(w[i * next + e * along]) * w[i * next + e * along];
    return std::sqrt(q);
  };
  if (size < 2) return 0;  // no pairs
  const double pairs = double(size) * (double(size) - 1) / 2, half = s.p[0] * 0.5 / pairs;
  double total = 0;
  for (index_t i = 0; i < size; ++i) {
    const double norm_i = norm(i);
    for (index_t j = 0; j < size; ++j) {
      if (i == j) continue;
      const double norm_j = norm(j);
      double dot = 0;
      for (index_t e = 0; e < length; ++e) dot += double(w[i * next + e * along]) * w[j * next + e * along];
      dot = norm_i > 0 && norm_j > 0 ? dot / (norm_i * norm_j) : 0.0;
      total += std::fabs(dot);
      if (!g || norm_i == 0 || norm_j == 0) continue;
      for (index_t e = 0; e < length; ++e) {
        const double u_i = w[i * next + e * along] / norm_i, u_j = w[j * next + e * along] / norm_j;
        g[i * next + e * along] = T(g[i * next + e * along] + 2 * half * sign(dot) * (u_j - dot * u_i) / norm_i);
      }
    }
  }
  return half * total;
}

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

#include "kernels/reference/array_ops.inl"

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
