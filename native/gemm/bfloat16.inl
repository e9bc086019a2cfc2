// Products of values rounded to bfloat16, summed in float32 in the order of the tiles of AMX (decision 0037): 32 steps of k are a
// block, its first 16 a chain of multiply-adds from zero, its last 16 another; both are added, and their sum to the sum so far.
//
// Two neighbours along k share a lane, the earlier one in the high half: one `dot` is acc = fma(a1, b1, fma(a0, b0, acc)), which
// is what vdpbf16ps does (it takes the high halves first) at twice the rate of float32. A product of two bfloat16 values is exact
// in float32, so that every instruction set, with or without FMA, gives the same bits; subnormal numbers may be zero.
//
// The broadcast operand A is packed once a call, the vector operand B panel by panel or ahead of time (bfloat16_pack.inl).

// Rows of accumulators for one or two vectors a row; as many registers hold the first half of a block, and the sums wait in
// memory. Zen 4, 64 x 512 x 512 packed: 222 GFLOP/s so, 199 with twice the accumulators and the first half in memory, 224 as
// one chain over all of k. Without the instruction, each operand is held as two halves.
#if defined(__AVX512BF16__)
constexpr int kPairRows[] = {0, 12, 6};
#elif DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kPairRows[] = {0, 8, 6};
#else
constexpr int kPairRows[] = {0, 4, 3};  // AVX2, 256 x 2048 x 2048: 3 rows 69 GFLOP/s, 4 rows 67, 2 rows 60
#endif
constexpr int kPairVectors = int(sizeof(kPairRows) / sizeof(int)) - 1;

constexpr index_t kChainPairs = kBfloat16Chain / 2;

// Pairs of k that are packed at a time, a whole number of blocks: a panel of them takes 128 KiB. Zen 4, 256 x 2048 x 2048 packed:
// 222 GFLOP/s, 216 with 512, 199 with 128.
constexpr index_t kBlockPairs = 1024;

// ---- The tile

struct PairTile {
  index_t pairs;
  const uint32_t* a;  // a[i * a_row + pair * a_pair]
  index_t a_row, a_pair;
  const uint32_t* b;  // b[pair * b_pair + lane], from the third vector on b_panel further; or, for few rows, B itself:
  index_t b_pair, b_panel;
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
  Vec<float> sum[MR][NV], half[MR][NV], acc[MR][NV];
  if (t.load_c) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        const float* c = t.c + i * t.c_row + v * L;
        sum[i][v] = v < NV - 1 || whole ? load(c) : load(c, Part{t.last});
      }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) sum[i][v] = Vec<float>{};
  }

  constexpr int groups = (MR + 2) / 3;  // three rows share a pointer, as in tile.inl
  const uint32_t* a[groups];
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g) a[g] = t.a + 3 * g * t.a_row;
  const uint32_t* b = t.b;
  const index_t a_row = t.a_row, a_pair = t.a_pair, b_pair = t.b_pair, b_panel = t.b_panel;
  const float* even = t.direct;
  const float* odd = Direct ? even + t.direct_k : nullptr;
  for (index_t left = t.pairs; left > 0; left -= kChainPairs) {
    const bool second = (t.pairs - left) / kChainPairs % 2 == 1;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = Vec<float>{};
    for (index_t p = least(left, kChainPairs), at = 2 * (t.pairs - left); p > 0; --p, at += 2) {
      Words row[NV];
      if constexpr (Direct) {
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v)
          row[v] = make_pairs(load(even + v * L), at + 1 < t.k ? load(odd + v * L) : Vec<float>{});
        even += 2 * t.direct_k, odd += 2 * t.direct_k;
      } else {
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) {
          row[v] = load_words(v < kPairVectors ? b + v * L : b + b_panel + (v - kPairVectors) * L);
#if defined(__AVX512BF16__)
          if (MR > 1) asm("" : "+v"(row[v]));  // in a register, not read again for each row
#endif
        }
        b += b_pair;
      }
      add_pair<MR, NV>(a, a_row, row, acc);
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += a_pair;
    }
    if (!second && left > kChainPairs) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) half[i][v] = acc[i][v];
    } else if (second) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) sum[i][v] += half[i][v] + acc[i][v];
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) sum[i][v] += acc[i][v];
    }
  }

  if (t.final) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      Vec<float> bias = {};
      if (t.bias) bias = round_bfloat16(load_some(t.bias + v * L, v < NV - 1 ? L : t.last));
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        Vec<float> z = round_bfloat16(sum[i][v]);
        if (t.bias) z = round_bfloat16(z + bias);
        if (t.relu) z = max_or_second(Vec<float>{}, z);
        sum[i][v] = z;
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      float* c = t.c + i * t.c_row + v * L;
      if (v < NV - 1 || whole) store(c, sum[i][v]);
      else store(c, sum[i][v], Part{t.last});
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
constexpr int kWideDirectRows = kDirectRows / 2, kDirectVectors = DENSEKIT_VECTOR_BYTES == 64 ? 4 : 2;

