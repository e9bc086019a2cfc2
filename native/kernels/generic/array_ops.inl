// What `ops` of a graph ask for beyond activations: formulas of several operands, reductions, normalization, noise.

// ---- Elementwise formulas: value, and slope by each operand

template <class T>
DENSEKIT_INLINE Vec<T> truth(IntVec<T> mask) {
  return choose<T>(mask, broadcast(T(1)));
}

DENSEKIT_INLINE float scalar_power(float x, float y) { return __builtin_powf(x, y); }
DENSEKIT_INLINE double scalar_power(double x, double y) { return __builtin_pow(x, y); }
DENSEKIT_INLINE float scalar_atan2(float x, float y) { return __builtin_atan2f(x, y); }
DENSEKIT_INLINE double scalar_atan2(double x, double y) { return __builtin_atan2(x, y); }
DENSEKIT_INLINE float scalar_rest(float x, float y) { return __builtin_fmodf(x, y); }
DENSEKIT_INLINE double scalar_rest(double x, double y) { return __builtin_fmod(x, y); }

template <class T>
DENSEKIT_INLINE Vec<T> raised(Vec<T> a, Vec<T> b) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = scalar_power(a[i], b[i]);
  return a;
}
template <class T>
DENSEKIT_INLINE Vec<T> angle(Vec<T> a, Vec<T> b) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = scalar_atan2(a[i], b[i]);
  return a;
}
// The rest of a division, with the sign of the divisor, as Python and NumPy have it.
template <class T>
DENSEKIT_INLINE Vec<T> modulo(Vec<T> a, Vec<T> b) {
  Vec<T> r = a;
  for (int i = 0; i < kLanes<T>; ++i) r[i] = scalar_rest(a[i], b[i]);
  r = (r != T(0)) & ((r < T(0)) != (b < T(0))) ? r + b : r;
  return r == T(0) ? copy_sign<T>(Vec<T>{}, b) : r;
}
template <class T>
DENSEKIT_INLINE Vec<T> whole_quotient(Vec<T> a, Vec<T> b) {
  const Vec<T> q = lanes_rint((a - modulo<T>(a, b)) / b);
  return b == T(0) ? a / b : q;
}
template <class T>
DENSEKIT_INLINE Vec<T> log_of_sum(Vec<T> a, Vec<T> b) {
  const Vec<T> top = (a > b) | (a != a) ? a : b, gap = a == b ? Vec<T>{} : absolute<T>(a - b);
  return top + log1p_of_share<T>(exp<T>(-gap));
}

