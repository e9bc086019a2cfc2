// The reference kernels of generic/losses.inl: element by element, row by row, from logits.

double smooth(const LossSpec& s, double t, index_t width) {
  if (s.kind == LossKind::binary_crossentropy || s.kind == LossKind::binary_focal_crossentropy)
    return t * (1 - s.p[1]) + 0.5 * s.p[1];
  return t * (1 - s.p[1]) + s.p[1] / double(width);
}

// Target of class j in row r, smoothing done; a label outside [0, width) has no class.
template <class T>
double target(const LossSpec& s, index_t width, const T* y_true, const int32_t* labels, index_t r, index_t j) {
  if (s.kind == LossKind::sparse_categorical_crossentropy) return labels[r] == j ? 1 : 0;
  return smooth(s, y_true[r * width + j], width);
}

bool is_ignored(const LossSpec& s, const int32_t* labels, index_t r) {
  return takes_labels(s.kind) && double(labels[r]) == s.p[1];
}

// Slope of max(x, low).
double max_slope(double x, double low) { return x > low ? 1 : x == low ? 0.5 : 0; }

double power_slope(double x, double exponent) { return exponent == 0 ? 0 : exponent * std::pow(x, exponent - 1); }

// Kinds that are a mean, or a sum, over elements: value and slope at a prediction.
template <class T>
double element_loss(const LossSpec& s, index_t width, double t, double p, double& slope) {
  const double e = p - t;
  switch (s.kind) {
    case LossKind::mean_squared_error: slope = 2 * e; return e * e;
    case LossKind::mean_absolute_error: slope = sign(e); return std::fabs(e);
    case LossKind::mean_absolute_percentage_error: {
      const double size = std::fmax(std::fabs(t), T(s.p[0]));
      slope = 100 * sign(e) / size;
      return 100 * std::fabs(e) / size;
    }
    case LossKind::mean_squared_logarithmic_error: {
      const double low = T(s.p[0]), u = std::fmax(p, low) + 1, difference = std::log(u / (std::fmax(t, low) + 1));
      slope = 2 * difference / u * max_slope(p, low);
      return difference * difference;
    }
    case LossKind::huber:
      slope = std::fabs(e) <= s.p[0] ? e : s.p[0] * sign(e);
      return std::fabs(e) <= s.p[0] ? e * e / 2 : s.p[0] * std::fabs(e) - s.p[0] * s.p[0] / 2;
    case LossKind::log_cosh: slope = std::tanh(e); return std::fabs(e) + softplus(-2 * std::fabs(e)) - std::log(2.0);
    case LossKind::poisson: slope = 1 - t / (p + s.p[0]); return p - t * std::log(p + s.p[0]);
    case LossKind::kl_divergence: {
      const double low = T(s.p[0]), a = clip(t, low, 1), b = clip(p, low, 1);
      slope = -a / b * clip_slope(p, low, 1);
      return a * std::log(a / b);
    }
    case LossKind::hinge:
    case LossKind::squared_hinge: {
      if (s.p[0] != 0) t = 2 * t - 1;
      const double x = 1 - t * p, y = x > 0 ? x : 0;
      slope = s.kind == LossKind::hinge ? -t * max_slope(x, 0) : -2 * t * y;
      return s.kind == LossKind::hinge ? y : y * y;
    }
    default: {  // binary cross-entropies of probabilities
      const bool focal = s.kind == LossKind::binary_focal_crossentropy, logits = focal && s.p[0] != 0;
      const double low = T(s.p[2]), high = T(1 - s.p[2]);
      t = smooth(s, t, width);
      if (logits) p = T(sigmoid(p));
      const double c = clip(p, low, high), entropy = -(t * std::log(c) + (1 - t) * std::log(1 - c));
      slope = clip_slope(p, low, high) * ((1 - t) / (1 - c) - t / c);
      if (!focal) return entropy;
      const double wrong = 1 - (t * p + (1 - t) * (1 - p)), factor = std::pow(wrong, s.p[3]);
      const double balance = std::isnan(s.p[4]) ? 1 : t * s.p[4] + (1 - t) * (1 - s.p[4]);
      slope = balance * (factor * slope + power_slope(wrong, s.p[3]) * (1 - 2 * t) * entropy);
      if (logits) slope *= p * (1 - p);
      return balance * factor * entropy;
    }
  }
}

