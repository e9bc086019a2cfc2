// Products of values rounded to bfloat16 by tiles: bits as those of bfloat16.inl, whose blocks of 32 steps of k are what an
// instruction takes. Steps r and 16 + r of a block share a word, the earlier in the high half.
//   packed B: [panel of 32 columns][block of k][16 words][columns of the panel, up to a multiple of 16], zeros beyond n and k
//   packed A: [16 rows][block of k][16 rows][16 words], zeros beyond k, and beyond m where there are more than 16 rows
//
// Written by the manual, and by what it says of the latencies: no machine with tiles was at hand. So the numbers below are no
// measurements, and dispatch.cpp compares the bits before it uses any of this.

constexpr index_t kTiledPanel = 32;
constexpr index_t kTileSteps = 2 * kBfloat16Chain;  // of k, in a block
constexpr index_t kTileOfWords = kTileRows * kTileWords;
static_assert(kTileWords == kBfloat16Chain && kBfloat16Panel % kTiledPanel == 0);

// Blocks of k that A is packed for at a time: 16 rows of them take 128 KiB.
constexpr index_t kMostBlocks = 128;
// Blocks of k that all rows run through before the next: a panel of them takes 32 KiB, so that it stays in L1 (48 KiB).
constexpr index_t kBlocksInL1 = 16;

DENSEKIT_INLINE index_t blocks_of(index_t k) { return (k + kTileSteps - 1) / kTileSteps; }
DENSEKIT_INLINE index_t tiled_width(index_t columns) {
  return up_to_multiple(least(columns, kTiledPanel), kPanelGrain);
}

// ---- Packing

// One half of each word: another thread may be at the other one.
DENSEKIT_INLINE void store_half(uint32_t* p, Words v, bool first) {
#if defined(__AVX512BW__) && DENSEKIT_VECTOR_BYTES == 64
  _mm512_mask_storeu_epi16(p, first ? 0xAAAAAAAAu : 0x55555555u, (__m512i)v);
#else
  typedef uint16_t __attribute__((may_alias)) Half;
  for (int i = 0; i < kLanes<float>; ++i) ((Half*)(p + i))[first] = uint16_t(first ? v[i] >> 16 : v[i]);
#endif
}
DENSEKIT_INLINE void store_halves(uint32_t* p, Words v, bool first, bool second) {
  if (first && second) store_words(p, v);
  else if (first || second) store_half(p, v, first);
}

// Which steps of k a call packs; beyond the last one of all there are zeros.
struct PackedSteps {
  index_t first, last, end;  // source has first..last, the packed whole gets first..end
  bool has(index_t p) const { return first <= p && p < end; }
};

// Lanes run along memory: `count` of them, and zeros to a multiple of the grain.
void tiled_pack_lanes(const PackedSteps& k, index_t count, const float* src, index_t src_k, uint32_t* dst,
                      index_t width) {
  const index_t all = up_to_multiple(count, kPanelGrain);
  for (index_t block = k.first / kTileSteps; block * kTileSteps < k.end; ++block) {
    for (index_t r = 0; r < kTileRows; ++r) {
      const index_t p = block * kTileSteps + r, q = p + kTileRows;
      if (!k.has(p) && !k.has(q)) continue;
      const index_t p_lanes = k.has(p) && p < k.last ? count : 0, q_lanes = k.has(q) && q < k.last ? count : 0;
      const float *p_src = src + (p - k.first) * src_k, *q_src = src + (q - k.first) * src_k;
      uint32_t* d = dst + (block * kTileRows + r) * width;
      for (index_t j = 0; j < all; j += kLanes<float>)
        store_halves(d + j, make_pairs(load_some(p_src + j, p_lanes - j), load_some(q_src + j, q_lanes - j)), k.has(p),
                     k.has(q));
    }
  }
}

// k runs along memory: words of L steps x L lanes are transposed in registers.
void tiled_pack_transposed(const PackedSteps& k, index_t count, const float* src, index_t src_lane, uint32_t* dst,
                           index_t width) {
  constexpr index_t L = kLanes<float>;
  for (index_t block = k.first / kTileSteps; block * kTileSteps < k.end; ++block) {
    const index_t begin = block * kTileSteps;
    for (index_t j = 0; j < up_to_multiple(count, kPanelGrain); j += L) {
      for (index_t r = 0; r < kTileRows; r += L) {
        Vec<float> words[L];
        for (index_t i = 0; i < L; ++i) {
          words[i] = Vec<float>{};
          if (j + i >= count) continue;
          const float* s = src + (j + i) * src_lane;
          float copy[kTileSteps];
          if (begin >= k.first) {
            s += begin - k.first;
          } else {  // a block whose first steps another call packs
            for (index_t p = begin; p < begin + kTileSteps; ++p)
              copy[p - begin] = k.first <= p && p < k.last ? s[p - k.first] : 0.0f;
            s = copy;
          }
          const index_t left = k.last - begin;
          words[i] = (Vec<float>)make_pairs(load_some(s + r, left - r),
                                            load_some(s + kTileRows + r, left - kTileRows - r));
        }
        transpose<float>(words);
        for (index_t i = 0; i < L; ++i)
          store_halves(dst + (block * kTileRows + r + i) * width + j, (Words)words[i], k.has(begin + r + i),
                       k.has(begin + kTileRows + r + i));
      }
    }
  }
}

