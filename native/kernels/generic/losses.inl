// Losses, one row one loss. Value and derivative come from one reading of the row.

template <class T>
struct LossArguments {
  index_t rows, width;
  const T* y_true;
  const int32_t* labels;
  const T* y_pred;
  const T* weight;
  T scale;
  T* row_loss;  // may be null
  T* y;         // probabilities, fused forms only; may be null
  T* dy;        // may be null
};

// ---- Losses that are a mean (or a sum) over independent elements: value and slope at a prediction

// Slope of max(x, low): a tie is shared.
template <class T>
DENSEKIT_INLINE Vec<T> max_slope(Vec<T> x, Vec<T> low) {
  return x == low ? broadcast(T(0.5)) : choose<T>(x > low, broadcast(T(1)));
}

template <class T>
struct SquaredError {
  explicit SquaredError(const LossSpec&) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> e = p - t;
    slope = e + e;
    return e * e;
  }
};

template <class T>
struct AbsoluteError {
  explicit AbsoluteError(const LossSpec&) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> e = p - t;
    slope = sign<T>(e);
    return absolute<T>(e);
  }
};

template <class T>
struct PercentageError {
  Vec<T> epsilon;
  explicit DENSEKIT_INLINE PercentageError(const LossSpec& s) : epsilon(broadcast(T(s.p[0]))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> size = max_or_second(epsilon, absolute<T>(t)), e = (p - t) / size;
    slope = T(100) * sign<T>(e) / size;
    return T(100) * absolute<T>(e);
  }
};

template <class T>
struct SquaredLogarithmicError {
  Vec<T> epsilon;
  explicit DENSEKIT_INLINE SquaredLogarithmicError(const LossSpec& s) : epsilon(broadcast(T(s.p[0]))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> u = max_or_second(epsilon, p) + T(1);
    const Vec<T> e = log<T>(u) - log<T>(max_or_second(epsilon, t) + T(1));
    slope = (e + e) / u * max_slope<T>(p, epsilon);
    return e * e;
  }
};

template <class T>
struct HuberError {
  Vec<T> delta, offset;
  explicit DENSEKIT_INLINE HuberError(const LossSpec& s)
      : delta(broadcast(T(s.p[0]))), offset(broadcast(T(0.5 * s.p[0] * s.p[0]))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> e = p - t, size = absolute<T>(e);
    slope = size <= delta ? e : delta * sign<T>(e);
    return size <= delta ? T(0.5) * e * e : fma(delta, size, -offset);
  }
};

// log cosh e = |e| + log1p(exp(-2|e|)) - log 2; its slope, tanh, comes from the same exponential.
template <class T>
struct LogCoshError {
  explicit LogCoshError(const LossSpec&) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> e = p - t, size = absolute<T>(e), x = exp<T>(T(-2) * size);
    slope = copy_sign<T>((T(1) - x) / (T(1) + x), e);
    return size + (log1p_of_share<T>(x) - T(0.69314718055994530942));
  }
};

template <class T>
struct PoissonDeviance {
  Vec<T> epsilon;
  explicit DENSEKIT_INLINE PoissonDeviance(const LossSpec& s) : epsilon(broadcast(T(s.p[0]))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> u = p + epsilon;
    slope = T(1) - t / u;
    return p - t * log<T>(u);
  }
};

template <class T>
struct Divergence {
  Vec<T> low;
  explicit DENSEKIT_INLINE Divergence(const LossSpec& s) : low(broadcast(T(s.p[0]))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    const Vec<T> one = broadcast(T(1)), a = clip<T>(t, low, one), b = clip<T>(p, low, one), ratio = a / b;
    slope = -ratio * clip_slope<T>(p, low, one);
    return a * log<T>(ratio);
  }
};

template <class T, bool Squared>
struct HingeError {
  Vec<T> gain, shift;  // target -> sign
  explicit DENSEKIT_INLINE HingeError(const LossSpec& s)
      : gain(broadcast(T(s.p[0] != 0 ? 2 : 1))), shift(broadcast(T(s.p[0] != 0 ? -1 : 0))) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    t = fma(t, gain, shift);
    const Vec<T> x = T(1) - t * p, y = max_or_second(Vec<T>{}, x);
    slope = Squared ? T(-2) * t * y : -t * max_slope<T>(x, Vec<T>{});
    return Squared ? y * y : y;
  }
};

template <class T>
struct BinaryTarget {
  Vec<T> keep, add;
  explicit DENSEKIT_INLINE BinaryTarget(const LossSpec& s)
      : keep(broadcast(T(1) - T(s.p[1]))), add(broadcast(T(0.5) * T(s.p[1]))) {}
  DENSEKIT_INLINE Vec<T> operator()(Vec<T> t) const { return fma(t, keep, add); }
};

template <class T>
struct BinaryFromProbability {
  BinaryTarget<T> target;
  Vec<T> low, high;
  explicit DENSEKIT_INLINE BinaryFromProbability(const LossSpec& s)
      : target(s), low(broadcast(T(s.p[2]))), high(T(1) - low) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) const {
    t = target(t);
    const Vec<T> c = clip<T>(p, low, high), rest = T(1) - c;
    slope = clip_slope<T>(p, low, high) * ((T(1) - t) / rest - t / c);
    return -(t * log<T>(c) + (T(1) - t) * log<T>(rest));
  }
};