bool is_element_loss(LossKind kind) {
  switch (kind) {
    case LossKind::categorical_crossentropy:
    case LossKind::sparse_categorical_crossentropy:
    case LossKind::cosine_similarity:
    case LossKind::categorical_hinge:
    case LossKind::categorical_focal_crossentropy:
    case LossKind::categorical_generalized_cross_entropy:
    case LossKind::dice:
    case LossKind::tversky: return false;
    default: return true;
  }
}

// Kinds that look at the row as a whole; d may be null, else it is set to the gradient times `factor`.
template <class T>
double row_loss_of(const LossSpec& s, index_t width, const T* t, int32_t label, const T* y, double factor, T* d) {
  double tt = 0, yy = 0, ty = 0, t_sum = 0, y_sum = 0;
  for (index_t j = 0; t && j < width; ++j) {
    tt += double(t[j]) * t[j], yy += double(y[j]) * y[j], ty += double(t[j]) * y[j];
    t_sum += t[j], y_sum += y[j];
  }
  const auto gradient = [&](auto at) {
    for (index_t j = 0; d && j < width; ++j) d[j] = T(factor * at(j));
  };
  switch (s.kind) {
    case LossKind::cosine_similarity: {
      const double least = s.p[0] * s.p[0], inverse = 1 / std::sqrt(std::fmax(yy, least));
      const double scale = inverse / std::sqrt(std::fmax(tt, least));
      gradient([&](index_t j) { return scale * (ty * inverse * inverse * max_slope(yy, least) * y[j] - t[j]); });
      return -ty * scale;
    }
    case LossKind::categorical_hinge: {
      double wrong = -INFINITY, greatest = 0;
      const auto other = [&](index_t j) { return T((1 - t[j]) * y[j]); };
      for (index_t j = 0; j < width; ++j) wrong = wrong < other(j) ? double(other(j)) : wrong;
      for (index_t j = 0; j < width; ++j) greatest += other(j) == wrong;
      const double x = wrong - ty + 1;
      gradient([&](index_t j) {
        return max_slope(x, 0) * ((other(j) == wrong ? (1 - double(t[j])) / greatest : 0) - t[j]);
      });
      return x > 0 ? x : 0;
    }
    case LossKind::categorical_generalized_cross_entropy: {
      const double p = label >= 0 && label < width ? y[label] : T(0);
      gradient([&](index_t j) { return j == label ? -std::pow(p, s.p[0] - 1) : 0; });
      return (1 - std::pow(p, s.p[0])) / s.p[0];
    }
    case LossKind::dice: {
      const double total = t_sum + y_sum + s.p[0];
      gradient([&](index_t j) { return 2 / total * (ty / total - t[j]); });
      return 1 - 2 * ty / total;
    }
    case LossKind::tversky: {
      const double alpha = s.p[0], beta = s.p[1], total = ty + alpha * (t_sum - ty) + beta * (y_sum - ty) + s.p[2];
      gradient([&](index_t j) { return (ty / total * (t[j] - alpha * t[j] + beta * (1 - t[j])) - t[j]) / total; });
      return 1 - ty / total;
    }
    default: {  // categorical focal
      const bool logits = s.p[0] != 0;
      const double low = T(s.p[2]), high = T(1 - s.p[2]), norm = logits ? log_sum_exp(width, y) : 0;
      const auto q = [&](index_t j) { return double(T(logits ? std::exp(y[j] - norm) : y[j] / y_sum)); };
      const auto slope = [&](index_t j) {
        const double c = clip(q(j), low, high);
        const double d = power_slope(1 - c, s.p[3]) * std::log(c) - std::pow(1 - c, s.p[3]) / c;
        return s.p[4] * smooth(s, t[j], width) * d * clip_slope(q(j), low, high);
      };
      double total = 0, slope_dot = 0;
      for (index_t j = 0; j < width; ++j) {
        const double c = clip(q(j), low, high);
        total -= s.p[4] * smooth(s, t[j], width) * std::pow(1 - c, s.p[3]) * std::log(c);
        slope_dot += slope(j) * q(j);
      }
      gradient([&](index_t j) { return (slope(j) - slope_dot) * (logits ? q(j) : 1 / y_sum); });
      return total;
    }
  }
}