template <int Kind, class T>
struct Formula;
#define DENSEKIT_FORMULA(kind, value_expression, slope_a, slope_b, slope_c)                            \
  template <class T>                                                                                   \
  struct Formula<int(ElementwiseKind::kind), T> {                                                      \
    using V = Vec<T>;                                                                                  \
    static DENSEKIT_INLINE V one() { return broadcast(T(1)); }                                         \
    static DENSEKIT_INLINE V value([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V c) { \
      return value_expression;                                                                         \
    }                                                                                                  \
    static DENSEKIT_INLINE V by_a([[maybe_unused]] V a, [[maybe_unused]] V b) { return slope_a; }      \
    static DENSEKIT_INLINE V by_b([[maybe_unused]] V a, [[maybe_unused]] V b) { return slope_b; }      \
    static DENSEKIT_INLINE V by_c([[maybe_unused]] V a) { return slope_c; }                            \
  };
DENSEKIT_FORMULA(add, a + b, one(), one(), V{})
DENSEKIT_FORMULA(subtract, a - b, one(), -one(), V{})
DENSEKIT_FORMULA(multiply, a* b, b, a, V{})
DENSEKIT_FORMULA(divide, a / b, T(1) / b, -(a / b) / b, V{})
DENSEKIT_FORMULA(power, raised<T>(a, b), (b == T(0) ? V{} : b * raised<T>(a, b - T(1))),
                 (a == T(0) ? V{} : raised<T>(a, b) * log<T>(a)), V{})
DENSEKIT_FORMULA(maximum, ((a > b) | (a != a) ? a : b), (a == b ? broadcast(T(0.5)) : truth<T>(a > b)),
                 (a == b ? broadcast(T(0.5)) : truth<T>(a < b)), V{})
DENSEKIT_FORMULA(minimum, ((a < b) | (a != a) ? a : b), (a == b ? broadcast(T(0.5)) : truth<T>(a < b)),
                 (a == b ? broadcast(T(0.5)) : truth<T>(a > b)), V{})
DENSEKIT_FORMULA(arctan2, angle<T>(a, b), b / fma(a, a, b* b), -a / fma(a, a, b* b), V{})
DENSEKIT_FORMULA(mod, modulo<T>(a, b), one(), -whole_quotient<T>(a, b), V{})
DENSEKIT_FORMULA(floor_divide, whole_quotient<T>(a, b), V{}, V{}, V{})
DENSEKIT_FORMULA(logaddexp, log_of_sum<T>(a, b), sigmoid<T>(a == b ? V{} : a - b), sigmoid<T>(a == b ? V{} : b - a),
                 V{})
DENSEKIT_FORMULA(prelu, ((a > T(0)) | (a != a) ? a : a * b),
                 (a > T(0)   ? one()
                  : a < T(0) ? b
                             : V{}),
                 choose<T>(a < T(0), a), V{})
DENSEKIT_FORMULA(less, truth<T>(a < b), V{}, V{}, V{})
DENSEKIT_FORMULA(less_equal, truth<T>(a <= b), V{}, V{}, V{})
DENSEKIT_FORMULA(greater, truth<T>(a > b), V{}, V{}, V{})
DENSEKIT_FORMULA(greater_equal, truth<T>(a >= b), V{}, V{}, V{})
DENSEKIT_FORMULA(equal, truth<T>(a == b), V{}, V{}, V{})
DENSEKIT_FORMULA(not_equal, truth<T>(a != b), V{}, V{}, V{})
DENSEKIT_FORMULA(logical_and, truth<T>((a != T(0)) & (b != T(0))), V{}, V{}, V{})
DENSEKIT_FORMULA(logical_or, truth<T>((a != T(0)) | (b != T(0))), V{}, V{}, V{})
DENSEKIT_FORMULA(logical_xor, truth<T>((a != T(0)) != (b != T(0))), V{}, V{}, V{})
DENSEKIT_FORMULA(where, (a != T(0) ? b : c), V{}, truth<T>(a != T(0)), truth<T>(a == T(0)))
#undef DENSEKIT_FORMULA

// Loads an operand at i: a number of its own, or the same one everywhere.
template <class T>
struct Reader {
  const T* data;
  index_t step;
  Vec<T> same;
  explicit DENSEKIT_INLINE Reader(const Operand<T>& x)
      : data(x.data), step(x.step), same(x.data != nullptr && x.step == 0 ? broadcast(*x.data) : Vec<T>{}) {}
  template <class P>
  DENSEKIT_INLINE Vec<T> operator()(index_t i, P part) const {
    return step != 0 ? load(data + i, part) : same;
  }
};

template <int Kind, class T>
void map_formula(index_t n, const Operand<T>* x, T* y) {
  const Reader<T> a(x[0]), b(x[1]), c(Kind == int(ElementwiseKind::where) ? x[2] : Operand<T>{nullptr, 0});
  if (n == 0) return;
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    store(y + i, Formula<Kind, T>::value(a(i, part), b(i, part), c(i, part)), part);
  });
}
template <int Kind, class T>
void map_formula_slopes(index_t n, const Operand<T>* x, const T* dy, T* const* d) {
  if (n == 0) return;
  using F = Formula<Kind, T>;
  const Reader<T> a(x[0]), b(x[1]);
  T *const da = d[0], *const db = d[1], *const dc = Kind == int(ElementwiseKind::where) ? d[2] : nullptr;
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    const Vec<T> u = a(i, part), v = b(i, part), g = load(dy + i, part);
    if (da) store(da + i, g * F::by_a(u, v), part);
    if (db) store(db + i, g * F::by_b(u, v), part);
    if (dc) store(dc + i, g * F::by_c(u), part);
  });
}

template <class T>
void elementwise(ElementwiseKind kind, index_t n, const Operand<T>* x, T* y) {
  if (n == 0) return;
  switch (kind) {
#define DENSEKIT_CASE(name) \
  case ElementwiseKind::name: return map_formula<int(ElementwiseKind::name), T>(n, x, y);
    DENSEKIT_ELEMENTWISE(DENSEKIT_CASE)
#undef DENSEKIT_CASE
    case ElementwiseKind::count: return;
  }
}
template <class T>
void elementwise_backward(ElementwiseKind kind, index_t n, const Operand<T>* x, const T* dy, T* const* d) {
  if (n == 0) return;
  switch (kind) {
#define DENSEKIT_CASE(name) \
  case ElementwiseKind::name: return map_formula_slopes<int(ElementwiseKind::name), T>(n, x, dy, d);
    DENSEKIT_ELEMENTWISE(DENSEKIT_CASE)
#undef DENSEKIT_CASE
    case ElementwiseKind::count: return;
  }
}

