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

// ---- Losses that are a mean over independent elements

struct SquaredError {
  template <class T>
  static DENSEKIT_INLINE Vec<T> at(const Parameters<T>&, Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) {
    const Vec<T> e = p - t;
    slope = e + e;
    return e * e;
  }
};
struct AbsoluteError {
  template <class T>
  static DENSEKIT_INLINE Vec<T> at(const Parameters<T>&, Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) {
    const Vec<T> e = p - t;
    slope = sign<T>(e);
    return absolute<T>(e);
  }
};
template <class T>
DENSEKIT_INLINE Vec<T> smooth_binary(const Parameters<T>& numbers, Vec<T> t) {
  return fma(t, T(1) - numbers.p1, T(0.5) * numbers.p1);
}
struct BinaryFromProbability {
  template <class T>
  static DENSEKIT_INLINE Vec<T> at(const Parameters<T>& numbers, Vec<T> t, Vec<T> p, Vec<T>& slope, Vec<T>&) {
    t = smooth_binary<T>(numbers, t);
    const Vec<T> low = numbers.p2, high = broadcast(T(1)) - low, c = clip<T>(p, low, high), rest = T(1) - c;
    slope = clip_slope<T>(p, low, high) * ((T(1) - t) / rest - t / c);
    return -(t * log<T>(c) + (T(1) - t) * log<T>(rest));
  }
};
struct BinaryFromLogit {
  template <class T>
  static DENSEKIT_INLINE Vec<T> at(const Parameters<T>& numbers, Vec<T> t, Vec<T> z, Vec<T>& slope, Vec<T>& probability) {
    t = smooth_binary<T>(numbers, t);
    probability = sigmoid<T>(z);
    slope = probability - t;
    return softplus<T>(z) - t * z;
  }
};

template <class T, class Formula>
void mean_loss(const LossSpec& s, const LossArguments<T>& a) {
  const Parameters<T> numbers(s.p);
  if (a.width == 1) {  // rows along the lanes
    for_vectors<T>(a.rows, [&](index_t r, auto part) __attribute__((always_inline)) {
      Vec<T> slope, probability = {};
      const Vec<T> value = Formula::template at<T>(numbers, load(a.y_true + r, part), load(a.y_pred + r, part), slope, probability);
      Vec<T> factor = broadcast(a.scale);
      if (a.weight) factor *= load(a.weight + r, part);
      if (a.row_loss) store(a.row_loss + r, value, part);
      if (a.y) store(a.y + r, probability, part);
      if (a.dy) store(a.dy + r, factor * slope, part);
    });
    return;
  }
  const T inverse = T(1) / T(a.width);
  for (index_t r = 0; r < a.rows; ++r) {
    const index_t at = r * a.width;
    const Vec<T> factor = broadcast((a.weight ? a.scale * a.weight[r] : a.scale) * inverse);
    const Vec<T> sum = row_sum<T>(a.width, [&](index_t j, auto part) __attribute__((always_inline)) {
      Vec<T> slope, probability = {};
      const Vec<T> value =
          Formula::template at<T>(numbers, load(a.y_true + at + j, part), load(a.y_pred + at + j, part), slope, probability);
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

template <class T>
void loss(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels, const T* y_pred,
          const T* weight, T scale, T* row_loss, T* dy) {
  const LossArguments<T> a = {rows, width, y_true, labels, y_pred, weight, scale, row_loss, nullptr, dy};
  const bool from_logits = s.p[0] != 0;
  switch (s.kind) {
    case LossKind::mean_squared_error: return mean_loss<T, SquaredError>(s, a);
    case LossKind::mean_absolute_error: return mean_loss<T, AbsoluteError>(s, a);
    case LossKind::binary_crossentropy:
      if (from_logits) return mean_loss<T, BinaryFromLogit>(s, a);
      return mean_loss<T, BinaryFromProbability>(s, a);
    case LossKind::categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, false>(s, a);
      return categorical_from_probabilities<T, false>(s, a);
    case LossKind::sparse_categorical_crossentropy:
      if (from_logits) return categorical_from_logits<T, true>(s, a);
      return categorical_from_probabilities<T, true>(s, a);
    case LossKind::count: return;
  }
}

template <class T>
void loss_from_logits(const LossSpec& s, index_t rows, index_t width, const T* y_true, const int32_t* labels,
                      const T* z, const T* weight, T scale, T* row_loss, T* y, T* dz) {
  const LossArguments<T> a = {rows, width, y_true, labels, z, weight, scale, row_loss, y, dz};
  if (s.kind == LossKind::binary_crossentropy) return mean_loss<T, BinaryFromLogit>(s, a);
  if (s.kind == LossKind::categorical_crossentropy) return categorical_from_logits<T, false>(s, a);
  return categorical_from_logits<T, true>(s, a);
}
