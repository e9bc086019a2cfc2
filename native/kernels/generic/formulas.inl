// Formulas of several operands, of which `ops` in a graph are made: value, and slope by each operand.

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
  index_t stride;
  Vec<T> same;
  explicit DENSEKIT_INLINE Reader(const Operand<T>& x)
      : data(x.data), stride(x.stride), same(x.data != nullptr && x.stride == 0 ? broadcast(*x.data) : Vec<T>{}) {}
  template <class P>
  DENSEKIT_INLINE Vec<T> operator()(index_t i, P part) const {
    return stride != 0 ? load(data + i, part) : same;
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
