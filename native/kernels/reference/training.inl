// The reference kernels of generic/optimizers.inl and constraints.inl.

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
