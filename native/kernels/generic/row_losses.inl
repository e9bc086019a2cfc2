// Losses that need a row as a whole.

// ---- Categorical losses: a target is a row of y_true, or one label

template <class T, bool Sparse>
struct Target {
  const T* row;
  Int<T> label;
  T keep, add;  // label smoothing
  DENSEKIT_INLINE Target(const LossSpec& s, const LossArguments<T>& a, index_t r) {
    row = Sparse ? nullptr : a.y_true + r * a.width;
    label = Sparse ? a.labels[r] : 0;
    keep = Sparse ? T(1) : T(1 - s.p[1]);
    add = Sparse ? T(0) : T(s.p[1] / double(a.width));
  }
  template <class P>
  DENSEKIT_INLINE Vec<T> at(index_t j, P part) const {
    if constexpr (Sparse) {
      // A label beyond the row has no class, as jax.nn.one_hot has it.
      return outside<T>(choose<T>(lane_numbers<T>() + Int<T>(j) == label, broadcast(T(1))), Vec<T>{}, part);
    } else {
      return outside<T>(fma(load(row + j, part), broadcast(keep), broadcast(add)), Vec<T>{}, part);
    }
  }
};

template <class T, bool Sparse>
DENSEKIT_INLINE bool skip_row(const LossSpec& s, const LossArguments<T>& a, index_t r) {
  if (!Sparse || double(a.labels[r]) != s.p[1]) return false;
  if (a.row_loss) a.row_loss[r] = 0;
  if (a.dy)
    for_vectors<T>(a.width, [&](index_t j, auto part)
                                __attribute__((always_inline)) { store(a.dy + r * a.width + j, Vec<T>{}, part); });
  return true;
}

template <class T, bool Sparse>
void categorical_from_logits(const LossSpec& s, const LossArguments<T>& a) {
  for (index_t r = 0; r < a.rows; ++r) {
    const index_t at = r * a.width;
    const T* z = a.y_pred + at;
    const Target<T, Sparse> target(s, a, r);
    const bool skipped = skip_row<T, Sparse>(s, a, r);
    T* exponentials = a.y ? a.y + at : a.dy && !skipped ? a.dy + at : nullptr;
    const Vec<T> top = row_max(a.width, z);
    Vec<T> target_sum = {}, target_logit_dot = {};
    const Vec<T> sum = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> x = load(z + j, part) - top, t = target.at(j, part), e = exp<T>(x);
      target_sum += t;
      target_logit_dot += t == T(0) ? Vec<T>{} : t * x;  // a class without weight may have a logit of -inf
      if (exponentials) store(exponentials + j, e, part);
      return e;
    });
    target_sum = all_sum<T>(target_sum);
    if (a.row_loss && !skipped) a.row_loss[r] = (target_sum * log<T>(sum) - all_sum<T>(target_logit_dot))[0];
    if (!exponentials) continue;
    const Vec<T> inverse = T(1) / sum, factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale);
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> p = load(exponentials + j, part) * inverse;
      if (a.y) store(a.y + at + j, p, part);
      if (a.dy && !skipped) store(a.dy + at + j, factor * (p * target_sum - target.at(j, part)), part);
    });
  }
}

// Keras' form: renormalised to sum 1, clipped to [epsilon, 1 - epsilon], no gradient through the clip outside.
template <class T, bool Sparse>
void categorical_from_probabilities(const LossSpec& s, const LossArguments<T>& a) {
  const Vec<T> low = broadcast(T(s.p[2])), high = T(1) - low;
  for (index_t r = 0; r < a.rows; ++r) {
    if (skip_row<T, Sparse>(s, a, r)) continue;
    const index_t at = r * a.width;
    const T* y = a.y_pred + at;
    const Target<T, Sparse> target(s, a, r);
    const Vec<T> sum = row_sum<T>(
        a.width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(y + j, part); });
    Vec<T> slope_dot = {};
    const Vec<T> total = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = load(y + j, part) / sum, c = clip<T>(q, low, high), t = target.at(j, part);
      slope_dot += outside<T>(t / c * clip_slope<T>(q, low, high) * q, Vec<T>{}, part);
      return t * log<T>(c);
    });
    if (a.row_loss) a.row_loss[r] = -total[0];
    if (!a.dy) continue;
    slope_dot = all_sum<T>(slope_dot);
    const Vec<T> factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale) / sum;
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = load(y + j, part) / sum, c = clip<T>(q, low, high), t = target.at(j, part);
      store(a.dy + at + j, factor * (slope_dot - t / c * clip_slope<T>(q, low, high)), part);
    });
  }
}

