// Activations: value and slope of each formula on a vector, once; activate.inl drives them.
// Slopes at kinks are JAX's derivative of Keras' definition.

template <class T>
struct Parameters {
  Vec<T> p0, p1, p2;
  explicit DENSEKIT_INLINE Parameters(const double* p)
      : p0(broadcast(T(p[0]))), p1(broadcast(T(p[1]))), p2(broadcast(T(p[2]))) {}
};

constexpr double kSeluScale = 1.0507009873554804934193349852946, kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSqrtHalf = 0.70710678118654752440, kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;

template <class T>
DENSEKIT_INLINE Vec<T> clip(Vec<T> x, Vec<T> low, Vec<T> high) {
  return min_or_second(high, max_or_second(low, x));
}
template <class T>
DENSEKIT_INLINE Vec<T> choose(IntVec<T> mask, Vec<T> x) {
  return (Vec<T>)(mask & (IntVec<T>)x);
}
// Slope of min(max(x, low), high): a tie is shared between the two sides.
template <class T>
DENSEKIT_INLINE Vec<T> clip_slope(Vec<T> x, Vec<T> low, Vec<T> high) {
  const Vec<T> inside = choose<T>((x > low) & (x < high), broadcast(T(1)));
  return (x == low) | (x == high) ? broadcast(T(0.5)) : inside;
}

template <class T>
DENSEKIT_INLINE Vec<T> normal_distribution(Vec<T> x) {
  const Vec<T> half_tail = T(0.5) * erfc_positive<T>(absolute<T>(x) * T(kSqrtHalf));
  return x < T(0) ? half_tail : T(1) - half_tail;
}
template <class T>
DENSEKIT_INLINE Vec<T> gelu_tanh(Vec<T> x) {
  return tanh<T>(T(kSqrtTwoOverPi) * fma(T(0.044715) * x * x, x, x));
}
// tanh(softplus(x)) = n / (n + 2), n = e^x (e^x + 2); beyond 20 (40) it is 1 to the last bit.
template <class T>
DENSEKIT_INLINE Vec<T> mish_gate(Vec<T> x, Vec<T>& e, Vec<T>& n) {
  e = exp<T>(min_or_second(broadcast(T(sizeof(T) == 4 ? 20 : 40)), x));
  n = e * (e + T(2));
  return n / (n + T(2));
}

template <class T>
DENSEKIT_INLINE Vec<T> value(Ints<int(ActivationKind::relu)>, Vec<T> x, const Parameters<T>& p) {
  const Vec<T> zero = {};
  Vec<T> y = (x > p.p2) | (x != x) ? x : zero;
  y = min_or_second(p.p1, y);
  const Vec<T> bounded = (p.p2 != zero) & (p.p1 < T(__builtin_inf())) ? max_or_second(zero, y) : y;
  return (p.p0 != zero) & (x < p.p2) ? bounded - p.p0 * (p.p2 - x) : bounded;
}
template <class T>
DENSEKIT_INLINE Vec<T> slope(Ints<int(ActivationKind::relu)>, Vec<T> x, const Parameters<T>& p) {
  const Vec<T> zero = {}, one = broadcast(T(1));
  const Vec<T> edge = (p.p2 == zero) & (p.p1 == T(6)) ? zero : broadcast(T(0.5));
  // Above the threshold; a bounded one also has the clip's lower side at 0.
  Vec<T> above = x > p.p1 ? zero : x == p.p1 ? edge : one;
  const Vec<T> clipped = x == zero ? edge : x < zero ? zero : above;
  above = p.p1 < T(__builtin_inf()) ? clipped : above;
  const Vec<T> leaky_tie = (p.p0 != zero) & (p.p1 == T(__builtin_inf())) & (p.p2 == zero) ? one : zero;
  return x > p.p2 ? above : x < p.p2 ? p.p0 : x == p.p2 ? leaky_tie : zero;
}

#define DENSEKIT_FORMULA(kind, value_expression, slope_expression)                                                   \
  template <class T>                                                                                                 \
  DENSEKIT_INLINE Vec<T> value(Ints<int(ActivationKind::kind)>, Vec<T> x, [[maybe_unused]] const Parameters<T>& p) { \
    return value_expression;                                                                                         \
  }                                                                                                                  \
  template <class T>                                                                                                 \
  DENSEKIT_INLINE Vec<T> slope(Ints<int(ActivationKind::kind)>, [[maybe_unused]] Vec<T> x,                           \
                               [[maybe_unused]] const Parameters<T>& p) {                                            \
    return slope_expression;                                                                                         \
  }

