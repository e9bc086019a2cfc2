// The reference kernels of generic/array_ops.inl.

double rest(double a, double b) {
  double r = std::fmod(a, b);
  if (r != 0 && (r < 0) != (b < 0)) r += b;
  return r == 0 ? std::copysign(0.0, b) : r;
}
double whole_quotient(double a, double b) { return b == 0 ? a / b : std::nearbyint((a - rest(a, b)) / b); }

double formula(ElementwiseKind kind, double a, double b, double c) {
  switch (kind) {
    case ElementwiseKind::add: return a + b;
    case ElementwiseKind::subtract: return a - b;
    case ElementwiseKind::multiply: return a * b;
    case ElementwiseKind::divide: return a / b;
    case ElementwiseKind::power: return std::pow(a, b);
    case ElementwiseKind::maximum: return a > b || a != a ? a : b;
    case ElementwiseKind::minimum: return a < b || a != a ? a : b;
    case ElementwiseKind::arctan2: return std::atan2(a, b);
    case ElementwiseKind::mod: return rest(a, b);
    case ElementwiseKind::floor_divide: return whole_quotient(a, b);
    case ElementwiseKind::logaddexp:
      if (a == b) return a + std::log(2.0);
      return (a > b || a != a ? a : b) + std::log1p(std::exp(-std::fabs(a - b)));
    case ElementwiseKind::prelu: return a > 0 || a != a ? a : a * b;
    case ElementwiseKind::less: return a < b;
    case ElementwiseKind::less_equal: return a <= b;
    case ElementwiseKind::greater: return a > b;
    case ElementwiseKind::greater_equal: return a >= b;
    case ElementwiseKind::equal: return a == b;
    case ElementwiseKind::not_equal: return a != b;
    case ElementwiseKind::logical_and: return a != 0 && b != 0;
    case ElementwiseKind::logical_or: return a != 0 || b != 0;
    case ElementwiseKind::logical_xor: return (a != 0) != (b != 0);
    case ElementwiseKind::where: return a != 0 ? b : c;
    case ElementwiseKind::count: break;
  }
  return 0;
}

// By operand k.
double formula_slope(ElementwiseKind kind, int k, double a, double b) {
  const bool first = k == 0;
  switch (kind) {
    case ElementwiseKind::add: return 1;
    case ElementwiseKind::subtract: return first ? 1 : -1;
    case ElementwiseKind::multiply: return first ? b : a;
    case ElementwiseKind::divide: return first ? 1 / b : -a / b / b;
    case ElementwiseKind::power:
      if (first) return b == 0 ? 0 : b * std::pow(a, b - 1);
      return a == 0 ? 0 : std::pow(a, b) * std::log(a);
    case ElementwiseKind::maximum: return a == b ? 0.5 : first ? a > b : a < b;
    case ElementwiseKind::minimum: return a == b ? 0.5 : first ? a < b : a > b;
    case ElementwiseKind::arctan2: return (first ? b : -a) / (a * a + b * b);
    case ElementwiseKind::mod: return first ? 1 : -whole_quotient(a, b);
    case ElementwiseKind::logaddexp: return a == b ? 0.5 : first ? sigmoid(a - b) : sigmoid(b - a);
    case ElementwiseKind::prelu:
      if (first) return a > 0 ? 1 : a < 0 ? b : 0;
      return a < 0 ? a : 0;
    case ElementwiseKind::where: return first ? 0 : k == 1 ? a != 0 : a == 0;
    case ElementwiseKind::floor_divide:
    case ElementwiseKind::less:
    case ElementwiseKind::less_equal:
    case ElementwiseKind::greater:
    case ElementwiseKind::greater_equal:
    case ElementwiseKind::equal:
    case ElementwiseKind::not_equal:
    case ElementwiseKind::logical_and:
    case ElementwiseKind::logical_or:
    case ElementwiseKind::logical_xor:
    case ElementwiseKind::count: break;
  }
  return 0;
}

