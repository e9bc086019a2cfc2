// Normalization of rows.

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
