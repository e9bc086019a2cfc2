// Products of values rounded to bfloat16, summed in float32. Two neighbours along k share a lane, the earlier one in the
// high half: one `dot` is acc = fma(a1, b1, fma(a0, b0, acc)), which is what vdpbf16ps does (it takes the high halves first) at
// twice the rate of float32. A product of two bfloat16 values is exact in float32, so that every instruction set, with or
// without FMA, gives the bits of the float32 chain over rising k on rounded operands; subnormal numbers may be zero.
//
// The broadcast operand A is packed once a call, the vector operand B panel by panel or ahead of time:
//   packed B: [panel of 64 columns][pair of k][columns of the panel, up to a multiple of 16], zeros beyond n and k

typedef uint32_t Words __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef uint32_t LooseWords __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));

constexpr index_t kPanel = kBfloat16Panel;
constexpr index_t kPanelGrain = 16;  // lanes of the widest vector: the layout is the same for all instruction sets

// Rows of accumulators for 1..4 vectors a row. Without the instruction, each operand is held as two halves.
#if defined(__AVX512BF16__)
constexpr int kPairRows[] = {0, 12, 12, 8, 6};
#elif DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kPairRows[] = {0, 8, 8};
#else
constexpr int kPairRows[] = {0, 4, 4};
#endif
constexpr int kPairVectors = int(sizeof(kPairRows) / sizeof(int)) - 1;

// Pairs of k in a block: a panel of it takes 256 KiB, half of the smallest L2; the rest is for the rows that meet it.
constexpr index_t kBlockPairs = 1024;

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

// ---- The tile

struct PairTile {
  index_t pairs;
  const uint32_t* a;  // a[i * a_row + pair * a_pair]
  index_t a_row, a_pair;
  const uint32_t* b;  // b[pair * b_pair + lane]; or, where few rows meet it, B as it is:
  index_t b_pair;
  const float* direct;  // direct[p * direct_k + lane], k steps
  index_t direct_k, k;
  float* c;
  index_t c_row;
  const float* bias;
  bool load_c, final, relu;
  index_t last;  // lanes of the last vector in use
};

// acc += the product of one pair of k.
template <int MR, int NV>
DENSEKIT_INLINE void add_pair(const uint32_t* const* a, index_t a_row, const Words (&row)[NV],
                              Vec<float> (&acc)[MR][NV]) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
    const Words pair = a[i / 3][(i % 3) * a_row] - Words{};
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[i][v] = dot(pair, row[v], acc[i][v]);
  }
}

template <int MR, int NV, bool Direct>
void bfloat16_tile(const PairTile& t) {
  constexpr index_t L = kLanes<float>;
  const bool whole = t.last == L;
  Vec<float> acc[MR][NV];
  if (t.load_c) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        const float* c = t.c + i * t.c_row + v * L;
        acc[i][v] = v < NV - 1 || whole ? load(c) : load(c, Part{t.last});
      }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = Vec<float>{};
  }

  constexpr int groups = (MR + 2) / 3;  // three rows share a pointer, as in tile.inl
  const uint32_t* a[groups];
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g) a[g] = t.a + 3 * g * t.a_row;
  const uint32_t* b = t.b;
  const index_t a_row = t.a_row, a_pair = t.a_pair, b_pair = t.b_pair;
  if constexpr (Direct) {
    const float* even = t.direct;
    const float* odd = even + t.direct_k;
    for (index_t p = t.k; p > 0; p -= 2) {
      Words row[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) row[v] = make_pairs(load(even + v * L), p > 1 ? load(odd + v * L) : Vec<float>{});
      add_pair<MR, NV>(a, a_row, row, acc);
      even += 2 * t.direct_k, odd += 2 * t.direct_k;
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += a_pair;
    }
  } else {
    for (index_t p = t.pairs; p > 0; --p) {
      Words row[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        row[v] = load_words(b + v * L);
#if defined(__AVX512BF16__)
        if (MR > 1) asm("" : "+v"(row[v]));  // in a register, not read again for each row
#endif
      }
      add_pair<MR, NV>(a, a_row, row, acc);
      b += b_pair;
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += a_pair;
    }
  }

  if (t.final) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      Vec<float> bias = {};
      if (t.bias) bias = round_bfloat16(load_some(t.bias + v * L, v < NV - 1 ? L : t.last));
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        Vec<float> z = round_bfloat16(acc[i][v]);
        if (t.bias) z = round_bfloat16(z + bias);
        if (t.relu) z = max_or_second(Vec<float>{}, z);
        acc[i][v] = z;
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      float* c = t.c + i * t.c_row + v * L;
      if (v < NV - 1 || whole) store(c, acc[i][v]);
      else store(c, acc[i][v], Part{t.last});
    }
}

using PairTileFunction = void (*)(const PairTile&);

template <int NV, class Rows>
struct PairTileRow;
template <int NV, int... I>
struct PairTileRow<NV, Ints<I...>> {
  static constexpr PairTileFunction get[] = {bfloat16_tile<I + 1, NV, false>...};
};

// A panel that at most two tiles meet is not worth its copy. Zen 4, 512 x 512: 1 row 11 us direct, 20 us packed; 4 rows 13
// and 25 us.
#if DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kDirectRows = 6;
#else
constexpr int kDirectRows = 4;
#endif
constexpr int kDirectVectors = DENSEKIT_VECTOR_BYTES == 64 ? 4 : 2;

template <class Rows>
struct DirectTileRow;
template <int... I>
struct DirectTileRow<Ints<I...>> {
  static constexpr PairTileFunction get[] = {bfloat16_tile<I + 1, kDirectVectors, true>...};
};