// ---- Reductions. Along a row the lanes meet in a fixed tree; along another axis they are the columns, each one chain.

template <class T>
index_t first_extremum(bool is_max, index_t n, index_t step, const T* x) {
  index_t best = 0;
  for (index_t i = 0; i < n; ++i) {
    const T v = x[i * step], b = x[best * step];
    if (b != b) break;
    if (v != v || (is_max ? v > b : v < b)) best = i;
  }
  return best;
}

template <class T, class F>
DENSEKIT_INLINE void reduce_columns(index_t n, index_t inner, const T* x, T* y, F combine) {
  for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
    Vec<T> v = load(x + j, part);
    for (index_t i = 1; i < n; ++i) v = combine(v, load(x + i * inner + j, part));
    store(y + j, v, part);
  });
}

template <class T>
DENSEKIT_INLINE Vec<T> greater_or_nan(Vec<T> a, Vec<T> b) {
  return (a >= b) | (a != a) ? a : b;
}
template <class T>
DENSEKIT_INLINE Vec<T> lesser_or_nan(Vec<T> a, Vec<T> b) {
  return (a <= b) | (a != a) ? a : b;
}

template <class T>
void log_sum_exp_columns(index_t n, index_t inner, const T* x, T* y) {
  for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
    Vec<T> top = load(x + j, part);
    for (index_t i = 1; i < n; ++i) top = greater_or_nan<T>(top, load(x + i * inner + j, part));
    const Vec<T> base = absolute<T>(top) == T(__builtin_inf()) ? Vec<T>{} : top;
    Vec<T> sum = {};
    for (index_t i = 0; i < n; ++i) sum += exp<T>(load(x + i * inner + j, part) - base);
    store(y + j, log<T>(sum) + base, part);
  });
}

template <class T>
void reduce(ReductionKind kind, index_t outer, index_t n, index_t inner, T scale, const T* x, T* y) {
  for (index_t o = 0; o < outer; ++o, x += n * inner, y += inner) {
    switch (kind) {
      case ReductionKind::sum:
        if (inner == 1) {
          *y = scale *
               row_sum<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) { return load(x + i, part); })[0];
        } else if (n == 0) {
          for (index_t j = 0; j < inner; ++j) y[j] = 0;
        } else {
          reduce_columns<T>(n, inner, x, y, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; });
          for_vectors<T>(inner, [&](index_t j, auto part)
                                    __attribute__((always_inline)) { store(y + j, load(y + j, part) * scale, part); });
        }
        break;
      case ReductionKind::max:
        reduce_columns<T>(n, inner, x, y,
                          [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return greater_or_nan<T>(a, b); });
        break;
      case ReductionKind::min:
        reduce_columns<T>(n, inner, x, y,
                          [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return lesser_or_nan<T>(a, b); });
        break;
      case ReductionKind::prod:
        reduce_columns<T>(n, inner, x, y, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a * b; });
        break;
      case ReductionKind::logsumexp: log_sum_exp_columns<T>(n, inner, x, y); break;
      case ReductionKind::argmax:
      case ReductionKind::argmin:
        for (index_t j = 0; j < inner; ++j) y[j] = T(first_extremum(kind == ReductionKind::argmax, n, inner, x + j));
        break;
      case ReductionKind::count: return;
    }
  }
}

