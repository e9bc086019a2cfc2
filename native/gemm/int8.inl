// Products of whole numbers of eight bits, summed exactly in 32: an element is what it is in whatever order it is summed, so
// that every instruction set gives the same bits. How the operands lie: int8_pack.inl.

// Rows of accumulators for 1..4 vectors a row.
#if defined(__AVX512VNNI__)
constexpr int kInt8Rows[] = {0, 12, 12, 8, 6};
#elif DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kInt8Rows[] = {0, 8, 8};  // each operand is held as two halves
#else
constexpr int kInt8Rows[] = {0, 4, 4};
#endif
constexpr int kInt8Vectors = int(sizeof(kInt8Rows) / sizeof(int)) - 1;

// acc += the products of neighbouring halves, two a lane.
DENSEKIT_INLINE Sums add_pairs(Sums acc, Halves a, Halves b) {
#if defined(__AVX512BW__) && DENSEKIT_VECTOR_BYTES == 64
  return acc + (Sums)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && DENSEKIT_VECTOR_BYTES == 32
  return acc + (Sums)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && DENSEKIT_VECTOR_BYTES == 16
  return acc + (Sums)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  const Sums x = (Sums)a, y = (Sums)b;
  return acc + ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}
DENSEKIT_INLINE Halves even_bytes(Sums words) { return ((Halves)words << 8) >> 8; }
DENSEKIT_INLINE Halves odd_bytes(Sums words) { return (Halves)words >> 8; }

// ---- The tile

struct Int8Tile {
  index_t fours, width;  // of k; columns of the panel
  const uint32_t* a;
  index_t a_row;
  const float* a_scale;
  const uint8_t* b;
  const int32_t* first;
  const float *b_scale, *bias;
  float* c;
  index_t c_row;
  index_t last;  // lanes of the last vector in use
};

template <int MR, int NV>
void int8_tile(const Int8Tile& t) {
  constexpr index_t L = kLanes<float>;
  Sums acc[MR][NV];
#pragma GCC unroll 8
  for (int v = 0; v < NV; ++v) {
    const Sums first = load_sums(t.first + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) acc[i][v] = first;
  }
  const uint8_t* b = t.b;
  const uint32_t* a = t.a;
  const index_t b_step = 4 * t.width, a_row = t.a_row;
  for (index_t p = t.fours; p > 0; --p, b += b_step) {
#if defined(__AVX512VNNI__)
    Sums row[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      row[v] = load_sums(b + 4 * v * L);
      if (MR > 1) asm("" : "+v"(row[v]));  // in a register, not read again for each row
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Sums four = all_lanes_of(a[i * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v)
        acc[i][v] = (Sums)_mm512_dpbusd_epi32((__m512i)acc[i][v], (__m512i)four, (__m512i)row[v]);
    }
    a += 1;
#else
    Halves even[NV], odd[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const Sums row = load_sums(b + 4 * v * L);
      even[v] = even_bytes(row), odd[v] = odd_bytes(row);
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const auto evens = (Halves)all_lanes_of(a[i * a_row]), odds = (Halves)all_lanes_of(a[i * a_row + 1]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = add_pairs(add_pairs(acc[i][v], evens, even[v]), odds, odd[v]);
    }
    a += 2;
#endif
  }
#pragma GCC unroll 8
  for (int v = 0; v < NV; ++v) {
    const index_t count = v < NV - 1 ? L : t.last;
    const Vec<float> scale = count == L ? load(t.b_scale + v * L) : load(t.b_scale + v * L, Part{count});
    Vec<float> bias = {};
    if (t.bias) bias = count == L ? load(t.bias + v * L) : load(t.bias + v * L, Part{count});
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      Vec<float> y = __builtin_convertvector(acc[i][v], Vec<float>) / (scale * t.a_scale[i]);
      if (t.bias) y = y + bias;
      float* c = t.c + i * t.c_row + v * L;
      if (count == L) store(c, y);
      else store(c, y, Part{count});
    }
  }
}

using Int8TileFunction = void (*)(const Int8Tile&);

template <int NV, class Rows>
struct Int8TileRow;
template <int NV, int... I>
struct Int8TileRow<NV, Ints<I...>> {
  static constexpr Int8TileFunction get[] = {int8_tile<I + 1, NV>...};
};

DENSEKIT_INLINE Int8TileFunction int8_tile_of(index_t rows, index_t vectors) {
  switch (vectors) {
    case 1: return Int8TileRow<1, FirstInts<kInt8Rows[1]>>::get[rows - 1];
#if defined(__AVX512VNNI__)
    case 2: return Int8TileRow<2, FirstInts<kInt8Rows[2]>>::get[rows - 1];
    case 3: return Int8TileRow<3, FirstInts<kInt8Rows[3]>>::get[rows - 1];
    default: return Int8TileRow<4, FirstInts<kInt8Rows[4]>>::get[rows - 1];
#else
    default: return Int8TileRow<2, FirstInts<kInt8Rows[2]>>::get[rows - 1];
#endif
  }
}

// ---- The product

void int8_gemm(const Int8Gemm<float>& g) {
  constexpr index_t L = kLanes<float>;
  const index_t all = up_to_multiple(g.n, kInt8Grain);
  const auto* first = (const int32_t*)g.b;
  const uint8_t* panels = g.b + all * index_t(sizeof(int32_t));
  Int8Tile t;
  t.fours = fours_of(g.k), t.a_row = int8_words(g.k), t.c_row = g.c_row;
  for (index_t panel = 0; panel < g.n; panel += kInt8Panel) {
    const index_t columns = least(g.n - panel, kInt8Panel);
    t.width = up_to_multiple(columns, kInt8Grain);
    for (index_t row = 0; row < g.m;) {
      const index_t most = kInt8Rows[least((columns + L - 1) / L, kInt8Vectors)];
      const index_t rows = least(g.m - row, most);
      t.a = g.a + row * t.a_row;
      t.a_scale = g.a_scale + row;
      for (index_t inside = 0; inside < columns; inside += kInt8Vectors * L) {
        const index_t vectors = least((columns - inside + L - 1) / L, kInt8Vectors);
        const index_t at = panel + inside;
        t.b = panels + 4 * (panel * t.fours + inside);
        t.first = first + at;
        t.b_scale = g.b_scale + at;
        t.bias = g.bias == nullptr ? nullptr : g.bias + at;
        t.c = g.c + row * g.c_row + at;
        t.last = least(columns - inside - (vectors - 1) * L, L);
        int8_tile_of(rows, vectors)(t);
      }
      row += rows;
    }
  }
}

constexpr Kernels<float> with_int8(Kernels<float> t) {
  t.int8_words = int8_words;
  t.int8_quantize = int8_quantize;
  t.int8_packed = int8_packed;
  t.int8_pack = int8_pack;
  t.int8_gemm = int8_gemm;
  return t;
}
constexpr Kernels<float> int8_table() { return with_int8({}); }
