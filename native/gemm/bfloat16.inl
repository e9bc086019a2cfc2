// Products of values rounded to bfloat16, summed in float32. Two neighbours along k share a lane, the earlier one in the
// high half: one `dot` is acc = fma(a1, b1, fma(a0, b0, acc)), which is what vdpbf16ps does (it takes the high halves first) at
// twice the rate of float32. A product of two bfloat16 values is exact in float32, so that every instruction set, with or
// without FMA, gives the bits of the float32 chain over rising k on rounded operands; subnormal numbers may be zero.
//
// The broadcast operand A is packed once a call, the vector operand B panel by panel or ahead of time (bfloat16_pack.inl).

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