template <class T>
void reduce_backward(ReductionKind kind, index_t outer, index_t n, index_t inner, T scale, const T* x, const T* y,
                     const T* dy, T* dx) {
  for (index_t o = 0; o < outer; ++o, x += n * inner, dx += n * inner, y += inner, dy += inner) {
    switch (kind) {
      case ReductionKind::sum:
        if (inner == 1) {
          const Vec<T> d = broadcast(*dy * scale);
          for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) { store(dx + i, d, part); });
        } else {
          for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
            const Vec<T> d = load(dy + j, part) * scale;
            for (index_t i = 0; i < n; ++i) store(dx + i * inner + j, d, part);
          });
        }
        break;
      case ReductionKind::max:
      case ReductionKind::min:
        for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
          const Vec<T> best = load(y + j, part);
          Vec<T> ties = {};
          for (index_t i = 0; i < n; ++i) ties += truth<T>(load(x + i * inner + j, part) == best);
          const Vec<T> d = load(dy + j, part) / ties;
          for (index_t i = 0; i < n; ++i) {
            store(dx + i * inner + j, choose<T>(load(x + i * inner + j, part) == best, d), part);
          }
        });
        break;
      case ReductionKind::prod:  // of the others: from the left into dx, then times what is right of it
        for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
          Vec<T> left = load(dy + j, part), right = broadcast(T(1));
          for (index_t i = 0; i < n; ++i) {
            store(dx + i * inner + j, left, part);
            left *= load(x + i * inner + j, part);
          }
          for (index_t i = n; i-- > 0;) {
            store(dx + i * inner + j, load(dx + i * inner + j, part) * right, part);
            right *= load(x + i * inner + j, part);
          }
        });
        break;
      case ReductionKind::logsumexp:
        for_vectors<T>(inner, [&](index_t j, auto part) __attribute__((always_inline)) {
          const Vec<T> total = load(y + j, part), d = load(dy + j, part);
          for (index_t i = 0; i < n; ++i)
            store(dx + i * inner + j, d * exp<T>(load(x + i * inner + j, part) - total), part);
        });
        break;
      case ReductionKind::argmax:
      case ReductionKind::argmin:
        for (index_t i = 0; i < n * inner; ++i) dx[i] = 0;
        break;
      case ReductionKind::count: return;
    }
  }
}

// ---- Normalization of rows

template <class T>
void normalize(NormalizationKind kind, index_t rows, index_t width, const T* x, const T* gamma, const T* beta,
               double epsilon, T* y, T* stats) {
  const T share = T(1) / T(width);
  for (index_t r = 0; r < rows; ++r, x += width, y += width) {
    Vec<T> mean = {};
    if (kind == NormalizationKind::layer) {
      mean = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(x + j, part); }) *
             share;
    }
    const Vec<T> squares = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> d = load(x + j, part) - mean;
      return d * d;
    });
    const Vec<T> factor = kind == NormalizationKind::unit ? T(1) / max_or_second(broadcast(T(epsilon)), sqrt(squares))
                                                          : T(1) / sqrt(squares * share + T(epsilon));
    for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      Vec<T> v = (load(x + j, part) - mean) * factor;
      if (gamma) v *= load(gamma + j, part);
      if (beta) v += load(beta + j, part);
      store(y + j, v, part);
    });
    if (stats) stats[2 * r] = mean[0], stats[2 * r + 1] = factor[0];
  }
}

template <class T>
void normalize_backward(NormalizationKind kind, index_t rows, index_t width, double epsilon, const T* x, const T* stats,
                        const T* gamma, const T* dy, T* dx) {
  const T share = T(1) / T(width);
  for (index_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
    const Vec<T> mean = broadcast(stats[2 * r]), factor = broadcast(stats[2 * r + 1]);
    const auto d = [&](index_t j, auto part) __attribute__((always_inline)) {
      return gamma ? load(dy + j, part) * load(gamma + j, part) : load(dy + j, part);
    };
    const auto normal = [&](index_t j, auto part)
                            __attribute__((always_inline)) { return (load(x + j, part) - mean) * factor; };
    Vec<T> projection = row_sum<T>(
        width, [&](index_t j, auto part) __attribute__((always_inline)) { return d(j, part) * normal(j, part); });
    Vec<T> level = {};
    if (kind == NormalizationKind::layer) {
      level = row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) { return d(j, part); }) *
              share;
    }
    if (kind != NormalizationKind::unit) projection *= share;
    else if (factor[0] >= T(1) / T(epsilon))
      projection = Vec<T>{};  // too short to be scaled to length 1: a mere factor
    for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      store(dx + j, factor * (d(j, part) - level - normal(j, part) * projection), part);
    });
  }
}

template <class T>
void normalize_gradient(index_t rows, index_t width, const T* x, const T* stats, const T* dy, T* d_gamma,
                        bool accumulate) {
  for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    Vec<T> sum = accumulate ? load(d_gamma + j, part) : Vec<T>{};
    for (index_t r = 0; r < rows; ++r) {
      const Vec<T> normal = (load(x + r * width + j, part) - stats[2 * r]) * stats[2 * r + 1];
      sum = fma(load(dy + r * width + j, part), normal, sum);
    }
    store(d_gamma + j, sum, part);
  });
}

