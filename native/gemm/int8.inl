// Products of whole numbers of eight bits, summed exactly in 32: an element is what it is in whatever order it is summed, so
// that every instruction set gives the same bits. Four neighbours along k share a lane.
//
//   packed B: [first sum of each column, int32] [panel of 64 columns][four of k][columns of the panel, up to a multiple of
//   16][4], zeros beyond n and k
//   a row of A: where there is `vpdpbusd`, which multiplies unsigned by signed bytes, a + 128, and the first sums take away
//   128 times the column; else the even and the odd ones of each four, spread to 16 bits, for multiply-adds of pairs

typedef int32_t Sums __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef int32_t LooseSums __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));
typedef int16_t Halves __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef int8_t Bytes __attribute__((vector_size(DENSEKIT_VECTOR_BYTES / 4)));

constexpr index_t kInt8Panel = 64;
constexpr index_t kInt8Grain = 16;  // lanes of the widest vector: the layout of B is the same for all instruction sets

// Rows of accumulators for 1..4 vectors a row.
#if defined(__AVX512VNNI__)
constexpr int kInt8Rows[] = {0, 12, 12, 8, 6};
constexpr bool kUnsignedInputs = true;
#elif DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kInt8Rows[] = {0, 8, 8};  // each operand is held as two halves
constexpr bool kUnsignedInputs = false;
#else
constexpr int kInt8Rows[] = {0, 4, 4};
constexpr bool kUnsignedInputs = false;
#endif
constexpr int kInt8Vectors = int(sizeof(kInt8Rows) / sizeof(int)) - 1;

DENSEKIT_INLINE index_t fours_of(index_t k) { return (k + 3) / 4; }
DENSEKIT_INLINE Sums load_sums(const void* p) { return *(const LooseSums*)p; }
DENSEKIT_INLINE Sums all_lanes_of(uint32_t word) { return int32_t(word) - Sums{}; }

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

// ---- Packing

// Words of a row of A: whole vectors may be written. The extra line keeps rows of 4 KiB from falling into one set of L1.
index_t int8_words(index_t k) {
  return up_to_multiple(fours_of(k) * (kUnsignedInputs ? 1 : 2), kInt8Grain) + kInt8Grain;
}

index_t int8_packed(index_t k, index_t n) {
  return up_to_multiple(n, kInt8Grain) * (index_t(sizeof(int32_t)) + 4 * fours_of(k));
}

void int8_pack(index_t k, index_t n, const int8_t* b, uint8_t* packed) {
  const index_t all = up_to_multiple(n, kInt8Grain), fours = fours_of(k);
  auto* first = (int32_t*)packed;
  auto* bytes = (int8_t*)(packed + all * index_t(sizeof(int32_t)));
  __builtin_memset(packed, 0, size_t(int8_packed(k, n)));
  for (index_t p = 0; p < k; ++p) {
    for (index_t j = 0; j < n; ++j) {
      const index_t panel = j / kInt8Panel * kInt8Panel;
      const index_t width = up_to_multiple(least(kInt8Panel, n - panel), kInt8Grain);
      bytes[4 * (panel * fours + p / 4 * width + j - panel) + p % 4] = b[p * n + j];
      if (kUnsignedInputs) first[j] -= 128 * b[p * n + j];
    }
  }
}

// One row of A: round(x * scale) within [low, high], to the nearest, of two equally near to the even one.
void int8_quantize(index_t k, const float* x, float epsilon, float low, float high, uint32_t* words, float* scale) {
  constexpr index_t L = kLanes<float>;
  Vec<float> most = {}, finite = {};
  for_vectors<float>(k, [&](index_t i, auto part) {
    const Vec<float> v = load(x + i, part);
    finite += v * 0.0f;  // NaN of a NaN and of an infinity
    most = max_or_second(most, (Vec<float>)((Sums)v & 0x7FFFFFFF));
  });
  finite = all_lanes<float>(finite, [](Vec<float> a, Vec<float> b) { return a + b; });
  most = all_lanes<float>(most, [](Vec<float> a, Vec<float> b) { return max_or_second(a, b); });
  const bool all_finite = finite[0] == 0.0f;
  *scale = all_finite ? high / (most[0] + epsilon) : __builtin_nanf("");
  const float factor = all_finite ? *scale : 0.0f;
  constexpr float magic = 0x1.8p23f;  // added, the last bit of the fraction counts ones
  auto* bytes = (uint8_t*)words;
  for_vectors<float>(k, [&](index_t i, auto part) {
    Vec<float> v = load(x + i, part) * factor;
    if (!all_finite) v = Vec<float>{};
    v = min_or_second(max_or_second(v, broadcast(low)),
                      broadcast(high));  // so that no fused multiply-add can join both steps
    const Sums whole = (Sums)(v + magic) - (Sums)broadcast(magic);
    if constexpr (kUnsignedInputs) {
      const Bytes narrow = __builtin_convertvector(whole + 128, Bytes);
      __builtin_memcpy(bytes + i, &narrow, sizeof narrow);
    } else {
      int32_t lane[L];
      __builtin_memcpy(lane, &whole, sizeof whole);
#pragma GCC unroll 4
      for (index_t f = 0; f < L; f += 4) {
        words[(i + f) / 2] = (uint32_t(lane[f]) & 0xFFFFu) | uint32_t(lane[f + 2]) << 16;
        words[(i + f) / 2 + 1] = (uint32_t(lane[f + 1]) & 0xFFFFu) | uint32_t(lane[f + 3]) << 16;
      }
    }
  });
}

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