DENSEKIT_INLINE PairTileFunction pair_tile(index_t rows, index_t vectors) {
  switch (vectors) {
    case 1: return PairTileRow<1, FirstInts<kPairRows[1]>>::get[rows - 1];
    case 2: return PairTileRow<2, FirstInts<kPairRows[2]>>::get[rows - 1];
#if defined(__AVX512BF16__)
    case 3: return PairTileRow<3, FirstInts<kPairRows[3]>>::get[rows - 1];
    default: return PairTileRow<4, FirstInts<kPairRows[4]>>::get[rows - 1];
#else
    default: return PairTileRow<2, FirstInts<kPairRows[2]>>::get[rows - 1];
#endif
  }
}

// ---- The product

// How the packed A lies: by rows where k runs along memory, by pairs where rows do. The extra line keeps rows of 4 KiB
// from falling into one set of L1.
struct PackedA {
  index_t row, pair, size;
};
DENSEKIT_INLINE PackedA packed_a(const Gemm<float>& g, index_t pairs) {
  if (g.a_col == 1) {
    const index_t row = up_to_multiple(pairs, kPanelGrain) + kPanelGrain;
    return {row, 1, g.m * row};
  }
  const index_t pair = up_to_multiple(g.m, kPanelGrain) + (g.m >= 512 ? kPanelGrain : 0);
  return {1, pair, pairs * pair};
}

DENSEKIT_INLINE index_t block_pairs(const Gemm<float>& g) {
  const index_t pairs = pairs_of(g.k), blocks = (pairs + kBlockPairs - 1) / kBlockPairs;
  return blocks > 1 ? (pairs + blocks - 1) / blocks : pairs;
}

index_t bfloat16_scratch(const Gemm<float>& g, bool is_packed) {
  const index_t pairs = block_pairs(g);
  return up_to_multiple(packed_a(g, pairs).size, kPanelGrain) + (is_packed ? 0 : pairs * kPanel);
}

void bfloat16_gemm(const Gemm<float>& g, const uint32_t* packed_b, float* scratch) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr index_t L = kLanes<float>;
  const index_t pairs = pairs_of(g.k), block = block_pairs(g);
  const PackedA layout = packed_a(g, block);
  auto* a = (uint32_t*)scratch;
  uint32_t* panel = a + up_to_multiple(layout.size, kPanelGrain);
  PairTile t;
  t.a_row = layout.row, t.a_pair = layout.pair, t.c_row = g.c_row;
  index_t at = 0;
  do {  // once when k is 0
    t.pairs = least(pairs - at, block);
    t.final = at + t.pairs == pairs;
    t.load_c = at > 0 || g.accumulate;
    t.relu = g.relu;
    const index_t k = least(g.k - 2 * at, 2 * t.pairs);
    const float* from = g.a + 2 * at * g.a_col;
    if (g.a_col == 1) pack_rows_of_pairs(g.m, k, from, g.a_row, a, layout.row);
    else pack_pairs(k, g.m, from, g.a_col, a, layout.pair);
    for (index_t column = 0; column < g.n; column += kPanel) {
      const index_t columns = least(g.n - column, kPanel), width = up_to_multiple(columns, kPanelGrain);
      if (!packed_b && g.b_col == 1 && g.m <= 2 * kDirectRows && columns == kPanel) {
        t.k = k, t.last = L, t.direct_k = g.b_row;
        const index_t first = g.m > kDirectRows ? (g.m + 1) / 2 : g.m;
        for (index_t inside = column; inside < column + kPanel; inside += kDirectVectors * L) {
          t.direct = g.b + 2 * at * g.b_row + inside;
          t.bias = g.bias ? g.bias + inside : nullptr;
          for (index_t i = 0; i < g.m; i += first) {
            t.a = a + i * layout.row;
            t.c = g.c + i * g.c_row + inside;
            DirectTileRow<FirstInts<kDirectRows>>::get[least(first, g.m - i) - 1](t);
          }
        }
        continue;
      }
      const uint32_t* b = packed_b ? packed_b + column * pairs + at * width : panel;
      if (!packed_b)
        bfloat16_pack(g.b + 2 * at * g.b_row + column * g.b_col, g.b_row, g.b_col, k, columns, 0, k, 0, columns, panel);
      t.b_pair = width;
      for (index_t inside = 0; inside < columns; inside += kPairVectors * L) {
        const index_t lanes = least(columns - inside, kPairVectors * L), vectors = (lanes + L - 1) / L;
        t.last = lanes - (vectors - 1) * L;
        t.b = b + inside;
        t.bias = g.bias ? g.bias + column + inside : nullptr;
        const index_t tiles = (g.m + kPairRows[vectors] - 1) / kPairRows[vectors];
        const index_t each = g.m / tiles, longer = g.m % tiles;
        for (index_t i = 0, tile = 0; tile < tiles; ++tile) {
          const index_t rows = each + (tile < longer);
          t.a = a + i * layout.row;
          t.c = g.c + i * g.c_row + column + inside;
          pair_tile(rows, vectors)(t);
          i += rows;
        }
      }
    }
    at += t.pairs;
  } while (at < pairs);
}

constexpr Kernels<float> bfloat16_table() {
  Kernels<float> t{};
  t.bfloat16_scratch = bfloat16_scratch;
  t.bfloat16_gemm = bfloat16_gemm;
  t.bfloat16_packed = bfloat16_packed;
  t.bfloat16_pack = bfloat16_pack;
  t.bfloat16_round = round_bfloat16;
  return t;
}
