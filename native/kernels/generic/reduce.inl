// Reductions. Along a row the lanes meet in a fixed tree; along another axis they are the columns, each one chain.

template <class T>
index_t first_extremum(bool is_max, index_t n, index_t stride, const T* x) {
  index_t best = 0;
  for (index_t i = 0; i < n; ++i) {
    const T v = x[i * stride], b = x[best * stride];
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