template <int NV, class Rows>
struct DirectTileRow;
template <int NV, int... I>
struct DirectTileRow<NV, Ints<I...>> {
  static constexpr PairTileFunction get[] = {bfloat16_tile<I + 1, NV, true>...};
};

// Few rows of a packed B take two panels at once, for more chains in flight. Zen 4, one row of 1024-2048-2048-2048-10, two threads:
// 154 us by single panels, 139 so.
constexpr int kWidePairRows = 3;

template <class Rows>
struct WideTileRow;
template <int... I>
struct WideTileRow<Ints<I...>> {
  static constexpr PairTileFunction get[] = {bfloat16_tile<I + 1, 2 * kPairVectors, false>...};
};

DENSEKIT_INLINE PairTileFunction pair_tile(index_t rows, index_t vectors) {
  switch (vectors) {
    case 1: return PairTileRow<1, FirstInts<kPairRows[1]>>::get[rows - 1];
    default: return PairTileRow<2, FirstInts<kPairRows[2]>>::get[rows - 1];
  }
}

// Zen 4, a step of 1024-2048-2048-2048-10, batch 256, two threads: 48.7 ms, 47.9 with it.
DENSEKIT_INLINE void prefetch_sums(const float* c, index_t rows, index_t c_row, index_t vectors) {
  for (; rows > 0; --rows, c += c_row)
    for (index_t v = 0; v < vectors; ++v) __builtin_prefetch(c + v * kLanes<float>, 1);
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
  return blocks > 1 ? up_to_multiple((pairs + blocks - 1) / blocks, 2 * kChainPairs) : pairs;
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
  t.a_row = layout.row, t.a_pair = layout.pair, t.b_panel = 0, t.c_row = g.c_row;
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
    for (index_t column = 0; column < g.n;) {
      if (!packed_b && g.b_col == 1 && g.m <= 2 * kDirectRows && g.n - column >= kBfloat16Panel) {
        t.k = k, t.last = L, t.direct_k = g.b_row;
        const index_t first = g.m > kDirectRows ? (g.m + 1) / 2 : g.m;
        const bool wide = first <= kWideDirectRows;
        const index_t step = (wide ? kDirectVectors : kPairVectors) * L;
        for (const index_t end = column + kBfloat16Panel; column < end; column += step) {
          t.direct = g.b + 2 * at * g.b_row + column;
          t.bias = g.bias ? g.bias + column : nullptr;
          for (index_t i = 0; i < g.m; i += first) {
            t.a = a + i * layout.row;
            t.c = g.c + i * g.c_row + column;
            const index_t rows = least(first, g.m - i);
            (wide ? DirectTileRow<kDirectVectors, FirstInts<kWideDirectRows>>::get[rows - 1]
                  : DirectTileRow<kPairVectors, FirstInts<kDirectRows>>::get[rows - 1])(t);
          }
        }
        continue;
      }
      const index_t columns = least(g.n - column, kPanel), width = up_to_multiple(columns, kPanelGrain);
      const uint32_t* b = packed_b ? packed_b + column * pairs + at * width : panel;
      if (!packed_b)
        bfloat16_pack(g.b + 2 * at * g.b_row + column * g.b_col, g.b_row, g.b_col, k, columns, 0, k, 0, columns, panel);
      t.b_pair = width;
      if constexpr (kPairVectors * L == kPanel) {
        if (packed_b && g.m <= kWidePairRows && g.n - column >= 2 * kPanel) {
          t.last = L;
          t.a = a, t.b = b, t.c = g.c + column;
          t.b_panel = kPanel * pairs;
          t.bias = g.bias ? g.bias + column : nullptr;
          WideTileRow<FirstInts<kWidePairRows>>::get[g.m - 1](t);
          column += 2 * kPanel;
          continue;
        }
      }
      // Rows outside: what a tile reads of A is in L1 when the next one to its right reads it.
      const index_t most = kPairRows[columns > L ? kPairVectors : 1], tiles = (g.m + most - 1) / most;
      const index_t each = g.m / tiles, longer = g.m % tiles;
      for (index_t i = 0, tile = 0; tile < tiles; ++tile) {
        const index_t rows = each + (tile < longer);
        t.a = a + i * layout.row;
        for (index_t inside = 0; inside < columns; inside += kPairVectors * L) {
          const index_t lanes = least(columns - inside, kPairVectors * L), vectors = (lanes + L - 1) / L;
          t.last = lanes - (vectors - 1) * L;
          t.b = b + inside;
          t.bias = g.bias ? g.bias + column + inside : nullptr;
          t.c = g.c + i * g.c_row + column + inside;
          if (tile + 1 < tiles) prefetch_sums(t.c + rows * g.c_row, rows, g.c_row, vectors);
          pair_tile(rows, vectors)(t);
        }
        i += rows;
      }
      column += columns;
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
