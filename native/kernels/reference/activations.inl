// The reference kernels of generic/activations.inl and activate.inl.

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