index_t tiled_packed(index_t k, index_t n) { return blocks_of(k) * kTileRows * up_to_multiple(n, kPanelGrain); }

void tiled_pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                index_t first_n, index_t last_n, uint32_t* packed) {
  const PackedSteps steps{first_k, last_k, last_k == k ? blocks_of(k) * kTileSteps : last_k};
  for (index_t j = first_n; j < last_n;) {
    const index_t panel = j / kTiledPanel * kTiledPanel, end = least(panel + kTiledPanel, last_n);
    const index_t width = tiled_width(n - panel);
    uint32_t* dst = packed + panel * blocks_of(k) * kTileRows + (j - panel);
    const float* src = b + (j - first_n) * b_col;
    if (b_col == 1 || n == 1) tiled_pack_lanes(steps, end - j, src, b_row, dst, width);
    else tiled_pack_transposed(steps, end - j, src, b_col, dst, width);
    j = end;
  }
}

// All of A, for k steps.
void tiled_pack_a(const Gemm<float>& g, const float* a, index_t k, uint32_t* dst) {
  constexpr index_t L = kLanes<float>;
  const index_t blocks = blocks_of(k), rows = g.m > kTileRows ? up_to_multiple(g.m, kTileRows) : g.m;
  for (index_t row = 0; row < rows; row += kTileRows) {
    for (index_t block = 0; block < blocks; ++block, dst += kTileOfWords) {
      const index_t p = block * kTileSteps, left = k - p, here = least(kTileRows, rows - row);
      if (g.a_col == 1) {
        for (index_t i = 0; i < here; ++i) {
          const float* s = a + (row + i) * g.a_row + p;
          const index_t count = row + i < g.m ? left : 0;
          for (index_t r = 0; r < kTileWords; r += L)
            store_words(dst + i * kTileWords + r,
                        make_pairs(load_some(s + r, count - r), load_some(s + kTileWords + r, count - kTileWords - r)));
        }
        continue;
      }
      for (index_t i = 0; i < here; i += L) {
        for (index_t r = 0; r < kTileWords; r += L) {
          Vec<float> words[L];
          for (index_t w = 0; w < L; ++w) {
            const float *s = a + (p + r + w) * g.a_col + row + i, *t = s + kTileWords * g.a_col;
            const index_t lanes = g.m - row - i;
            words[w] = (Vec<float>)make_pairs(load_some(s, r + w < left ? lanes : 0),
                                              load_some(t, kTileWords + r + w < left ? lanes : 0));
          }
          transpose<float>(words);
          for (index_t w = 0; w < L; ++w) store_words(dst + (i + w) * kTileWords + r, (Words)words[w]);
        }
      }
    }
  }
}

// ---- The product

// Where things lie in the scratch, in words.
struct TiledScratch {
  index_t columns;  // that are worked on together
  index_t blocks;   // that A is packed for
  index_t a, b, sums;
};
DENSEKIT_INLINE TiledScratch tiled_layout(const Gemm<float>& g, bool is_packed) {
  TiledScratch s;
  const index_t row_tiles = (g.m + kTileRows - 1) / kTileRows;
  s.columns = row_tiles == 1 ? kColumnsOfOneRow : kColumnsOfTwoRows;
  s.blocks = least(blocks_of(g.k), kMostBlocks);
  s.a = row_tiles * s.blocks * kTileOfWords;
  s.b = is_packed ? 0 : s.blocks * kTileRows * s.columns;
  s.sums = up_to_multiple(row_tiles, 2) * kTileRows * s.columns;
  return s;
}

index_t tiled_scratch(const Gemm<float>& g, bool is_packed) {
  const TiledScratch s = tiled_layout(g, is_packed);
  return s.a + s.b + s.sums;
}