template <class T>
struct BinaryFromLogit {
  BinaryTarget<T> target;
  explicit DENSEKIT_INLINE BinaryFromLogit(const LossSpec& s) : target(s) {}
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> z, Vec<T>& slope, Vec<T>& probability) const {
    t = target(t);
    probability = sigmoid<T>(z);
    slope = probability - t;
    return softplus<T>(z) - t * z;
  }
};

// The cross-entropy of probabilities times wrong^gamma, wrong = 1 - (t p + (1 - t)(1 - p)).
template <class T, bool FromLogits>
struct BinaryFocal {
  BinaryTarget<T> target;
  BinaryFromProbability<T> plain;
  Power<T> focus;
  Vec<T> positive, negative;  // class weights
  explicit DENSEKIT_INLINE BinaryFocal(const LossSpec& s)
      : target(s), plain(LossSpec{s.kind, {0, 0, s.p[2]}}), focus(s.p[3]) {
    const bool balanced = s.p[4] == s.p[4];
    positive = broadcast(balanced ? T(s.p[4]) : T(1));
    negative = broadcast(balanced ? T(1 - s.p[4]) : T(1));
  }
  DENSEKIT_INLINE Vec<T> at(Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>& unused) const {
    t = target(t);
    const Vec<T> one = broadcast(T(1));
    if (FromLogits) p = sigmoid<T>(p);
    Vec<T> entropy_slope, factor_slope;
    const Vec<T> entropy = plain.at(t, p, entropy_slope, unused);
    const Vec<T> factor = focus(one - (t * p + (one - t) * (one - p)), factor_slope);
    const Vec<T> balance = t * positive + (one - t) * negative;
    slope = balance * (factor * entropy_slope + factor_slope * (one - (t + t)) * entropy);
    if (FromLogits) slope *= p * (one - p);
    return balance * factor * entropy;
  }
};

enum class Across { mean, sum };

template <class T, class Formula>
void element_loss(const LossArguments<T>& a, const Formula formula, Across across = Across::mean) {
  if (a.width == 1) {  // rows along the lanes
    for_vectors<T>(a.rows, [&](index_t r, auto part) __attribute__((always_inline)) {
      Vec<T> slope, probability = {};
      const Vec<T> value = formula.at(load(a.y_true + r, part), load(a.y_pred + r, part), slope, probability);
      Vec<T> factor = broadcast(a.scale);
      if (a.weight) factor *= load(a.weight + r, part);
      if (a.row_loss) store(a.row_loss + r, value, part);
      if (a.y) store(a.y + r, probability, part);
      if (a.dy) store(a.dy + r, factor * slope, part);
    });
    return;
  }
  const T inverse = across == Across::mean ? T(1) / T(a.width) : T(1);
  for (index_t r = 0; r < a.rows; ++r) {
    const index_t at = r * a.width;
    const Vec<T> factor = broadcast((a.weight ? a.scale * a.weight[r] : a.scale) * inverse);
    const Vec<T> sum = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      Vec<T> slope, probability = {};
      const Vec<T> value =
          formula.at(load(a.y_true + at + j, part), load(a.y_pred + at + j, part), slope, probability);
      if (a.y) store(a.y + at + j, probability, part);
      if (a.dy) store(a.dy + at + j, factor * slope, part);
      return value;
    });
    if (a.row_loss) a.row_loss[r] = (sum * inverse)[0];
  }
}

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
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      store(a.dy + r * a.width + j, Vec<T>{}, part);
    });
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
    Vec<T> mass = {}, pull = {};
    const Vec<T> sum = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> x = load(z + j, part) - top, t = target.at(j, part), e = exp<T>(x);
      mass += t;
      pull += t == T(0) ? Vec<T>{} : t * x;  // a class without weight may have a logit of -inf
      if (exponentials) store(exponentials + j, e, part);
      return e;
    });
    mass = all_sum<T>(mass);
    if (a.row_loss && !skipped) a.row_loss[r] = (mass * log<T>(sum) - all_sum<T>(pull))[0];
    if (!exponentials) continue;
    const Vec<T> inverse = T(1) / sum, factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale);
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> p = load(exponentials + j, part) * inverse;
      if (a.y) store(a.y + at + j, p, part);
      if (a.dy && !skipped) store(a.dy + at + j, factor * (p * mass - target.at(j, part)), part);
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
    const Vec<T> mass =
        row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(y + j, part); });
    Vec<T> pull = {};
    const Vec<T> total = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = load(y + j, part) / mass, c = clip<T>(q, low, high), t = target.at(j, part);
      pull += outside<T>(t / c * clip_slope<T>(q, low, high) * q, Vec<T>{}, part);
      return t * log<T>(c);
    });
    if (a.row_loss) a.row_loss[r] = -total[0];
    if (!a.dy) continue;
    pull = all_sum<T>(pull);
    const Vec<T> factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale) / mass;
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = load(y + j, part) / mass, c = clip<T>(q, low, high), t = target.at(j, part);
      store(a.dy + at + j, factor * (pull - t / c * clip_slope<T>(q, low, high)), part);
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
    const auto mass_at = [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> v = load(y + j, part);
      return from_logits ? exp<T>(v - top) : v;
    };
    const Vec<T> mass = row_sum<T>(a.width, mass_at);
    Vec<T> pull = {};
    const Vec<T> total = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> q = mass_at(j, part) / mass, c = clip<T>(q, low, high), l = log<T>(c);
      const Vec<T> t = alpha * target.at(j, part);
      Vec<T> factor_slope;
      const Vec<T> factor = focus(T(1) - c, factor_slope);
      const Vec<T> d = t * (factor_slope * l - factor / c) * clip_slope<T>(q, low, high);
      pull += outside<T>(d * q, Vec<T>{}, part);
      if (dy) store(dy + j, d, part);
      return t * factor * l;
    });
    if (a.row_loss) a.row_loss[r] = -total[0];
    if (!dy) continue;
    pull = all_sum<T>(pull);
    const Vec<T> factor = broadcast(a.weight ? a.scale * a.weight[r] : a.scale) / mass;
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> d = factor * (load(dy + j, part) - pull);
      store(dy + j, from_logits ? d * mass_at(j, part) : d, part);
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
    for_vectors<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      store(dy + j, Vec<T>{}, part);
    });
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
  return row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    return load(x + j, part) * load(y + j, part);
  });
}
template <class T>
DENSEKIT_INLINE Vec<T> element_sum(index_t width, const T* x) {
  return row_sum<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(x + j, part); });
}

