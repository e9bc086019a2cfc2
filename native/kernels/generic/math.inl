// Transcendental functions of a vector, correct over the whole range, infinities, NaN and subnormals included.
// Greatest errors in ulp over x86-64-v2, v3 and v4, held by tests/test_kernels_math.cpp against long double:
//            exp   log   log1p  expm1  tanh  sigmoid  erf   softplus  erfc(t >= 0)
//   float    1.1   0.8   1.5    1.7    2.5   2.5      2.4   1.8       7
//   double   1.0   0.9   1.2    2.2    2.6   2.2      1.6   1.8       6
// Polynomials: tools/fit_polynomials.py.

template <class T>
struct Constants;

template <>
struct Constants<float> {
  static constexpr int kFraction = 23, kBias = 127;
  static constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
  static constexpr float kLowest = -106, kHighest = 90;  // exp is 0 below and inf above
  static constexpr float kLn2High = 0.693359375f;        // 9 bits: times an exponent it is exact
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr float kSmallestNormal = 0x1p-126f, kTwoToFraction = 0x1p25f;
  static constexpr int kTwoToFractionLog = 25;
  static constexpr int32_t kSqrtHalfBits = 0x3f3504f3, kFractionMask = 0x7fffff, kInfBits = 0x7f800000;
  static constexpr float kErfcTop = 10.2f;
  static constexpr float kExp[] = {0.5f, 0.16666577f, 0.0416665546f, 0.00836317905f, 0.00139261836f};
  static constexpr float kLog[] = {0.666666666f, 0.400001239f, 0.28550587f, 0.23336811f};
  static constexpr float kErf[] = {1.12837917f,    -0.376126267f,    0.112835947f,  -0.026854212f,
                                   0.00518908742f, -0.000801686429f, 7.87587506e-5f};
  static constexpr float kErfc[] = {1.2530081f,    -0.135621029f,  -0.0475659378f, 0.129641801f,   -0.119221418f,
                                    0.0683619346f, -0.0240114554f, 0.00221381224f, 0.00221416337f, -0.000173111229f};
};

template <>
struct Constants<double> {
  static constexpr int kFraction = 52, kBias = 1023;
  static constexpr double kMagic = 6755399441055744.0;
  static constexpr double kLowest = -750, kHighest = 711;
  static constexpr double kLn2High = 6.93147180369123816490e-01;
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kSmallestNormal = 0x1p-1022, kTwoToFraction = 0x1p54;
  static constexpr int kTwoToFractionLog = 54;
  static constexpr int64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd, kFractionMask = 0xfffffffffffff,
                           kInfBits = 0x7ff0000000000000;
  static constexpr double kErfcTop = 28;
  static constexpr double kExp[] = {0.500000000000000102,     0.166666666666666675,   0.0416666666666241279,
                                    0.00833333333333006183,   0.00138888889172137169, 0.000198412698630536169,
                                    0.0000248015212959543751, 2.75572684599970648e-6, 2.76200884454097482e-7,
                                    2.51003854955103191e-8};
  static constexpr double kLog[] = {0.666666666666666665, 0.40000000000000912,  0.285714285707822077,
                                    0.222222223965529808, 0.181817951244767535, 0.15386267672882225,
                                    0.132680261404287393, 0.13094416666525344};
  static constexpr double kErf[] = {1.12837916709551257,     -0.376126389031837524,     0.112837916709551202,
                                    -0.0268661706451298408,  0.00522397762542329831,    -0.00085483270219348296,
                                    0.000120553329028887354, -0.0000149256475675193321, 1.64620454414684189e-6,
                                    -1.63646421581676153e-7, 1.4792401209404813e-8,     -1.21645600572834501e-9,
                                    8.70904512905310669e-11, -4.23094582429533782e-12};
  static constexpr double kErfc[] = {
      1.25300805826972964,    -0.135621106124580685,     -0.0475622943534463728,   0.129645158702705516,
      -0.119273663415528533,  0.0683080273458045873,     -0.0237705149142336714,   0.00252939178827044538,
      0.0018886903120037819,  -0.00077983203796111149,   -0.000105159490337759744, 0.000125098151748643215,
      4.94814787557653947e-6, -0.0000200966308759539524, -7.27587574666718295e-7,  3.46399753235290422e-6,
      3.48991978897442946e-7, -6.05004862393350368e-7,   -1.31116613753645882e-7,  9.18624302614384661e-8,
      3.29163439676632021e-8, -8.50011951210531655e-9,   -4.21010497511919487e-9};
};

template <class T, int N>
DENSEKIT_INLINE Vec<T> polynomial(const T (&c)[N], Vec<T> x) {
  Vec<T> y = broadcast(c[N - 1]);
#pragma GCC unroll 32
  for (int i = N - 2; i >= 0; --i) y = fma(y, x, broadcast(c[i]));
  return y;
}