DENSEKIT_FORMULA(linear, x, broadcast(T(1)))
DENSEKIT_FORMULA(elu, (x > T(0) ? x : p.p0 * expm1<T>(x)), (x > T(0) ? broadcast(T(1)) : p.p0 * exp<T>(x)))
DENSEKIT_FORMULA(celu, (x > T(0) ? x : p.p0 * expm1<T>(x / p.p0)), (x > T(0) ? broadcast(T(1)) : exp<T>(x / p.p0)))
DENSEKIT_FORMULA(selu, (T(kSeluScale) * (x > T(0) ? x : T(kSeluAlpha) * expm1<T>(x))),
                 (x > T(0) ? broadcast(T(kSeluScale)) : T(kSeluScale * kSeluAlpha) * exp<T>(x)))
DENSEKIT_FORMULA(silu, x* sigmoid<T>(x), (sigmoid<T>(x) * fma(x, sigmoid<T>(-x), broadcast(T(1)))))
DENSEKIT_FORMULA(hard_silu, x* clip<T>(x + T(3), Vec<T>{}, broadcast(T(6))) / T(6),
                 (clip<T>(x + T(3), Vec<T>{}, broadcast(T(6))) / T(6) + choose<T>((x > T(-3)) & (x < T(3)), x / T(6))))
DENSEKIT_FORMULA(sigmoid, sigmoid<T>(x), (sigmoid<T>(x) * sigmoid<T>(-x)))
DENSEKIT_FORMULA(hard_sigmoid, (clip<T>(x + T(3), Vec<T>{}, broadcast(T(6))) / T(6)),
                 (choose<T>((x > T(-3)) & (x < T(3)), broadcast(T(1.0 / 6)))))
DENSEKIT_FORMULA(tanh, tanh<T>(x), (T(1) - tanh<T>(x) * tanh<T>(x)))
DENSEKIT_FORMULA(hard_tanh, clip<T>(x, broadcast(T(-1)), broadcast(T(1))),
                 ((x > T(1)) | (x < T(-1)) ? Vec<T>{} : broadcast(T(1))))
DENSEKIT_FORMULA(softplus, softplus<T>(x), sigmoid<T>(x))
DENSEKIT_FORMULA(softsign, x / (absolute<T>(x) + T(1)), (T(1) / ((absolute<T>(x) + T(1)) * (absolute<T>(x) + T(1)))))
DENSEKIT_FORMULA(exponential, exp<T>(x), exp<T>(x))
DENSEKIT_FORMULA(log_sigmoid, -softplus<T>(-x), sigmoid<T>(-x))
DENSEKIT_FORMULA(squareplus, (T(0.5) * (x + sqrt(fma(x, x, p.p0)))), (T(0.5) * (T(1) + x / sqrt(fma(x, x, p.p0)))))
DENSEKIT_FORMULA(hard_shrink, (choose<T>((absolute<T>(x) > p.p0) | (x != x), x)),
                 (choose<T>(absolute<T>(x) > p.p0, broadcast(T(1)))))
DENSEKIT_FORMULA(soft_shrink,
                 (x > p.p0    ? x - p.p0
                  : x < -p.p0 ? x + p.p0
                              : choose<T>(x != x, x)),
                 (choose<T>((x > p.p0) | (x < -p.p0), broadcast(T(1)))))
DENSEKIT_FORMULA(tanh_shrink, x - tanh<T>(x), (tanh<T>(x) * tanh<T>(x)))
DENSEKIT_FORMULA(threshold, ((x > p.p0) | (x != x) ? x : p.p1), (choose<T>(x > p.p0, broadcast(T(1)))))
DENSEKIT_FORMULA(sparse_plus,
                 (x <= T(-1)  ? Vec<T>{}
                  : x >= T(1) ? x
                              : (x + T(1)) * (x + T(1)) * T(0.25)),
                 (x <= T(-1)  ? Vec<T>{}
                  : x >= T(1) ? broadcast(T(1))
                              : (x + T(1)) * T(0.5)))