// ---- Losses of whole rows

// alpha * (1 - c)^gamma * -t log c, summed; c the class' share of the row, clipped. From logits the shares are softmax.
template <class T>
void categorical_focal(const LossSpec& s, const LossArguments<T>& a) {
  const Vec<T> low = broadcast(T(s.p[2])), high = T(1) - low, alpha = broadcast(T(s.p[4]));
  const Power<T> focus(s.p[3]);
  const bool from_logits = s.p[0] != 0;
  for (index_t r = 0; r < a.rows; ++r) {
    const T* y = a.y_pred + r * a.width;
    T* dy = a.dy ? a.dy + r * a.width : nullptr;
    const Target<T, false> target(s, a, r);
    const Vec<T> top = from_logits ? row_max(a.width, y) : Vec<T>{};
    const auto unnormalized = [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> v = load(y + j, part);
      return from_logits ? exp<T>(v - top) : v;
    };
    const Vec<T> sum = row_sum<T>(a.width, unnormalized);
    Vec<T> slope_dot = {};
    const Vec<T> total = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = unnormalized(j, part) / sum, c = clip<T>(q, low, high), l = log<T>(c);
      const Vec<T> t = alpha * target.at(j, part);
      Vec<T> factor_slope;
      const Vec<T> factor = focus(T(1) - c, factor_slope);
      const Vec<T> d = t * (factor_slope * l - factor / c) * clip_slope<T>(q, low, high);
      slope_dot += outside<T>(d * q, Vec<T>{}, part);
      if (dy) store(dy + j, d, part);
      return t * factor * l;
    });
    if (a.row_loss) a.row_loss[r] = -total[0];
    if (!dy) continue;
    slope_dot = all_sum<T>(slope_dot);
    const Vec<T> factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale) / sum;
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> d = factor * (load(dy + j, part) - slope_dot);
      store(dy + j, from_logits ? d * unnormalized(j, part) : d, part);
    });
  }
}

// (1 - p^q) / q of the label's probability p.
template <class T>
void generalized_crossentropy(const LossSpec& s, const LossArguments<T>& a) {
  const Power<T> power(s.p[0]);
  const T inverse = T(1 / s.p[0]);
  for (index_t r = 0; r < a.rows; ++r) {
    if (skip_row<T, true>(s, a, r)) continue;
    const bool legal = a.labels[r] >= 0 && a.labels[r] < a.width;
    Vec<T> slope;
    const Vec<T> value = power(broadcast(legal ? a.y_pred[r * a.width + a.labels[r]] : T(0)), slope);
    if (a.row_loss) a.row_loss[r] = (T(1) - value[0]) * inverse;
    if (!a.dy) continue;
    T* dy = a.dy + r * a.width;
    for_vectors<T>(a.width,
                   [&](index_t j, auto part) __attribute__((always_inline)) { store(dy + j, Vec<T>{}, part); });
    if (legal) dy[a.labels[r]] = (a.weight ? a.scale * a.weight[r] : a.scale) * -slope[0] * inverse;
  }
}

// For each row: `row(t, y, d, factor)` gives the loss, and where d is not null writes factor times its gradient.
template <class T, class F>
DENSEKIT_INLINE void each_row(const LossArguments<T>& a, F row) {
  for (index_t r = 0; r < a.rows; ++r) {
    const index_t at = r * a.width;
    const Vec<T> factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale);
    const Vec<T> value = row(a.y_true + at, a.y_pred + at, a.dy ? a.dy + at : nullptr, factor);
    if (a.row_loss) a.row_loss[r] = value[0];
  }
}
template <class T>
DENSEKIT_INLINE Vec<T> dot(index_t width, const T* x, const T* y) {
  return row_sum<T>(width, [&](index_t j, auto part)
                               __attribute__((always_inline)) { return load(x + j, part) * load(y + j, part); });
}
template <class T>
DENSEKIT_INLINE Vec<T> element_sum(index_t width, const T* x) {
  return row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(x + j, part); });
}