template <class T>
DENSEKIT_INLINE Vec<T> absolute(Vec<T> x) {
  return (Vec<T>)((IntVec<T>)x & ~(IntVec<T>)broadcast(T(-0.0)));
}
template <class T>
DENSEKIT_INLINE Vec<T> copy_sign(Vec<T> magnitude, Vec<T> x) {
  return (Vec<T>)((IntVec<T>)magnitude | ((IntVec<T>)x & (IntVec<T>)broadcast(T(-0.0))));
}
// -1, 0 or 1; NaN stays NaN.
template <class T>
DENSEKIT_INLINE Vec<T> sign(Vec<T> x) {
  return x > T(0) ? broadcast(T(1)) : x < T(0) ? broadcast(T(-1)) : x;
}

// 2^n for normal results.
template <class T>
DENSEKIT_INLINE Vec<T> power_of_two(IntVec<T> n) {
  return (Vec<T>)((n + Int<T>(Constants<T>::kBias)) << Constants<T>::kFraction);
}

// x = n ln 2 + r, |r| <= ln(2) / 2; returns exp(r) - 1.
template <class T>
DENSEKIT_INLINE Vec<T> reduced_expm1(Vec<T> x, IntVec<T>& n) {
  using C = Constants<T>;
  const Vec<T> magic = broadcast(C::kMagic);
  const Vec<T> shifted = fma(x, broadcast(T(1.44269504088896340736)), magic);
  n = (IntVec<T>)shifted - (IntVec<T>)magic;
  const Vec<T> whole = shifted - magic;
  Vec<T> r = fma(whole, broadcast(-C::kLn2High), x);
  r = fma(whole, broadcast(-C::kLn2Low), r);
  return fma(r * r, polynomial<T>(C::kExp, r), r);
}

template <class T>
DENSEKIT_INLINE Vec<T> exp(Vec<T> x) {
  using C = Constants<T>;
  x = max_or_second(broadcast(C::kLowest), min_or_second(broadcast(C::kHighest), x));
  IntVec<T> n;
  const Vec<T> p = reduced_expm1<T>(x, n) + T(1);
  const IntVec<T> half = n >> 1;  // two factors: 2^n itself may be infinite or subnormal
  return p * power_of_two<T>(half) * power_of_two<T>(n - half);
}

template <class T>
DENSEKIT_INLINE Vec<T> expm1(Vec<T> x) {
  using C = Constants<T>;
  const Vec<T> clamped = max_or_second(broadcast(T(-60)), min_or_second(broadcast(C::kHighest), x));
  IntVec<T> n;
  const Vec<T> q = reduced_expm1<T>(clamped, n);
  const IntVec<T> half = n >> 1;
  const Vec<T> low = power_of_two<T>(half), high = power_of_two<T>(n - half);
  // 2^n q + (2^n - 1). From 2^(fraction + 2) on the 1 is below rounding, and 2^n alone may overflow.
  const Vec<T> scale = power_of_two<T>(n > Int<T>(C::kFraction + 2) ? IntVec<T>{} : n);
  const Vec<T> near = fma(q, scale, scale - T(1));
  const Vec<T> far = (q + T(1)) * low * high;
  const Vec<T> y = n > Int<T>(C::kFraction + 2) ? far : near;
  return x == T(0) ? x : y;  // keeps -0
}

// Lane by lane too, signed overflow is undefined; unsigned lanes wrap.
DENSEKIT_INLINE IntVec<float> wrapping_subtract(IntVec<float> a, int32_t b) {
  typedef uint32_t U __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  return (IntVec<float>)((U)a - uint32_t(b));
}
DENSEKIT_INLINE IntVec<double> wrapping_subtract(IntVec<double> a, int64_t b) {
  typedef uint64_t U __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  return (IntVec<double>)((U)a - uint64_t(b));
}

