// Values rounded to bfloat16, two in a lane.

typedef uint32_t Words __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef uint32_t LooseWords __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));

constexpr index_t kPanelGrain = 16;  // lanes of the widest vector: panels are as wide on all instruction sets

DENSEKIT_INLINE Vec<float> high_halves(Words pairs) { return (Vec<float>)(pairs & 0xFFFF0000u); }
DENSEKIT_INLINE Vec<float> low_halves(Words pairs) { return (Vec<float>)(pairs << 16); }
DENSEKIT_INLINE Words load_words(const uint32_t* p) { return *(const LooseWords*)p; }
DENSEKIT_INLINE void store_words(uint32_t* p, Words v) { *(LooseWords*)p = v; }

#if defined(__AVX512BF16__)
DENSEKIT_INLINE Vec<float> round_bfloat16(Vec<float> v) {
  return (Vec<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v)), 16);
}
// even[i] and odd[i] in one lane.
DENSEKIT_INLINE Words make_pairs(Vec<float> even, Vec<float> odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return (Words)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh((__m512)even, (__m512)odd));
}
// Neighbours in one lane: (first[0], first[1]), ... , (next[0], next[1]), ...
DENSEKIT_INLINE Words pair_neighbours(Vec<float> first, Vec<float> next) {
  return (Words)_mm512_rol_epi32((__m512i)_mm512_cvtne2ps_pbh((__m512)next, (__m512)first), 16);
}
DENSEKIT_INLINE Vec<float> dot(Words a, Words b, Vec<float> acc) {
  return (Vec<float>)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
}
#else
DENSEKIT_INLINE Vec<float> round_bfloat16(Vec<float> v) {
  const Words u = (Words)v;
  const Words rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) & 0xFFFF0000u;
  return v == v ? (Vec<float>)rounded : (Vec<float>)((u | 0x400000u) & 0xFFFF0000u);
}
DENSEKIT_INLINE Words make_pairs(Vec<float> even, Vec<float> odd) {
  return (Words)round_bfloat16(even) | ((Words)round_bfloat16(odd) >> 16);
}
template <int Parity, int... Lane>
DENSEKIT_INLINE Vec<float> every_other(Vec<float> first, Vec<float> next, Ints<Lane...>) {
  return __builtin_shufflevector(first, next, (2 * Lane + Parity)...);
}
DENSEKIT_INLINE Words pair_neighbours(Vec<float> first, Vec<float> next) {
  using Lanes = FirstInts<kLanes<float>>;
  return make_pairs(every_other<0>(first, next, Lanes{}), every_other<1>(first, next, Lanes{}));
}
DENSEKIT_INLINE Vec<float> dot(Words a, Words b, Vec<float> acc) {
  return fma(low_halves(a), low_halves(b), fma(high_halves(a), high_halves(b), acc));
}
#endif

// The first `count` lanes; none or all of them too.
DENSEKIT_INLINE Vec<float> load_some(const float* p, index_t count) {
  if (count >= kLanes<float>) return load(p);
  return count > 0 ? load(p, Part{count}) : Vec<float>{};
}

void round_bfloat16(index_t n, const float* x, float* y) {
  for_vectors<float>(n, [&](index_t i, auto part) { store(y + i, round_bfloat16(load(x + i, part)), part); });
}