template <class T>
void elementwise(ElementwiseKind kind, index_t n, const Operand<T>* x, T* y) {
  const bool three = kind == ElementwiseKind::where;
  for (index_t i = 0; i < n; ++i) {
    y[i] = T(formula(kind, x[0].data[i * x[0].stride], x[1].data[i * x[1].stride],
                     three ? x[2].data[i * x[2].stride] : T(0)));
  }
}

template <class T>
void elementwise_backward(ElementwiseKind kind, index_t n, const Operand<T>* x, const T* dy, T* const* d) {
  for (index_t i = 0; i < n; ++i) {
    const T a = x[0].data[i * x[0].stride], b = x[1].data[i * x[1].stride], g = dy[i];
    for (int k = 0; k < (kind == ElementwiseKind::where ? 3 : 2); ++k) {
      if (d[k]) d[k][i] = T(g * formula_slope(kind, k, a, b));
    }
  }
}

template <class T>
index_t first_extremum(bool is_max, index_t n, index_t step, const T* x) {
  index_t best = 0;
  for (index_t i = 0; i < n && x[best * step] == x[best * step]; ++i) {
    const T v = x[i * step], b = x[best * step];
    if (v != v || (is_max ? v > b : v < b)) best = i;
  }
  return best;
}

template <class T>
void reduce(ReductionKind kind, index_t outer, index_t n, index_t inner, T scale, const T* x, T* y) {
  for (index_t o = 0; o < outer; ++o) {
    for (index_t j = 0; j < inner; ++j) {
      const T* row = x + o * n * inner + j;
      double sum = 0, product = 1, top = -INFINITY;
      for (index_t i = 0; i < n; ++i) {
        const double v = row[i * inner];
        sum += v, product *= v;
        if (v > top || v != v) top = v;
      }
      T& result = y[o * inner + j];
      switch (kind) {
        case ReductionKind::sum: result = T(scale * sum); break;
        case ReductionKind::max: result = row[first_extremum(true, n, inner, row) * inner]; break;
        case ReductionKind::min: result = row[first_extremum(false, n, inner, row) * inner]; break;
        case ReductionKind::prod: result = T(product); break;
        case ReductionKind::logsumexp: {
          const double base = std::isinf(top) ? 0 : top;
          double total = 0;
          for (index_t i = 0; i < n; ++i) total += std::exp(row[i * inner] - base);
          result = T(std::log(total) + base);
          break;
        }
        case ReductionKind::argmax:
        case ReductionKind::argmin: result = T(first_extremum(kind == ReductionKind::argmax, n, inner, row)); break;
        case ReductionKind::count: break;
      }
    }
  }
}

template <class T>
void reduce_backward(ReductionKind kind, index_t outer, index_t n, index_t inner, T scale, const T* x, const T* y,
                     const T* dy, T* dx) {
  for (index_t o = 0; o < outer; ++o) {
    for (index_t j = 0; j < inner; ++j) {
      const T* row = x + o * n * inner + j;
      T* d = dx + o * n * inner + j;
      const double best = y[o * inner + j], g = dy[o * inner + j];
      index_t ties = 0;
      for (index_t i = 0; i < n; ++i) ties += row[i * inner] == best;
      for (index_t i = 0; i < n; ++i) {
        double slope = 0;
        switch (kind) {
          case ReductionKind::sum: slope = scale; break;
          case ReductionKind::max:
          case ReductionKind::min: slope = row[i * inner] == best ? 1.0 / double(ties) : 0; break;
          case ReductionKind::prod:
            slope = 1;
            for (index_t other = 0; other < n; ++other) slope *= other == i ? 1 : row[other * inner];
            break;
          case ReductionKind::logsumexp: slope = std::exp(row[i * inner] - best); break;
          case ReductionKind::argmax:
          case ReductionKind::argmin:
          case ReductionKind::count: break;
        }
        d[i * inner] = T(g * slope);
      }
    }
  }
}