template <class T>
DENSEKIT_INLINE Vec<T> log(Vec<T> x) {
  using C = Constants<T>;
  const IntVec<T> small = x < C::kSmallestNormal;
  const Vec<T> normal = small ? x * C::kTwoToFraction : x;
  const IntVec<T> bits = wrapping_subtract((IntVec<T>)normal, C::kSqrtHalfBits);  // wraps where x < 0
  const IntVec<T> exponent = (bits >> C::kFraction) - (small & Int<T>(C::kTwoToFractionLog));
  const Vec<T> m = (Vec<T>)((bits & C::kFractionMask) + C::kSqrtHalfBits);  // [sqrt(1/2), sqrt(2))
  const Vec<T> magic = broadcast(C::kMagic);
  const Vec<T> k = (Vec<T>)(exponent + (IntVec<T>)magic) - magic;  // exponent as a float
  const Vec<T> f = m - T(1);
  const Vec<T> s = f / (f + T(2)), z = s * s, half_square = f * f * T(0.5);
  const Vec<T> r = z * polynomial<T>(C::kLog, z);
  const Vec<T> correction = fma(k, broadcast(C::kLn2Low), s * (half_square + r));
  Vec<T> y = fma(k, broadcast(C::kLn2High), -((half_square - correction) - f));
  const Vec<T> infinity = broadcast(T(__builtin_inf()));
  y = x < infinity ? y : x;  // inf and NaN pass
  y = x == T(0) ? -infinity : y;
  return x < T(0) ? broadcast(T(__builtin_nan(""))) : y;
}

// log of 1 + x, the rounding of that sum made good to first order; at the ends (-1, inf, 0) there is nothing to make good.
template <class T>
DENSEKIT_INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> u = x + T(1), y = log<T>(u), correction = (x - (u - T(1))) / u;
  const Vec<T> z = (u == T(0)) | (u == T(__builtin_inf())) ? y : y + correction;
  return x == T(0) ? x : z;
}

template <class T>
DENSEKIT_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(-absolute<T>(x)), r = T(1) / (T(1) + e);
  return x < T(0) ? e * r : r;
}

template <class T>
DENSEKIT_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> e = expm1<T>(T(-2) * absolute<T>(x));
  return copy_sign<T>(absolute<T>(e / (e + T(2))), x);
}

// log1p for e in [0, 1], where its special cases cannot occur.
template <class T>
DENSEKIT_INLINE Vec<T> log1p_of_share(Vec<T> e) {
  const Vec<T> u = e + T(1);
  return log<T>(u) + (e - (u - T(1))) / u;
}

// max(x, 0) + log1p(exp(-|x|)).
template <class T>
DENSEKIT_INLINE Vec<T> softplus(Vec<T> x) {
  return max_or_second(Vec<T>{}, x) + log1p_of_share<T>(exp<T>(-absolute<T>(x)));
}

// x^exponent for x >= 0, and its slope in x. Small whole exponents are products, good for x < 0 too.
template <class T>
struct Power {
  int whole;
  Vec<T> exponent, less;
  explicit DENSEKIT_INLINE Power(double p) : whole(-1), exponent(broadcast(T(p))), less(broadcast(T(p - 1))) {
    if (p >= 0 && p <= 8 && p == double(int(p))) whole = int(p);
  }
  DENSEKIT_INLINE Vec<T> operator()(Vec<T> x, Vec<T>& slope) const {
    const Vec<T> one = broadcast(T(1));
    if (whole == 0) {
      slope = Vec<T>{};
      return one;
    }
    Vec<T> below = one;  // x^(exponent - 1)
    if (whole > 0) {
      for (int i = 1; i < whole; ++i) below *= x;
    } else {
      below = exp<T>(less * log<T>(x));
    }
    slope = exponent * below;
    return x == T(0) ? Vec<T>{} : below * x;
  }
};

// t * t - square exactly; without an FMA by splitting t into halves (Dekker 1971).
template <class T>
DENSEKIT_INLINE Vec<T> square_rest(Vec<T> t, Vec<T> square) {
#if defined(__FMA__) || defined(__aarch64__)
  return fma(t, t, -square);
#else
  const Vec<T> c = t * T(sizeof(T) == 4 ? 4097.0 : 134217729.0), high = c - (c - t), low = t - high;
  return ((high * high - square) + (high + high) * low) + low * low;
#endif
}

// For t >= 0; relative accuracy down to the smallest results.
template <class T>
DENSEKIT_INLINE Vec<T> erfc_positive(Vec<T> t) {
  using C = Constants<T>;
  t = min_or_second(broadcast(C::kErfcTop), t);
  const Vec<T> a = t + T(3), b = fma(t, broadcast(T(2)), broadcast(T(1)));
  const Vec<T> inverse = T(1) / (a * b);
  const Vec<T> g = polynomial<T>(C::kErfc, (t - T(3)) * b * inverse);
  const Vec<T> square = t * t,
               rest = square_rest<T>(t, square);  // t^2 to twice the digits: exp makes its error relative
  const Vec<T> e = exp<T>(-square);
  return fma(e, -rest, e) * (a * inverse) * g;
}

template <class T>
DENSEKIT_INLINE Vec<T> erf(Vec<T> x) {
  const Vec<T> t = absolute<T>(x);
  const Vec<T> small = x * polynomial<T>(Constants<T>::kErf, x * x);
  return t < T(1) ? small : copy_sign<T>(T(1) - erfc_positive<T>(t), x);
}