template <class T>
void loss_from_logits(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                      const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz) {
  const bool binary = s.kind == LossKind::binary_crossentropy;
  for (index_t r = 0; r < rows; ++r) {
    const index_t at = r * width;
    const double factor = double(scale) * (weight ? weight[r] : 1);
    const bool ignored = is_ignored(s, labels, r);
    const double norm = binary ? 0 : log_sum_exp(width, z + at);
    double total = 0, target_sum = 0;
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), x = z[at + j];
      target_sum += t;
      if (binary) total += t * softplus(-x) + (1 - t) * softplus(x);
      else if (t != 0) total += t * (norm - x);
    }
    if (row_loss) row_loss[r] = T(ignored ? 0 : binary ? total / double(width) : total);
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), x = z[at + j];
      const double probability = binary ? sigmoid(x) : std::exp(x - norm);
      const double d = binary ? (probability - t) / double(width) : probability * target_sum - t;
      if (y) y[at + j] = T(probability);
      if (dz) dz[at + j] = T(ignored ? 0 : factor * d);
    }
  }
}

template <class T>
void loss(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
          const T* weight, T scale, T* row_loss, T* dy) {
  const bool categorical = s.kind == LossKind::categorical_crossentropy ||
                           s.kind == LossKind::sparse_categorical_crossentropy;
  if ((categorical || s.kind == LossKind::binary_crossentropy) && s.p[0] != 0)
    return loss_from_logits<T>(s, rows, width, y_true, labels, y_pred, weight, scale, row_loss, nullptr, dy);
  const double low = T(s.p[2]), high = T(1 - s.p[2]);
  for (index_t r = 0; r < rows; ++r) {
    const index_t at = r * width;
    const double factor = double(scale) * (weight ? weight[r] : 1);
    if (is_ignored(s, labels, r)) {
      row_loss[r] = 0;
      for (index_t j = 0; dy && j < width; ++j) dy[at + j] = 0;
      continue;
    }
    double total = 0, sum = 0, slope_dot = 0;
    if (is_element_loss(s.kind)) {
      const double count = s.kind == LossKind::kl_divergence ? 1 : double(width);
      for (index_t j = 0; j < width; ++j) {
        double d = 0;
        total += element_loss<T>(s, width, y_true[at + j], y_pred[at + j], d);
        if (dy) dy[at + j] = T(factor * d / count);
      }
      row_loss[r] = T(total / count);
      continue;
    }
    if (!categorical) {
      const bool labelled = takes_labels(s.kind);
      row_loss[r] = T(row_loss_of<T>(s, width, labelled ? nullptr : y_true + at, labelled ? labels[r] : -1, y_pred + at,
                                     factor, dy ? dy + at : nullptr));
      continue;
    }
    for (index_t j = 0; j < width; ++j) sum += y_pred[at + j];
    for (index_t j = 0; j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), q = T(y_pred[at + j] / sum), c = clip(q, low, high);
      if (t != 0) total -= t * std::log(c), slope_dot -= t / c * clip_slope(q, low, high) * q;
      else if (c != c) total = slope_dot = c;
    }
    row_loss[r] = T(total);
    for (index_t j = 0; dy && j < width; ++j) {
      const double t = target(s, width, y_true, labels, r, j), q = T(y_pred[at + j] / sum), c = clip(q, low, high);
      dy[at + j] = T(factor * (-t / c * clip_slope(q, low, high) - slope_dot) / sum);
    }
  }
}
