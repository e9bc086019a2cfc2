// Constraints, and the orthogonal regularizer.

template <class T>
struct NormRule {
  ConstraintKind kind;
  Vec<T> low, high, rate, epsilon;
  DENSEKIT_INLINE Vec<T> factor(Vec<T> squares) const {
    const Vec<T> norm = sqrt(squares);
    if (kind == ConstraintKind::unit_norm) return T(1) / (epsilon + norm);
    return fma(rate, clip<T>(norm, low, high), (T(1) - rate) * norm) / (epsilon + norm);
  }
};

template <class T, int Vectors, class P>
DENSEKIT_INLINE void constrain_columns(const NormRule<T>& rule, index_t rows, index_t width, T* w, P part) {
  Vec<T> squares[Vectors] = {};
  for (index_t r = 0; r < rows; ++r)
    for (int v = 0; v < Vectors; ++v) {
      const Vec<T> x = load(w + r * width + v * kLanes<T>, part);
      squares[v] = fma(x, x, squares[v]);
    }
  for (int v = 0; v < Vectors; ++v) squares[v] = rule.factor(squares[v]);
  for (index_t r = 0; r < rows; ++r)
    for (int v = 0; v < Vectors; ++v) {
      T* x = w + r * width + v * kLanes<T>;
      store(x, load(x, part) * squares[v], part);
    }
}

template <class T>
void constrain(const ConstraintSpec& s, index_t rows, index_t width, T* w) {
  NormRule<T> rule = {s.kind, Vec<T>{}, broadcast(T(s.p[0])), broadcast(T(1)), Vec<T>{}};
  double axis = 0;
  switch (s.kind) {
    case ConstraintKind::non_neg:
    case ConstraintKind::clip: {
      const bool clips = s.kind == ConstraintKind::clip;
      const Vec<T> low = broadcast(clips ? T(s.p[0]) : T(0));
      const Vec<T> high = broadcast(clips ? T(s.p[1]) : T(__builtin_inf()));
      map_two<T>(rows * width, w, w, w,
                 [=](Vec<T> v, Vec<T>) __attribute__((always_inline)) { return clip<T>(v, low, high); });
      return;
    }
    case ConstraintKind::max_norm: axis = s.p[1], rule.epsilon = broadcast(T(s.p[2])); break;
    case ConstraintKind::min_max_norm:
      rule.low = broadcast(T(s.p[0])), rule.high = broadcast(T(s.p[1])), rule.rate = broadcast(T(s.p[2]));
      axis = s.p[3], rule.epsilon = broadcast(T(s.p[4]));
      break;
    case ConstraintKind::unit_norm: axis = s.p[0], rule.epsilon = broadcast(T(s.p[1])); break;
    case ConstraintKind::none:
    case ConstraintKind::count: return;
  }
  if (axis == 0) {
    index_t j = 0;
    for (; j + 4 * kLanes<T> <= width; j += 4 * kLanes<T>) constrain_columns<T, 4>(rule, rows, width, w + j, Full{});
    for_vectors<T>(width - j, [&](index_t i, auto part) __attribute__((always_inline)) {
      constrain_columns<T, 1>(rule, rows, width, w + j + i, part);
    });
    return;
  }
  if (axis < 0) width *= rows, rows = 1;
  for (index_t r = 0; r < rows; ++r, w += width) {
    const Vec<T> factor = rule.factor(row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> x = load(w + j, part);
      return x * x;
    }));
    map_two<T>(width, w, w, w, [=](Vec<T> v, Vec<T>) __attribute__((always_inline)) { return v * factor; });
  }
}

// value = factor / 2 * sum over i != j of |u_i . u_j| / pairs, u the unit vectors of the rows (or columns).
// With c_ij = u_i . u_j: d value / d w_i = factor / pairs * sum over j != i of sign(c_ij) (u_j - c_ij u_i) / |w_i|.
template <class T>
double orthogonal(const RegularizerSpec& s, index_t rows, index_t width, const T* w, T* g, T* scratch) {
  const bool columns = s.p[1] != 0;
  const index_t size = columns ? width : rows, length = columns ? rows : width;
  if (size < 2) return 0;               // no pairs
  T* unit = scratch;                    // [size, length]
  T* cosine = scratch + size * length;  // [size, size]; 1 / norm on the diagonal
  for (index_t i = 0; i < size; ++i) {
    T* u = unit + i * length;
    for (index_t e = 0; e < length; ++e) u[e] = columns ? w[e * width + i] : w[i * width + e];
    const Vec<T> norm = sqrt(row_sum<T>(length, [&](index_t e, auto part) __attribute__((always_inline)) {
      const Vec<T> x = load(u + e, part);
      return x * x;
    }));
    const Vec<T> inverse = norm > T(0) ? T(1) / norm : Vec<T>{};
    map_two<T>(length, u, u, u, [=](Vec<T> v, Vec<T>) __attribute__((always_inline)) { return v * inverse; });
    cosine[i * size + i] = inverse[0];
  }
  double total = 0;
  for (index_t i = 0; i < size; ++i) {
    for (index_t j = 0; j < i; ++j) {
      const T c = row_sum<T>(length, [&](index_t e, auto part) __attribute__((always_inline)) {
        return load(unit + i * length + e, part) * load(unit + j * length + e, part);
      })[0];
      cosine[i * size + j] = cosine[j * size + i] = c;
      total += 2.0 * double(__builtin_fabs(double(c)));
    }
  }
  const double pairs = double(size) * (double(size) - 1) / 2;
  if (g) {
    for (index_t i = 0; i < size; ++i) {
      T magnitudes = 0;
      for (index_t j = 0; j < size; ++j)
        if (j != i) magnitudes += cosine[i * size + j] < 0 ? -cosine[i * size + j] : cosine[i * size + j];
      const T factor = T(s.p[0] / pairs) * cosine[i * size + i];
      for_vectors<T>(length, [&](index_t e, auto part) __attribute__((always_inline)) {
        Vec<T> d = -magnitudes * load(unit + i * length + e, part);
        for (index_t j = 0; j < size; ++j) {
          const T c = cosine[i * size + j];
          if (j != i && c != 0) d += T(c > 0 ? 1 : c < 0 ? -1 : c) * load(unit + j * length + e, part);
        }
        d *= factor;
        if (!columns) {
          store(g + i * width + e, load(g + i * width + e, part) + d, part);
        } else {
          for (index_t lane = 0; lane < kLanes<T> && e + lane < length; ++lane) g[(e + lane) * width + i] += d[lane];
        }
      });
    }
  }
  return s.p[0] * 0.5 * total / pairs;
}