template <class T>
void column_dots(index_t rows, index_t width, const T* a, const T* b, T* out, bool accumulate) {
  for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    Vec<T> sum = accumulate ? load(out + j, part) : Vec<T>{};
    for (index_t r = 0; r < rows; ++r) sum = fma(load(a + r * width + j, part), load(b + r * width + j, part), sum);
    store(out + j, sum, part);
  });
}

// ---- Noise

// The quantile of the standard normal distribution, by Wichura, "Algorithm AS 241" (Applied Statistics 37, 1988), PPND16:
// rational functions of (p - 1/2)^2 in the middle, of sqrt(-log p) in the tails.
template <class T>
DENSEKIT_INLINE Vec<T> normal_quantile(Vec<T> p) {
  constexpr T a[] = {T(3.3871328727963666080e0),  T(1.3314166789178437745e+2), T(1.9715909503065514427e+3),
                     T(1.3731693765509461125e+4), T(4.5921953931549871457e+4), T(6.7265770927008700853e+4),
                     T(3.3430575583588128105e+4), T(2.5090809287301226727e+3)};
  constexpr T b[] = {T(1),
                     T(4.2313330701600911252e+1),
                     T(6.8718700749205790830e+2),
                     T(5.3941960214247511077e+3),
                     T(2.1213794301586595867e+4),
                     T(3.9307895800092710610e+4),
                     T(2.8729085735721942674e+4),
                     T(5.2264952788528545610e+3)};
  constexpr T c[] = {T(1.42343711074968357734e0),  T(4.63033784615654529590e0), T(5.76949722146069140550e0),
                     T(3.64784832476320460504e0),  T(1.27045825245236838258e0), T(2.41780725177450611770e-1),
                     T(2.27238449892691845833e-2), T(7.74545014278341407640e-4)};
  constexpr T d[] = {T(1),
                     T(2.05319162663775882187e0),
                     T(1.67638483018380384940e0),
                     T(6.89767334985100004550e-1),
                     T(1.48103976427480074590e-1),
                     T(1.51986665636164571966e-2),
                     T(5.47593808499534494600e-4),
                     T(1.05075007164441684324e-9)};
  constexpr T e[] = {T(6.65790464350110377720e0),  T(5.46378491116411436990e0),  T(1.78482653991729133580e0),
                     T(2.96560571828504891230e-1), T(2.65321895265761230930e-2), T(1.24266094738807843860e-3),
                     T(2.71155556874348757815e-5), T(2.01033439929228813265e-7)};
  constexpr T f[] = {T(1),
                     T(5.99832206555887937690e-1),
                     T(1.36929880922735805310e-1),
                     T(1.48753612908506148525e-2),
                     T(7.86869131145613259100e-4),
                     T(1.84631831751005468180e-5),
                     T(1.42151175831644588870e-7),
                     T(2.04426310338993978564e-15)};
  const Vec<T> q = p - T(0.5), r = T(0.180625) - q * q;
  const Vec<T> middle = q * polynomial<T>(a, r) / polynomial<T>(b, r);
  const Vec<T> tail = sqrt(-log<T>(q < T(0) ? p : T(1) - p));
  const Vec<T> near = polynomial<T>(c, tail - T(1.6)) / polynomial<T>(d, tail - T(1.6));
  const Vec<T> far = polynomial<T>(e, tail - T(5)) / polynomial<T>(f, tail - T(5));
  return absolute<T>(q) <= T(0.425) ? middle : copy_sign<T>(tail <= T(5) ? near : far, q);
}

// (word + 1/2) / 2^32, in double: in float the words near 2^32 would all be 1.
template <class T>
void gaussian(index_t n, uint64_t key, uint64_t counter, uint64_t first_element, T* y) {
  alignas(64) uint32_t words[4 * kWords];
  alignas(64) double values[4 * kWords + kLanes<double>];
  for (int i = 0; i < kLanes<double>; ++i) values[4 * kWords + i] = 0.5;
  uint64_t block = first_element / 4;
  index_t skip = index_t(first_element % 4);
  while (n > 0) {
    philox_blocks(block, counter, key, words);
    const index_t count = n < 4 * kWords - skip ? n : 4 * kWords - skip;
    for (index_t i = 0; i < 4 * kWords; ++i) values[i] = (double(words[i]) + 0.5) * 0x1p-32;
    for (index_t i = 0; i < 4 * kWords; i += kLanes<double>)
      store(values + i, normal_quantile<double>(load(values + i)));
    for (index_t i = 0; i < count; ++i) y[i] = T(values[skip + i]);
    block += kWords;
    y += count, n -= count, skip = 0;
  }
}