// max(greatest (1 - t) y - t . y + 1, 0); equally great ones share the gradient.
template <class T>
void categorical_hinge(const LossArguments<T>& a) {
  each_row<T>(a, [&](const T* t, const T* y, T* d, Vec<T> factor) __attribute__((always_inline)) {
    const auto other = [&](index_t j, auto part) __attribute__((always_inline)) {
      return (T(1) - load(t + j, part)) * load(y + j, part);
    };
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

template <class T>
void loss(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
          const T* weight, T scale, T* row_loss, T* dy) {
  const LossArguments<T> a = {rows, width, y_true, labels, y_pred, weight, scale, row_loss, nullptr, dy};
  const bool from_logits = s.p[0] != 0;  // of the kinds that have logits
  switch (s.kind) {
    case LossKind::mean_squared_error: return element_loss<T>(a, SquaredError<T>(s));
    case LossKind::mean_absolute_error: return element_loss<T>(a, AbsoluteError<T>(s));
    case LossKind::binary_crossentropy:
      if (from_logits) return element_loss<T>(a, BinaryFromLogit<T>(s));
      return element_loss<T>(a, BinaryFromProbability<T>(s));
    case LossKind::categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, false>(s, a);
      return categorical_from_probabilities<T, false>(s, a);
    case LossKind::sparse_categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, true>(s, a);
      return categorical_from_probabilities<T, true>(s, a);
    case LossKind::mean_absolute_percentage_error: return element_loss<T>(a, PercentageError<T>(s));
    case LossKind::mean_squared_logarithmic_error: return element_loss<T>(a, SquaredLogarithmicError<T>(s));
    case LossKind::huber: return element_loss<T>(a, HuberError<T>(s));
    case LossKind::log_cosh: return element_loss<T>(a, LogCoshError<T>(s));
    case LossKind::poisson: return element_loss<T>(a, PoissonDeviance<T>(s));
    case LossKind::kl_divergence: return element_loss<T>(a, Divergence<T>(s), Across::sum);
    case LossKind::cosine_similarity: return cosine_similarity<T>(s, a);
    case LossKind::hinge: return element_loss<T>(a, HingeError<T, false>(s));
    case LossKind::squared_hinge: return element_loss<T>(a, HingeError<T, true>(s));
    case LossKind::categorical_hinge: return categorical_hinge<T>(a);
    case LossKind::binary_focal_crossentropy:
      if (from_logits) return element_loss<T>(a, BinaryFocal<T, true>(s));
      return element_loss<T>(a, BinaryFocal<T, false>(s));
    case LossKind::categorical_focal_crossentropy: return categorical_focal<T>(s, a);
    case LossKind::categorical_generalized_cross_entropy: return generalized_crossentropy<T>(s, a);
    case LossKind::dice: return dice<T>(s, a);
    case LossKind::tversky: return tversky<T>(s, a);
    case LossKind::count: return;
  }
}

template <class T>
void loss_from_logits(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                      const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz) {
  const LossArguments<T> a = {rows, width, y_true, labels, z, weight, scale, row_loss, y, dz};
  if (s.kind == LossKind::binary_crossentropy) return element_loss<T>(a, BinaryFromLogit<T>(s));
  if (s.kind == LossKind::categorical_crossentropy) return categorical_from_logits<T, false>(s, a);
  return categorical_from_logits<T, true>(s, a);
}