// max(greatest (1 - t) y - t . y + 1, 0); equally great ones share the gradient.
template <class T>
void categorical_hinge(const LossArguments<T>& a) {
  each_row<T>(a, [&](const T* t, const T* y, T* d, Vec<T> factor) __attribute__((always_inline)) {
    const auto other = [&](index_t j, auto part)
                           __attribute__((always_inline)) { return (T(1) - load(t + j, part)) * load(y + j, part); };
    const Vec<T> wrong = row_max_of<T>(a.width, other), x = wrong - dot(a.width, t, y) + T(1), one = broadcast(T(1));
    if (d) {
      const Vec<T> greatest = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
        return choose<T>(other(j, part) == wrong, one);
      });
      const Vec<T> slope = factor * max_slope<T>(x, Vec<T>{}), share = one / greatest;
      for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
        const Vec<T> target = load(t + j, part), mine = choose<T>(other(j, part) == wrong, share);
        store(d + j, slope * ((one - target) * mine - target), part);
      });
    }
    return max_or_second(Vec<T>{}, x);
  });
}

// -t . y / (|t| |y|); lengths below epsilon count as epsilon.
template <class T>
void cosine_similarity(const LossSpec& s, const LossArguments<T>& a) {
  const Vec<T> least = broadcast(T(s.p[0] * s.p[0]));
  each_row<T>(a, [&](const T* t, const T* y, T* d, Vec<T> factor) __attribute__((always_inline)) {
    const Vec<T> squares = dot(a.width, y, y), inner = dot(a.width, t, y);
    const Vec<T> inverse = T(1) / sqrt(max_or_second(least, squares));
    const Vec<T> scale = inverse / sqrt(max_or_second(least, dot(a.width, t, t)));
    if (d) {
      const Vec<T> along = inner * inverse * inverse * max_slope<T>(squares, least);
      for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
        store(d + j, factor * scale * (along * load(y + j, part) - load(t + j, part)), part);
      });
    }
    return -(inner * scale);
  });
}

// 1 - c / (c + alpha (|t| - c) + beta (|y| - c) + epsilon), c = t . y, |.| the sum.
template <class T>
void tversky(const LossSpec& s, const LossArguments<T>& a) {
  const Vec<T> alpha = broadcast(T(s.p[0])), beta = broadcast(T(s.p[1])), epsilon = broadcast(T(s.p[2]));
  each_row<T>(a, [&](const T* t, const T* y, T* d, Vec<T> factor) __attribute__((always_inline)) {
    const Vec<T> one = broadcast(T(1)), common = dot(a.width, t, y);
    const Vec<T> missed = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      return load(t + j, part) * (one - load(y + j, part));
    });
    const Vec<T> wrong = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      return (one - load(t + j, part)) * load(y + j, part);
    });
    const Vec<T> inverse = one / (common + alpha * missed + beta * wrong + epsilon), share = common * inverse;
    if (d) {
      for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
        const Vec<T> target = load(t + j, part);
        const Vec<T> growth = target - alpha * target + beta * (one - target);  // of the denominator
        store(d + j, factor * inverse * (share * growth - target), part);
      });
    }
    return one - share;
  });
}

// 1 - 2 c / (|t| + |y| + epsilon).
template <class T>
void dice(const LossSpec& s, const LossArguments<T>& a) {
  const Vec<T> epsilon = broadcast(T(s.p[0]));
  each_row<T>(a, [&](const T* t, const T* y, T* d, Vec<T> factor) __attribute__((always_inline)) {
    const Vec<T> inverse = T(1) / (element_sum(a.width, t) + element_sum(a.width, y) + epsilon);
    const Vec<T> share = dot(a.width, t, y) * inverse;
    if (d) {
      for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
        store(d + j, T(2) * factor * inverse * (share - load(t + j, part)), part);
      });
    }
    return T(1) - T(2) * share;
  });
}
