// What every loss is told, one row one loss, and the losses that are a mean (or a sum) over independent elements. Value and
// derivative come from one reading of the row.

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

// ---- Formulas: value and slope at a prediction

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
      const Vec<T> value = formula.at(load(a.y_true + at + j, part), load(a.y_pred + at + j, part), slope, probability);
      if (a.y) store(a.y + at + j, probability, part);
      if (a.dy) store(a.dy + at + j, factor * slope, part);
      return value;
    });
    if (a.row_loss) a.row_loss[r] = (sum * inverse)[0];
  }
}