// Sums of rows x columns from C, or to C: as they are, or the end of the product.
DENSEKIT_INLINE void bring_sums(const Gemm<float>& g, index_t row, index_t rows, index_t column, index_t columns,
                                float* sums, index_t sums_row) {
  for (index_t i = row; i < row + rows; ++i)
    for (index_t j = 0; j < columns; j += kLanes<float>)
      store(sums + (i - row) * sums_row + j, load_some(g.c + i * g.c_row + column + j, columns - j));
}
DENSEKIT_INLINE void finish_sums(const Gemm<float>& g, index_t row, index_t rows, index_t column, index_t columns,
                                 const float* sums, index_t sums_row, bool final) {
  constexpr index_t L = kLanes<float>;
  for (index_t j = 0; j < columns; j += L) {
    Vec<float> bias = {};
    if (g.bias && final) bias = round_bfloat16(load_some(g.bias + column + j, columns - j));
    for (index_t i = row; i < row + rows; ++i) {
      Vec<float> z = load(sums + (i - row) * sums_row + j);
      if (final) {
        z = round_bfloat16(z);
        if (g.bias) z = round_bfloat16(z + bias);
        if (g.relu) z = max_or_second(Vec<float>{}, z);
      }
      float* c = g.c + i * g.c_row + column + j;
      if (columns - j >= L) store(c, z);
      else store(c, z, Part{columns - j});
    }
  }
}

void tiled_gemm(const Gemm<float>& g, const uint32_t* packed_b, float* scratch) {
  if (g.m <= 0 || g.n <= 0) return;
  const TiledScratch layout = tiled_layout(g, packed_b != nullptr);
  auto* a = (uint32_t*)scratch;
  uint32_t* own_b = a + layout.a;
  float* sums = scratch + layout.a + layout.b;
  const index_t all = blocks_of(g.k), row_tiles = (g.m + kTileRows - 1) / kTileRows;
  tile_configure(tile_config(g.m));
  TilePiece t;
  t.a_row = kTileWords, t.a_step = kTileOfWords;
  t.sums_row = layout.columns;
  index_t at = 0;
  do {  // once when k is 0
    const index_t blocks = least(all - at, layout.blocks), first_k = at * kTileSteps;
    const index_t k = least(g.k - first_k, blocks * kTileSteps);
    tiled_pack_a(g, g.a + first_k * g.a_col, k, a);
    t.a_tile = blocks * kTileOfWords;
    const index_t together = row_tiles > 2 ? kBlocksInL1 : blocks;
    for (index_t column = 0; column < g.n; column += layout.columns) {
      const index_t columns = least(g.n - column, layout.columns);
      if (!packed_b)
        tiled_pack(g.b + first_k * g.b_row + column * g.b_col, g.b_row, g.b_col, k, columns, 0, k, 0, columns, own_b);
      index_t done = 0;
      do {
        t.steps = least(blocks - done, together);
        const bool final = at + done + t.steps == all, first = done == 0, last = done + t.steps == blocks;
        t.load = at > 0 || g.accumulate || !first;
        for (index_t j = 0; j < columns; j += kTileWords) {
          const index_t panel = j / kTiledPanel * kTiledPanel;
          const index_t width = tiled_width((packed_b ? g.n - column : columns) - panel);
          const index_t tile = j / kTileWords;
          t.b_row[tile] = width;
          t.b[tile] = packed_b ? packed_b + (column + panel) * all * kTileRows + (at + done) * kTileRows * width
                               : own_b + panel * blocks * kTileRows + done * kTileRows * width;
          t.b[tile] += j - panel;
        }
        for (index_t tile = 0; tile < row_tiles; tile += 2) {
          const index_t row = tile * kTileRows, rows = least(g.m - row, 2 * kTileRows);
          float* mine = sums + row * layout.columns;
          if (first && t.load) bring_sums(g, row, rows, column, columns, mine, layout.columns);
          t.a = a + tile * t.a_tile + done * kTileOfWords;
          t.sums = (uint32_t*)mine;
          run_piece<Bfloat16Dot>(t, least(row_tiles - tile, 2), (columns + kTileWords - 1) / kTileWords);
          if (last) finish_sums(g, row, rows, column, columns, mine, layout.columns, final);
        }
        done += t.steps;
      } while (done < blocks);
    }
    at += blocks;
  } while (at < all);
  tile_release();
}

constexpr Kernels<float> tiled_table() {
  Kernels<float> t{};
  t.bfloat16_scratch = tiled_scratch;
  t.bfloat16_gemm = tiled_gemm;
  t.bfloat16_packed = tiled_packed;
  t.bfloat16_pack = tiled_pack;
  t.bfloat16_round = round_bfloat16;
  return t;
}