DENSEKIT_FORMULA(sparse_sigmoid, (T(0.5) * clip<T>(x + T(1), Vec<T>{}, broadcast(T(2)))),
                 (T(0.5) * clip_slope<T>(x + T(1), Vec<T>{}, broadcast(T(2)))))

// What the vector functions lack, number by number.
#define DENSEKIT_BY_LANES(name)                                               \
  DENSEKIT_INLINE Vec<float> lanes_##name(Vec<float> x) {                     \
    for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_##name##f(x[i]); \
    return x;                                                                 \
  }                                                                           \
  DENSEKIT_INLINE Vec<double> lanes_##name(Vec<double> x) {                   \
    for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_##name(x[i]);   \
    return x;                                                                 \
  }
DENSEKIT_BY_LANES(exp2)
DENSEKIT_BY_LANES(sin)
DENSEKIT_BY_LANES(cos)
DENSEKIT_BY_LANES(tan)
DENSEKIT_BY_LANES(sinh)
DENSEKIT_BY_LANES(cosh)
DENSEKIT_BY_LANES(asin)
DENSEKIT_BY_LANES(acos)
DENSEKIT_BY_LANES(atan)
DENSEKIT_BY_LANES(atanh)
DENSEKIT_BY_LANES(floor)
DENSEKIT_BY_LANES(ceil)
DENSEKIT_BY_LANES(trunc)
DENSEKIT_BY_LANES(rint)
#undef DENSEKIT_BY_LANES

constexpr double kLn2 = 0.69314718055994530942, kLog2E = 1.4426950408889634074, kLog10E = 0.43429448190325182765;
constexpr double kErfSlope = 1.1283791670955125739;  // 2 / sqrt(pi)

DENSEKIT_FORMULA(log, log<T>(x), T(1) / x)
DENSEKIT_FORMULA(log1p, log1p<T>(x), T(1) / (x + T(1)))
DENSEKIT_FORMULA(log2, log<T>(x) * T(kLog2E), T(kLog2E) / x)
DENSEKIT_FORMULA(log10, log<T>(x) * T(kLog10E), T(kLog10E) / x)
DENSEKIT_FORMULA(expm1, expm1<T>(x), exp<T>(x))
DENSEKIT_FORMULA(exp2, lanes_exp2(x), lanes_exp2(x) * T(kLn2))
DENSEKIT_FORMULA(sqrt, sqrt(x), T(0.5) / sqrt(x))
DENSEKIT_FORMULA(rsqrt, T(1) / sqrt(x), T(-0.5) / (x * sqrt(x)))
DENSEKIT_FORMULA(square, x* x, x + x)
DENSEKIT_FORMULA(reciprocal, T(1) / x, T(-1) / (x * x))
DENSEKIT_FORMULA(negative, -x, broadcast(T(-1)))
DENSEKIT_FORMULA(absolute, absolute<T>(x), sign<T>(x))
DENSEKIT_FORMULA(sign, sign<T>(x), Vec<T>{})
DENSEKIT_FORMULA(sin, lanes_sin(x), lanes_cos(x))
DENSEKIT_FORMULA(cos, lanes_cos(x), -lanes_sin(x))
DENSEKIT_FORMULA(tan, lanes_tan(x), fma(lanes_tan(x), lanes_tan(x), broadcast(T(1))))
DENSEKIT_FORMULA(sinh, lanes_sinh(x), lanes_cosh(x))
DENSEKIT_FORMULA(cosh, lanes_cosh(x), lanes_sinh(x))
DENSEKIT_FORMULA(arcsin, lanes_asin(x), T(1) / sqrt((T(1) - x) * (T(1) + x)))
DENSEKIT_FORMULA(arccos, lanes_acos(x), T(-1) / sqrt((T(1) - x) * (T(1) + x)))
DENSEKIT_FORMULA(arctan, lanes_atan(x), T(1) / fma(x, x, broadcast(T(1))))
DENSEKIT_FORMULA(arctanh, lanes_atanh(x), T(1) / ((T(1) - x) * (T(1) + x)))
DENSEKIT_FORMULA(erf, erf<T>(x), T(kErfSlope) * exp<T>(-x * x))
DENSEKIT_FORMULA(erfc, (x < T(0) ? T(2) - erfc_positive<T>(-x) : erfc_positive<T>(x)), T(-kErfSlope) * exp<T>(-x * x))
DENSEKIT_FORMULA(floor, lanes_floor(x), Vec<T>{})
DENSEKIT_FORMULA(ceil, lanes_ceil(x), Vec<T>{})
DENSEKIT_FORMULA(trunc, lanes_trunc(x), Vec<T>{})
DENSEKIT_FORMULA(round, lanes_rint(x), Vec<T>{})
DENSEKIT_FORMULA(stop_gradient, x, Vec<T>{})
DENSEKIT_FORMULA(logical_not, choose<T>(x == T(0), broadcast(T(1))), Vec<T>{})
DENSEKIT_FORMULA(isnan, choose<T>(x != x, broadcast(T(1))), Vec<T>{})
DENSEKIT_FORMULA(isinf, choose<T>(absolute<T>(x) == T(__builtin_inf()), broadcast(T(1))), Vec<T>{})
DENSEKIT_FORMULA(isfinite, choose<T>(absolute<T>(x) < T(__builtin_inf()), broadcast(T(1))), Vec<T>{})
#undef DENSEKIT_FORMULA

