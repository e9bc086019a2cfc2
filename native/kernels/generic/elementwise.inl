// Dropout, arithmetic helpers, reductions, conversion.

typedef uint32_t Words __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef uint64_t LongWords __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
constexpr int kWords = DENSEKIT_VECTOR_BYTES / 4;

// 32 x 32 -> 64 bit products of the even lanes. The extensions know no widening product and GCC 12 does not find it.
DENSEKIT_INLINE LongWords multiply_even(Words a, uint32_t b) {
  const Words factor = a - a + b;
#if defined(__AVX512F__) && DENSEKIT_VECTOR_BYTES == 64
  return (LongWords)_mm512_mul_epu32((__m512i)a, (__m512i)factor);
#elif defined(__AVX2__) && DENSEKIT_VECTOR_BYTES == 32
  return (LongWords)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#elif defined(__SSE2__) && DENSEKIT_VECTOR_BYTES == 16
  return (LongWords)_mm_mul_epu32((__m128i)a, (__m128i)factor);
#else
  (void)factor;
  return ((LongWords)a & 0xffffffffu) * uint64_t(b);
#endif
}
DENSEKIT_INLINE void multiply_wide(Words a, uint32_t b, Words& low, Words& high) {
  const LongWords even = multiply_even(a, b), odd = multiply_even((Words)((LongWords)a >> 32), b);
  low = (Words)((even & 0xffffffffu) | (odd << 32));
  high = (Words)((even >> 32) | (odd & ~uint64_t(0xffffffffu)));
}

// Below 2^-14 the last place of a float16 is 2^-24, which is that of a float32 in [0.5, 1).
DENSEKIT_INLINE Vec<float> round_float16(Vec<float> v) {
  const Words all = (Words)v, sign = all & 0x80000000u, magnitude = all ^ sign;
  const Words even = (magnitude + 0xFFFu + ((magnitude >> 13) & 1u)) & 0xFFFFE000u;
  const Vec<float> half = broadcast(0.5f), size = (Vec<float>)magnitude, rounded = (Vec<float>)even;
  const Vec<float> small = (size + half) - half, large = rounded > 65504.0f ? broadcast(__builtin_inff()) : rounded;
  const Vec<float> found = size < 0x1p-14f ? small : large;
  return v == v ? (Vec<float>)((Words)found | sign) : v;
}

void float16_round(index_t n, const float* x, float* y) {
  for_vectors<float>(n, [&](index_t i, auto part) { store(y + i, round_float16(load(x + i, part)), part); });
}

template <int... Lane>
DENSEKIT_INLINE Words interleave_low(Words a, Words b, Ints<Lane...>) {
  return __builtin_shufflevector(a, b, (Lane / 2 + Lane % 2 * kWords)...);
}
template <int... Lane>
DENSEKIT_INLINE Words interleave_high(Words a, Words b, Ints<Lane...>) {
  return __builtin_shufflevector(a, b, (kWords / 2 + Lane / 2 + Lane % 2 * kWords)...);
}

// 4 * kWords random words: those of the philox blocks block, block + 1, ..., in order.
DENSEKIT_INLINE void philox_blocks(uint64_t block, uint64_t counter, uint64_t key, uint32_t* out) {
  Words lanes;
  for (int i = 0; i < kWords; ++i) lanes[i] = uint32_t(i);
  Words c0 = lanes + uint32_t(block), c1 = Words{} + uint32_t(block >> 32);
  c1 -= (Words)(c0 < uint32_t(block));  // carry
  Words c2 = Words{} + uint32_t(counter), c3 = Words{} + uint32_t(counter >> 32);
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    Words low_a, high_a, low_b, high_b;
    multiply_wide(c0, 0xD2511F53u, low_a, high_a);
    multiply_wide(c2, 0xCD9E8D57u, low_b, high_b);
    c0 = high_b ^ c1 ^ k0;
    c1 = low_b;
    c2 = high_a ^ c3 ^ k1;
    c3 = low_a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  using Lanes = FirstInts<kWords>;
  const Words even_low = interleave_low(c0, c2, Lanes{}), even_high = interleave_high(c0, c2, Lanes{});
  const Words odd_low = interleave_low(c1, c3, Lanes{}), odd_high = interleave_high(c1, c3, Lanes{});
  Words* to = (Words*)out;
  to[0] = interleave_low(even_low, odd_low, Lanes{});
  to[1] = interleave_high(even_low, odd_low, Lanes{});
  to[2] = interleave_low(even_high, odd_high, Lanes{});
  to[3] = interleave_high(even_high, odd_high, Lanes{});
}

