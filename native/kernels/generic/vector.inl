// The vector vocabulary: everything the formulas may say about vectors, on GCC/clang vector extensions.
// Included inside an instruction set's own unnamed namespace, so nothing here has linkage.
// Intrinsics appear only for what the extensions cannot say: a partial access that must not touch the bytes
// beyond it, and an FMA that is one for certain (contraction is the compiler's choice, bits are our promise).

#define DENSEKIT_INLINE inline __attribute__((always_inline))

template <class T>
struct VectorTypes;

template <>
struct VectorTypes<float> {
  typedef float V __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  typedef float U __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));
  typedef int32_t I __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  typedef int32_t Int;
  typedef double Wide __attribute__((vector_size(2 * DENSEKIT_VECTOR_BYTES)));
};

template <>
struct VectorTypes<double> {
  typedef double V __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  typedef double U __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(8), may_alias));
  typedef int64_t I __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
  typedef int64_t Int;
  typedef double Wide __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
};

template <class T>
using Vec = typename VectorTypes<T>::V;
template <class T>
using IntVec = typename VectorTypes<T>::I;
template <class T>
using Int = typename VectorTypes<T>::Int;
template <class T>
constexpr int kLanes = DENSEKIT_VECTOR_BYTES / int(sizeof(T));

// How much of a vector an access covers: all of it, or the first `count` lanes.
struct Full {};

#if defined(__AVX512F__) && DENSEKIT_VECTOR_BYTES == 64
constexpr bool kCheapPartialLoads = true;
struct Part {
  index_t count;
};
DENSEKIT_INLINE Vec<float> load(const float* p, Part part) {
  return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << part.count) - 1u), p);
}
DENSEKIT_INLINE Vec<double> load(const double* p, Part part) {
  return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << part.count) - 1u), p);
}
DENSEKIT_INLINE void store(float* p, Vec<float> v, Part part) {
  _mm512_mask_storeu_ps(p, __mmask16((1u << part.count) - 1u), (__m512)v);
}
DENSEKIT_INLINE void store(double* p, Vec<double> v, Part part) {
  _mm512_mask_storeu_pd(p, __mmask8((1u << part.count) - 1u), (__m512d)v);
}
#elif defined(__AVX2__) && DENSEKIT_VECTOR_BYTES == 32
constexpr bool kCheapPartialLoads = true;
struct Part {
  index_t count;
};
alignas(64) constexpr int32_t kMask32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(64) constexpr int64_t kMask64[8] = {-1, -1, -1, -1};
DENSEKIT_INLINE __m256i mask_of(const float*, Part part) {
  return _mm256_loadu_si256((const __m256i*)(kMask32 + 8 - part.count));
}
DENSEKIT_INLINE __m256i mask_of(const double*, Part part) {
  return _mm256_loadu_si256((const __m256i*)(kMask64 + 4 - part.count));
}
DENSEKIT_INLINE Vec<float> load(const float* p, Part part) {
  return (Vec<float>)_mm256_maskload_ps(p, mask_of(p, part));
}
DENSEKIT_INLINE Vec<double> load(const double* p, Part part) {
  return (Vec<double>)_mm256_maskload_pd(p, mask_of(p, part));
}
DENSEKIT_INLINE void store(float* p, Vec<float> v, Part part) { _mm256_maskstore_ps(p, mask_of(p, part), (__m256)v); }
DENSEKIT_INLINE void store(double* p, Vec<double> v, Part part) {
  _mm256_maskstore_pd(p, mask_of(p, part), (__m256d)v);
}
#else
constexpr bool kCheapPartialLoads = false;
struct Part {
  index_t count;
};
template <class T>
DENSEKIT_INLINE Vec<T> load(const T* p, Part part) {
  Vec<T> v = {};
  for (int i = 0; i < kLanes<T>; ++i)
    if (i < part.count) v[i] = p[i];
  return v;
}
template <class T>
DENSEKIT_INLINE void store(T* p, Vec<T> v, Part part) {
  for (int i = 0; i < kLanes<T>; ++i)
    if (i < part.count) p[i] = v[i];
}
#endif

template <class T>
DENSEKIT_INLINE Vec<T> load(const T* p, Full = {}) {
  return *(const typename VectorTypes<T>::U*)p;
}
DENSEKIT_INLINE void store(float* p, Vec<float> v, Full = {}) { *(VectorTypes<float>::U*)p = v; }
DENSEKIT_INLINE void store(double* p, Vec<double> v, Full = {}) { *(VectorTypes<double>::U*)p = v; }

template <class T>
DENSEKIT_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // x - 0 is x for every x, -0 and NaN included
}

DENSEKIT_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__FMA__) && DENSEKIT_VECTOR_BYTES == 64
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && DENSEKIT_VECTOR_BYTES == 32
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__) && DENSEKIT_VECTOR_BYTES == 16
  return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}
DENSEKIT_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__FMA__) && DENSEKIT_VECTOR_BYTES == 64
  return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__) && DENSEKIT_VECTOR_BYTES == 32
  return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__) && DENSEKIT_VECTOR_BYTES == 16
  return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