// gelu by erf; its tanh form is the second one, chosen before the loop.
template <class T>
DENSEKIT_INLINE Vec<T> value(Ints<int(ActivationKind::gelu)>, Vec<T> x, const Parameters<T>&) {
  return x * normal_distribution<T>(x);
}
template <class T>
DENSEKIT_INLINE Vec<T> slope(Ints<int(ActivationKind::gelu)>, Vec<T> x, const Parameters<T>&) {
  return normal_distribution<T>(x) + x * T(kInverseSqrtTwoPi) * exp<T>(T(-0.5) * x * x);
}
constexpr int kGeluTanh = int(ActivationKind::count);
template <class T>
DENSEKIT_INLINE Vec<T> value(Ints<kGeluTanh>, Vec<T> x, const Parameters<T>&) {
  return T(0.5) * x * (T(1) + gelu_tanh<T>(x));
}
template <class T>
DENSEKIT_INLINE Vec<T> slope(Ints<kGeluTanh>, Vec<T> x, const Parameters<T>&) {
  const Vec<T> t = gelu_tanh<T>(x);
  return T(0.5) * (T(1) + t) +
         T(0.5) * x * (T(1) - t * t) * T(kSqrtTwoOverPi) * fma(T(3 * 0.044715) * x, x, broadcast(T(1)));
}
template <class T>
DENSEKIT_INLINE Vec<T> value(Ints<int(ActivationKind::mish)>, Vec<T> x, const Parameters<T>&) {
  Vec<T> e, n;
  return x * mish_gate<T>(x, e, n);
}
template <class T>
DENSEKIT_INLINE Vec<T> slope(Ints<int(ActivationKind::mish)>, Vec<T> x, const Parameters<T>&) {
  Vec<T> e, n;
  const Vec<T> gate = mish_gate<T>(x, e, n);
  return gate + x * T(4) * (n + T(1)) / ((n + T(2)) * (n + T(2))) * (e / (e + T(1)));
}
// Forms that are cheaper than the general ones.
constexpr int kPlainRelu = kGeluTanh + 1;
template <class T>
DENSEKIT_INLINE Vec<T> value(Ints<kPlainRelu>, Vec<T> x, const Parameters<T>&) {
  return max_or_second(Vec<T>{}, x);
}

DENSEKIT_INLINE bool is_plain_relu(const ActivationSpec& s) {
  return s.kind == ActivationKind::relu && s.p[0] == 0 && s.p[1] == __builtin_inf() && s.p[2] == 0;
}

template <class T, int Kind>
void map_value(const double* numbers, index_t n, const T* z, T* y) {
  const Parameters<T> p(numbers);
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    store(y + i, value<T>(Ints<Kind>{}, load(z + i, part), p), part);
  });
}
template <class T, int Kind>
void map_slope(const double* numbers, index_t n, const T* z, const T* dy, T* dz) {
  const Parameters<T> p(numbers);
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    store(dz + i, load(dy + i, part) * slope<T>(Ints<Kind>{}, load(z + i, part), p), part);
  });
}