// Words in [0, 2^32) against a threshold, as a mask for T: compared with the sign bit turned over.
template <class T>
DENSEKIT_INLINE IntVec<T> at_least(const uint32_t* words, uint32_t threshold) {
  if constexpr (sizeof(T) == 4) {
    const IntVec<float> w = (IntVec<float>)load((const float*)words) ^ INT32_MIN;
    return w >= int32_t(threshold ^ 0x80000000u);
  } else {
    IntVec<double> w;
    for (int i = 0; i < kLanes<double>; ++i) w[i] = words[i];
    return w >= int64_t(threshold);
  }
}

template <class T>
void dropout(index_t n, const T* x, T* y, double rate, uint64_t key, uint64_t counter, uint64_t first_element) {
  if (!(rate < 1)) {
    for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) { store(y + i, Vec<T>{}, part); });
    return;
  }
  const double limit = rate * 4294967296.0;
  const uint64_t whole = uint64_t(limit), threshold = whole + (double(whole) < limit);
  const T factor = T(1 / (1 - rate));
  alignas(64) uint32_t words[4 * kWords + kWords];  // the last vector is never met, but a partial step may load it
  for (int i = 0; i < kWords; ++i) words[4 * kWords + i] = 0;
  uint64_t block = first_element / 4;
  index_t skip = index_t(first_element % 4);
  while (n > 0) {
    philox_blocks(block, counter, key, words);
    const index_t count = n < 4 * kWords - skip ? n : 4 * kWords - skip;
    for_vectors<T>(count, [&](index_t i, auto part) __attribute__((always_inline)) {
      const IntVec<T> keep = at_least<T>(words + skip + i, uint32_t(threshold));
      store(y + i, choose<T>(keep, load(x + i, part) * factor), part);
    });
    block += kWords;
    x += count, y += count, n -= count, skip = 0;
  }
}

template <class T, class F>
DENSEKIT_INLINE void map_two(index_t n, const T* a, const T* b, T* y, F f) {
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    store(y + i, f(load(a + i, part), load(b + i, part)), part);
  });
}

template <class T>
void affine(index_t rows, index_t width, const T* x, const T* scale, index_t n_scale, const T* offset, index_t n_offset,
            T* y) {
  if (n_scale == 1 && n_offset == 1) width *= rows, rows = 1;
  for (index_t r = 0; r < rows; ++r, x += width, y += width) {
    for_vectors<T>(width, [&](index_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> s = n_scale == 1 ? broadcast(*scale) : load(scale + j, part);
      const Vec<T> o = n_offset == 1 ? broadcast(*offset) : load(offset + j, part);
      store(y + j, fma(load(x + j, part), s, o), part);
    });
  }
}
template <class T>
void add(index_t n, const T* a, const T* b, T* y) {
  map_two<T>(n, a, b, y, [](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return u + v; });
}
template <class T>
void subtract(index_t n, const T* a, const T* b, T* y) {
  map_two<T>(n, a, b, y, [](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return u - v; });
}
template <class T>
void multiply(index_t n, const T* a, const T* b, T* y) {
  map_two<T>(n, a, b, y, [](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return u * v; });
}
template <class T>
void scale(index_t n, const T* a, T factor, T* y) {
  map_two<T>(n, a, a, y, [=](Vec<T> u, Vec<T>) __attribute__((always_inline)) { return u * factor; });
}
template <class T>
void maximum(index_t n, const T* a, const T* b, T* y) {
  map_two<T>(n, a, b, y, [](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return (u > v) | (u != u) ? u : v; });
}
template <class T>
void minimum(index_t n, const T* a, const T* b, T* y) {
  map_two<T>(n, a, b, y, [](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return (u < v) | (u != u) ? u : v; });
}
template <class T>
void add_scaled(index_t n, const T* x, T factor, T* y) {
  map_two<T>(n, x, y, y,
             [=](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return fma(u, broadcast(factor), v); });
}
template <class T>
void select_backward(index_t n, bool is_max, const T* a, const T* b, const T* dy, T* da, T* db) {
  for_vectors<T>(n, [&](index_t i, auto part) __attribute__((always_inline)) {
    const Vec<T> u = load(a + i, part), v = load(b + i, part), d = load(dy + i, part);
    const IntVec<T> first = is_max ? u > v : u < v, second = is_max ? u < v : u > v;
    const Vec<T> tie = choose<T>(u == v, d * T(0.5));
    if (da) store(da + i, load(da + i, part) + (choose<T>(first, d) + tie), part);
    if (db) store(db + i, load(db + i, part) + (choose<T>(second, d) + tie), part);
  });
}
template <class T>
void l1l2_backward(index_t n, const T* x, T l1, T l2, T scale, T* dx) {
  const Vec<T> one = broadcast(l1 * scale), two = broadcast(T(2) * l2 * scale);
  map_two<T>(n, x, dx, dx,
             [=](Vec<T> u, Vec<T> v) __attribute__((always_inline)) { return v + fma(two, u, one * sign<T>(u)); });
}