// Half a vector of floats: what the last vector of a tile takes where no more than half of it is in use. A processor that does
// wide multiply-adds in two halves does half of one in half the time.
template <class T>
struct HalfTypes {
  typedef T V __attribute__((vector_size(DENSEKIT_VECTOR_BYTES / 2)));
};
template <class T>
using Half = typename HalfTypes<T>::V;
#if defined(__AVX512VL__) && DENSEKIT_VECTOR_BYTES == 64
template <class T>
constexpr bool kHalves = sizeof(T) == 4;
DENSEKIT_INLINE Half<float> low(Vec<float> v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
DENSEKIT_INLINE Vec<float> widen(Half<float> v) {
  return __builtin_shufflevector(v, Half<float>{}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
DENSEKIT_INLINE Half<float> load_half(const float* p, Part part) {
  return (Half<float>)_mm256_maskz_loadu_ps(__mmask8((1u << part.count) - 1u), p);
}
DENSEKIT_INLINE Half<float> fma(Half<float> a, Half<float> b, Half<float> c) {
  return (Half<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#else
template <class T>
constexpr bool kHalves = false;
#endif

// a < b ? a : b, so a NaN in either place gives b: put the value that may be NaN second.
template <class V>
DENSEKIT_INLINE V min_or_second(V a, V b) {
  return a < b ? a : b;
}
template <class V>
DENSEKIT_INLINE V max_or_second(V a, V b) {
  return a > b ? a : b;
}

DENSEKIT_INLINE Vec<float> sqrt(Vec<float> v) {
#if defined(__AVX512F__) && DENSEKIT_VECTOR_BYTES == 64
  return (Vec<float>)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__) && DENSEKIT_VECTOR_BYTES == 32
  return (Vec<float>)_mm256_sqrt_ps((__m256)v);
#else
  for (int i = 0; i < kLanes<float>; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}
DENSEKIT_INLINE Vec<double> sqrt(Vec<double> v) {
#if defined(__AVX512F__) && DENSEKIT_VECTOR_BYTES == 64
  return (Vec<double>)_mm512_sqrt_pd((__m512d)v);
#elif defined(__AVX2__) && DENSEKIT_VECTOR_BYTES == 32
  return (Vec<double>)_mm256_sqrt_pd((__m256d)v);
#else
  for (int i = 0; i < kLanes<double>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
#endif
}

// a / b within 2 ulp, for rules that already keep the divider busy with a square root: it takes the two in turn.
// Zen 4, Adam on 20,000 weights in L2: 6.2 us with a division, 5.6 us so; 7.8 us with the root approximated too.
template <class T>
DENSEKIT_INLINE Vec<T> quotient(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__) && DENSEKIT_VECTOR_BYTES == 64
  if constexpr (sizeof(T) == 4) {
    const Vec<T> r = (Vec<T>)_mm512_rcp14_ps((__m512)b);
    const Vec<T> refined = fma(r, fma(-b, r, broadcast(T(1))), r);
    return a * (r == T(0) ? r : refined);  // b infinite
  }
#endif
  return a / b;
}

// Combines all lanes, always in the same tree, and leaves the result in every lane: no trip through scalar registers,
// so that the rows of a narrow softmax overlap.
template <int Distance, class V, int... Lane>
DENSEKIT_INLINE V swap_lanes(V v, Ints<Lane...>) {
  return __builtin_shufflevector(v, v, (Lane ^ Distance)...);
}
template <class T, class F>
DENSEKIT_INLINE Vec<T> all_lanes(Vec<T> v, F combine) {
  using Lanes = FirstInts<kLanes<T>>;
  if constexpr (kLanes<T> > 8) v = combine(v, swap_lanes<8>(v, Lanes{}));
  if constexpr (kLanes<T> > 4) v = combine(v, swap_lanes<4>(v, Lanes{}));
  if constexpr (kLanes<T> > 2) v = combine(v, swap_lanes<2>(v, Lanes{}));
  return combine(v, swap_lanes<1>(v, Lanes{}));
}

// f(offset, Full or Part) over n elements; the last, shorter step runs the same code on fewer lanes, so an element's
// bits do not depend on where it sits.
template <class T, class F>
DENSEKIT_INLINE void for_vectors(index_t n, F f) {
  index_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) f(i, Full{});
  if (i < n) f(i, Part{n - i});
}

// Transposes a kLanes x kLanes block held in registers: log2(lanes) rounds of exchanging halves between row pairs.
template <int Distance, int Lanes, bool Upper>
constexpr int exchange_index(int lane) {
  if (!Upper) return (lane & Distance) == 0 ? lane : Lanes + lane - Distance;
  return (lane & Distance) == 0 ? lane + Distance : Lanes + lane;
}
template <int Distance, bool Upper, class V, int... Lane>
DENSEKIT_INLINE V exchange(V a, V b, Ints<Lane...>) {
  return __builtin_shufflevector(a, b, exchange_index<Distance, int(sizeof...(Lane)), Upper>(Lane)...);
}
template <class T, int Distance>
DENSEKIT_INLINE void transpose_round(Vec<T>* row) {
  constexpr int lanes = kLanes<T>;
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (i & Distance) continue;
    const Vec<T> a = row[i], b = row[i + Distance];
    row[i] = exchange<Distance, false>(a, b, FirstInts<lanes>{});
    row[i + Distance] = exchange<Distance, true>(a, b, FirstInts<lanes>{});
  }
}
template <class T>
DENSEKIT_INLINE void transpose(Vec<T>* row) {
  if constexpr (kLanes<T> > 8) transpose_round<T, 8>(row);
  if constexpr (kLanes<T> > 4) transpose_round<T, 4>(row);
  if constexpr (kLanes<T> > 2) transpose_round<T, 2>(row);
  transpose_round<T, 1>(row);
}

DENSEKIT_INLINE index_t least(index_t a, index_t b) { return a < b ? a : b; }
DENSEKIT_INLINE index_t up_to_multiple(index_t n, index_t of) { return (n + of - 1) / of * of; }
