// Sums and greatest elements of a row, for activations, losses and updates.

template <class T>
DENSEKIT_INLINE IntVec<T> lane_numbers() {
  IntVec<T> v;
  for (int i = 0; i < kLanes<T>; ++i) v[i] = i;
  return v;
}
template <class T>
DENSEKIT_INLINE Vec<T> outside(Vec<T> v, Vec<T>, Full) {
  return v;
}
// v where the part has lanes, `rest` beyond.
template <class T>
DENSEKIT_INLINE Vec<T> outside(Vec<T> v, Vec<T> rest, Part part) {
  return lane_numbers<T>() < Int<T>(part.count) ? v : rest;
}

// Greatest f(j, part) of a row, in every lane; NaN where one is.
template <class T, class F>
DENSEKIT_INLINE Vec<T> row_max_of(index_t width, F f) {
  const Vec<T> lowest = broadcast(T(-__builtin_inf()));
  Vec<T> top = lowest;
  for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
    const Vec<T> v = outside<T>(f(j, part), lowest, part);
    top = (top >= v) | (top != top) ? top : v;
  });
  return all_lanes<T>(top,
                      [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return (a >= b) | (a != a) ? a : b; });
}
template <class T>
DENSEKIT_INLINE Vec<T> row_max(index_t width, const T* z) {
  return row_max_of<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) { return load(z + j, part); });
}

template <class T>
DENSEKIT_INLINE Vec<T> all_sum(Vec<T> v) {
  return all_lanes<T>(v, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; });
}

// A row may be a whole batch: beyond so many numbers a sum in float32 would no longer take the small ones in.
constexpr index_t kSummedAtOnce = 4096;

// Sum of f(j, part) over a row, in every lane. Unlike blocked_sum's, a block is in the row's own type: most rows are short.
template <class T, class F>
DENSEKIT_INLINE Vec<T> row_sum(index_t width, F f) {
  double total = 0;
  for (index_t begin = 0;; begin += kSummedAtOnce) {
    const index_t n = width - begin < kSummedAtOnce ? width - begin : kSummedAtOnce;
    Vec<T> sum = {};
    for_vectors<T>(n, [&](index_t j, auto part)
                          __attribute__((always_inline)) { sum += outside<T>(f(begin + j, part), Vec<T>{}, part); });
    sum = all_sum<T>(sum);
    if (width <= kSummedAtOnce) return sum;
    total += double(sum[0]);
    if (begin + n == width) return broadcast(T(total));
  }
}
