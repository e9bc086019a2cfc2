// Operands of products in bfloat16 (bfloat16.inl): values rounded, neighbours along k in one lane, packed.
//   packed B: [panel of 64 columns][pair of k][columns of the panel, up to a multiple of 16], zeros beyond n and k

typedef uint32_t Words __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef uint32_t LooseWords __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));

constexpr index_t kPanel = kBfloat16Panel;
constexpr index_t kPanelGrain = 16;  // lanes of the widest vector: the layout is the same for all instruction sets

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

DENSEKIT_INLINE index_t pairs_of(index_t k) { return (k + 1) / 2; }

// The first `count` lanes; none or all of them too.
DENSEKIT_INLINE Vec<float> load_some(const float* p, index_t count) {
  if (count >= kLanes<float>) return load(p);
  return count > 0 ? load(p, Part{count}) : Vec<float>{};
}

void round_bfloat16(index_t n, const float* x, float* y) {
  for_vectors<float>(n, [&](index_t i, auto part) { store(y + i, round_bfloat16(load(x + i, part)), part); });
}

// ---- Packing

// Lanes run along memory: dst[pair * width + lane], `count` lanes and zeros to a multiple of the grain.
void pack_pairs(index_t k, index_t count, const float* src, index_t src_k, uint32_t* dst, index_t width) {
  constexpr index_t L = kLanes<float>;
  const index_t all = up_to_multiple(count, kPanelGrain);
  for (index_t p = 0; p < k; p += 2, src += 2 * src_k, dst += width) {
    const bool both = p + 1 < k;
    index_t j = 0;
    if (both) {
      for (; j + L <= count; j += L) store_words(dst + j, make_pairs(load(src + j), load(src + src_k + j)));
    }
    for (; j < all; j += L) {
      const Vec<float> odd = both ? load_some(src + src_k + j, count - j) : Vec<float>{};
      store_words(dst + j, make_pairs(load_some(src + j, count - j), odd));
    }
  }
}

// k runs along memory: blocks of L lanes x 2 L values are paired and transposed in registers.
void pack_pairs_transposed(index_t k, index_t count, const float* src, index_t src_lane, uint32_t* dst, index_t width) {
  constexpr index_t L = kLanes<float>;
  for (index_t j = 0; j < up_to_multiple(count, kPanelGrain); j += L) {
    const index_t lanes = least(count - j, L);
    for (index_t p = 0; p < k; p += 2 * L) {
      const float* s = src + j * src_lane + p;
      const index_t pairs = least(pairs_of(k - p), L);
      Vec<float> block[L];
      if (lanes == L && p + 2 * L <= k) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          block[i] = (Vec<float>)pair_neighbours(load(s + i * src_lane), load(s + i * src_lane + L));
      } else {
        for (int i = 0; i < L; ++i) {
          block[i] = Vec<float>{};
          if (i < lanes)
            block[i] = (Vec<float>)pair_neighbours(load_some(s + i * src_lane, k - p),
                                                   load_some(s + i * src_lane + L, k - p - L));
        }
      }
      transpose<float>(block);
      uint32_t* d = dst + p / 2 * width + j;
      if (pairs == L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store_words(d + i * width, (Words)block[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < pairs) store_words(d + i * width, (Words)block[i]);
      }
    }
  }
}

// k runs along memory and stays so: dst[row * dst_row + pair].
void pack_rows_of_pairs(index_t rows, index_t k, const float* src, index_t src_row, uint32_t* dst, index_t dst_row) {
  constexpr index_t L = kLanes<float>;
  for (index_t i = 0; i < rows; ++i, src += src_row, dst += dst_row)
    for (index_t p = 0; p < k; p += 2 * L)  // dst_row has room for whole vectors
      store_words(dst + p / 2, pair_neighbours(load_some(src + p, k - p), load_some(src + p + L, k - p - L)));
}

// Part of B, whose first element is row first_k and column first_n, into its place in the packed whole.
void bfloat16_pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                   index_t first_n, index_t last_n, uint32_t* packed) {
  for (index_t j = first_n; j < last_n;) {
    const index_t panel = j / kPanel * kPanel, end = least(panel + kPanel, last_n);
    const index_t width = up_to_multiple(least(kPanel, n - panel), kPanelGrain);
    uint32_t* dst = packed + panel * pairs_of(k) + first_k / 2 * width + (j - panel);
    const float* src = b + (j - first_n) * b_col;
    if (b_col == 1 || n == 1) pack_pairs(last_k - first_k, end - j, src, b_row, dst, width);
    else pack_pairs_transposed(last_k - first_k, end - j, src, b_col, dst, width);
    j = end;
  }
}

index_t bfloat16_packed(index_t k, index_t n) { return pairs_of(k) * up_to_multiple(n, kPanelGrain); }