template <class T>
void normalize(NormalizationKind kind, index_t rows, index_t width, const T* x, const T* gamma, const T* beta,
               double epsilon, T* y, T* stats) {
  for (index_t r = 0; r < rows; ++r, x += width, y += width) {
    double mean = 0, squares = 0;
    for (index_t j = 0; j < width && kind == NormalizationKind::layer; ++j) mean += x[j] / double(width);
    for (index_t j = 0; j < width; ++j) squares += (x[j] - mean) * (x[j] - mean);
    const double length = std::sqrt(squares);
    const double factor = kind == NormalizationKind::unit
                              ? 1 / (length > epsilon || length != length ? length : epsilon)
                              : 1 / std::sqrt(squares / double(width) + epsilon);
    for (index_t j = 0; j < width; ++j) {
      y[j] = T((x[j] - mean) * factor * (gamma ? double(gamma[j]) : 1.0) + (beta ? double(beta[j]) : 0.0));
    }
    if (stats) stats[2 * r] = T(mean), stats[2 * r + 1] = T(factor);
  }
}

template <class T>
void normalize_backward(NormalizationKind kind, index_t rows, index_t width, double epsilon, const T* x, const T* stats,
                        const T* gamma, const T* dy, T* dx) {
  for (index_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
    const double mean = stats[2 * r], factor = stats[2 * r + 1], n = double(width);
    double projection = 0, level = 0;
    for (index_t j = 0; j < width; ++j) {
      const double d = dy[j] * (gamma ? double(gamma[j]) : 1.0);
      projection += d * (x[j] - mean) * factor, level += d / n;
    }
    if (kind != NormalizationKind::layer) level = 0;
    if (kind != NormalizationKind::unit) projection /= n;
    else if (T(factor) >= T(1) / T(epsilon)) projection = 0;
    for (index_t j = 0; j < width; ++j) {
      const double d = dy[j] * (gamma ? double(gamma[j]) : 1.0);
      dx[j] = T(factor * (d - level - (x[j] - mean) * factor * projection));
    }
  }
}

template <class T>
void normalize_gradient(index_t rows, index_t width, const T* x, const T* stats, const T* dy, T* d_gamma,
                        bool accumulate) {
  for (index_t j = 0; j < width; ++j) {
    double sum = accumulate ? double(d_gamma[j]) : 0;
    for (index_t r = 0; r < rows; ++r) {
      sum += double(dy[r * width + j]) * (double(x[r * width + j]) - stats[2 * r]) * stats[2 * r + 1];
    }
    d_gamma[j] = T(sum);
  }
}

template <class T>
void column_dots(index_t rows, index_t width, const T* a, const T* b, T* out, bool accumulate) {
  for (index_t j = 0; j < width; ++j) {
    double sum = accumulate ? double(out[j]) : 0;
    for (index_t r = 0; r < rows; ++r) sum += double(a[r * width + j]) * b[r * width + j];
    out[j] = T(sum);
  }
}

// The quantile by bisection and Newton's steps on the distribution itself.
double normal_quantile(double p) {
  double low = -7, high = 7;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle * kSqrtHalf) < p ? low : high) = middle;
  }
  double z = (low + high) / 2;
  for (int i = 0; i < 3; ++i) {
    // By the nearer tail, whose digits are not lost beside 1.
    const double error = z < 0 ? 0.5 * std::erfc(-z * kSqrtHalf) - p : (1 - p) - 0.5 * std::erfc(z * kSqrtHalf);
    z -= error / (kInverseSqrtTwoPi * std::exp(-0.5 * z * z));
  }
  return z;
}

template <class T>
void gaussian(index_t n, uint64_t key, uint64_t counter, uint64_t first_element, T* y) {
  for (index_t i = 0; i < n; ++i) {
    const uint64_t element = first_element + uint64_t(i), block = element / 4;
    const uint32_t at[4] = {uint32_t(block), uint32_t(block >> 32), uint32_t(counter), uint32_t(counter >> 32)};
    const uint32_t keys[2] = {uint32_t(key), uint32_t(key >> 32)};
    uint32_t words[4];
    philox4x32(at, keys, words);
    y[i] = T(normal_quantile((words[element % 4] + 0.5) * 0x1p-32));
  }
}