// Rows in order, one chain a column; four vectors of columns at a time cover the latency of an addition.
template <class T>
void column_sums(index_t rows, index_t width, const T* x, T* out, bool accumulate) {
  constexpr index_t L = kLanes<T>;
  index_t j = 0;
  for (; j + 4 * L <= width; j += 4 * L) {
    Vec<T> sum[4];
    for (int v = 0; v < 4; ++v) sum[v] = accumulate ? load(out + j + v * L) : Vec<T>{};
    for (index_t r = 0; r < rows; ++r)
      for (int v = 0; v < 4; ++v) sum[v] += load(x + r * width + j + v * L);
    for (int v = 0; v < 4; ++v) store(out + j + v * L, sum[v]);
  }
  for_vectors<T>(width - j, [&](index_t i, auto part) __attribute__((always_inline)) {
    Vec<T> sum = accumulate ? load(out + j + i, part) : Vec<T>{};
    for (index_t r = 0; r < rows; ++r) sum += load(x + r * width + j + i, part);
    store(out + j + i, sum, part);
  });
}

// Blocks of kSummedAtOnce elements, each summed in double along the lanes, the lanes in a fixed tree, the blocks in order.
template <class T, class F>
DENSEKIT_INLINE double blocked_sum(index_t n, const T* x, F f) {
  using Wide = typename VectorTypes<T>::Wide;
  double total = 0;
  for (index_t at = 0; at < n; at += kSummedAtOnce) {
    const index_t count = n - at < kSummedAtOnce ? n - at : kSummedAtOnce;
    Wide sum = {};
    for_vectors<T>(count, [&](index_t i, auto part) __attribute__((always_inline)) {
      sum += f(__builtin_convertvector(load(x + at + i, part), Wide));
    });
    double lanes[kLanes<T>];
    for (int i = 0; i < kLanes<T>; ++i) lanes[i] = sum[i];
    for (int half = kLanes<T> / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    total += lanes[0];
  }
  return total;
}
template <class T>
double sum(index_t n, const T* x) {
  using Wide = typename VectorTypes<T>::Wide;
  return blocked_sum<T>(n, x, [](Wide v) __attribute__((always_inline)) { return v; });
}
template <class T>
double sum_of_squares(index_t n, const T* x) {
  using Wide = typename VectorTypes<T>::Wide;
  return blocked_sum<T>(n, x, [](Wide v) __attribute__((always_inline)) { return v * v; });
}
template <class T>
double sum_of_magnitudes(index_t n, const T* x) {
  using Wide = typename VectorTypes<T>::Wide;
  return blocked_sum<T>(n, x, [](Wide v) __attribute__((always_inline)) { return v < 0.0 ? -v : v; });
}

template <class S, class T>
void convert_from(index_t n, const void* source, T* dst) {
  typedef S Unaligned __attribute__((aligned(1), may_alias));
  const Unaligned* s = static_cast<const Unaligned*>(source);
  for (index_t i = 0; i < n; ++i) dst[i] = T(s[i]);
}

// Without touching a subnormal float: the caller may run with those flushed to zero.
DENSEKIT_INLINE float half_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu, negative = uint32_t(half & 0x8000u) << 16;
  const uint32_t shifted = (magnitude << 13) + (112u << 23) + (magnitude >= 0x7c00u ? 112u << 23 : 0u);
  const float small = float(int32_t(magnitude)) * 0x1p-24f;
  const uint32_t bits = (magnitude < 0x400u ? __builtin_bit_cast(uint32_t, small) : shifted) | negative;
  return __builtin_bit_cast(float, bits);
}

template <class T>
void convert(index_t n, char type, const void* src, T* dst) {
  switch (type) {
    case '?': {
      const unsigned char* s = static_cast<const unsigned char*>(src);
      for (index_t i = 0; i < n; ++i) dst[i] = T(int(s[i] != 0));
      return;
    }
    case 'b': return convert_from<signed char>(n, src, dst);
    case 'B': return convert_from<unsigned char>(n, src, dst);
    case 'h': return convert_from<short>(n, src, dst);
    case 'H': return convert_from<unsigned short>(n, src, dst);
    case 'i': return convert_from<int>(n, src, dst);
    case 'I': return convert_from<unsigned>(n, src, dst);
    case 'l': return convert_from<long>(n, src, dst);
    case 'L': return convert_from<unsigned long>(n, src, dst);
    case 'q': return convert_from<long long>(n, src, dst);
    case 'Q': return convert_from<unsigned long long>(n, src, dst);
    case 'f': return convert_from<float>(n, src, dst);
    case 'd': return convert_from<double>(n, src, dst);
    case 'e': {
      typedef uint16_t Unaligned __attribute__((aligned(1), may_alias));
      const Unaligned* s = static_cast<const Unaligned*>(src);
      for (index_t i = 0; i < n; ++i) dst[i] = T(half_to_float(s[i]));
      return;
    }
    default: return;
  }
}
