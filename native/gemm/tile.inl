// The register tile. Vectors run along one side of C (the "vector side"), scalars of the other operand are broadcast.
//
//                 vector operand: k x panel, one row a k
//                 +------ NV vectors ------+
//                 | b b b b b b b b b b b  |  <- loaded once a k, used by MR rows
//     +---+       +------------------------+
//  MR | a |  -->  | acc acc acc ...        |  MR x NV accumulators, all in registers
//     | a |       | acc acc acc ...        |
//     +---+       +------------------------+
//   broadcast

// ---- Shapes of the register tile

// Most rows of accumulators for 1..4 vectors a row. 32 registers: 12 x 2 + 2 B + 1 A = 27, 8 x 3 + 4 = 28,
// 6 x 4 + 5 = 29. 16 registers: 6 x 2 + 3 = 15, 4 x 3 + 4 = 16, 2 x 4 + 5 = 13; without FMA one more holds the product.
#if DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kMostRows[5] = {0, 12, 12, 8, 6};
#elif DENSEKIT_VECTOR_BYTES == 32
constexpr int kMostRows[5] = {0, 8, 6, 4, 2};
#else
constexpr int kMostRows[5] = {0, 8, 4, 3, 2};
#endif
constexpr int kMostVectors = 4;
// Of the tiles of two vectors that go through wide panels: 14 x 2 + 2 B + 1 A = 31. Other products are faster with 12: 200 x 40 x 16 by
// 2 %. Which panels: product.inl.
#if DENSEKIT_VECTOR_BYTES == 64
constexpr int kNarrowRows = 14;
#else
constexpr int kNarrowRows = kMostRows[2];
#endif
// Few rows stream the vector operand and hardly reuse it: 8 vectors side by side keep 8 chains in flight for a lone row
// and read 512 contiguous bytes a step. 3 x 8 accumulators + 3 A + 1 B = 28 of 32 registers; with 16, one row alone.
// Zen 4, 1 / 2 / 3 x 512 x 512: 10.1 / 10.5 / 13.8 us; all of them are bound by reading 1 MiB from L2.
constexpr int kWideVectors = 8;
#if DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kWideRows = 3;
#else
constexpr int kWideRows = 1;
#endif

template <class T>
struct Tile {
  index_t k;
  const T* a;  // broadcast operand: a[i * a_row + p * a_k]
  index_t a_row, a_k;
  index_t segment, a_jump;  // after every `segment` steps of k, a moves on by a_jump more
  const T* b;               // vector operand: b[p * b_k + lane]
  index_t b_k;
  T* c;  // c[i * c_row + lane * c_lane]
  index_t c_row, c_lane;
  const T*
      prefetch;  // null, or what will be read next: every segment prefetches prefetch_rows rows as wide as the tile
  index_t prefetch_rows, prefetch_k;
  const T* bias;  // null, or one a lane, or (bias_by_row) one a row
  bool bias_by_row, load_c, relu;
  index_t last;  // lanes of the last vector in use
};

template <class T, int NV, bool Tail>
DENSEKIT_INLINE Vec<T> load_lane(const T* p, int v, Part part) {
  if (Tail && v == NV - 1) return load(p + v * kLanes<T>, part);
  return load(p + v * kLanes<T>);
}

// C's rows lie along the lanes: a tile passes through a buffer of `rows` x `width`, transposed in blocks of lanes x lanes. The
// buffer has rows for whole blocks; what lies beyond `rows` is never stored.
template <class T, int MR, int NV>
struct TransposedTile {
  static constexpr int kWidth = NV * kLanes<T>;
  alignas(64) T data[(MR + kLanes<T> - 1) / kLanes<T> * kLanes<T> * kWidth];
};

template <class T>
void store_transposed(const T* buffer, index_t rows, index_t width, index_t lanes, T* c, index_t c_lane) {
  constexpr index_t L = kLanes<T>;
  for (index_t j = 0; j < lanes; j += L) {
    for (index_t i = 0; i < rows; i += L) {
      Vec<T> block[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) block[r] = load(buffer + (i + r) * width + j);
      transpose<T>(block);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) {
        if (r >= lanes - j) break;
        T* to = c + (j + r) * c_lane + i;
        if (rows - i >= L) store(to, block[r]);
        else store(to, block[r], Part{rows - i});
      }
    }
  }
}

template <class T>
void load_transposed(T* buffer, index_t rows, index_t width, index_t lanes, const T* c, index_t c_lane) {
  constexpr index_t L = kLanes<T>;
  for (index_t j = 0; j < width; j += L) {
    for (index_t i = 0; i < rows; i += L) {
      const Part part{rows - i < L ? rows - i : L};
      Vec<T> block[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) {
        const T* from = c + (j + r) * c_lane + i;
        block[r] = j + r >= lanes ? Vec<T>{} : part.count == L ? load(from) : load(from, part);
      }
      transpose<T>(block);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) store(buffer + (i + r) * width + j, block[r]);
    }
  }
}

// What of the last vector is in use: all of it, more than half, not more than half.
enum Tail { kNoTail, kTail, kHalfTail };

// Aligned, or the speed of its loop would depend on what the linker puts before it: 784 x 32 x 128 lost 1 %.
template <class T, int MR, int NV, int Last>
__attribute__((aligned(64))) void gemm_tile(const Tile<T>& t) {
  constexpr bool Tail = Last != kNoTail;
  constexpr int whole = Last == kHalfTail ? NV - 1 : NV;  // vectors that are multiplied whole
  const Part part{t.last};
  Vec<T> acc[MR][NV];
  if (t.load_c) {
    if (t.c_lane == 1) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] = load_lane<T, NV, Tail>(t.c + i * t.c_row, v, part);
    } else {
      TransposedTile<T, MR, NV> transposed;
      load_transposed<T>(transposed.data, MR, transposed.kWidth, transposed.kWidth - kLanes<T> + t.last, t.c, t.c_lane);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] = load(transposed.data + (i * NV + v) * kLanes<T>);
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
  }

  // Three rows share a pointer (p, p + row, p + 2 row are all x86 addresses), or the pointers alone would spill.
  constexpr int groups = (MR + 2) / 3;
  const T* a[groups];
#pragma GCC unroll 8
  for (int g = 0; g < groups; ++g) a[g] = t.a + 3 * g * t.a_row;
  const T* b = t.b;
  const index_t a_row = t.a_row, a_k = t.a_k, b_k = t.b_k;
  const T* prefetch = t.prefetch;
  [[maybe_unused]] Half<T> half[MR];
  if constexpr (Last == kHalfTail) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) half[i] = low(acc[i][NV - 1]);
  }
  for (index_t left = t.k; left > 0; left -= t.segment) {
    for (index_t r = prefetch == nullptr ? 0 : t.prefetch_rows; r > 0; --r, prefetch += t.prefetch_k) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) __builtin_prefetch(prefetch + v * kLanes<T>, 0, 2);
    }
    for (index_t p = left < t.segment ? left : t.segment; p > 0; --p) {
      Vec<T> row[NV];
#pragma GCC unroll 8
      for (int v = 0; v < whole; ++v) {
        row[v] = load_lane<T, NV, Tail>(b, v, part);
#if defined(__x86_64__)
        // Keeps the vector in a register: GCC would read it again for each of 2 or 3 rows, and a load that crosses a cache
        // line takes two cycles. Zen 4, 2 x 784 x 128: 6.7 us without.
        if (MR > 1) asm("" : "+v"(row[v]));
#endif
      }
      [[maybe_unused]] Half<T> rest;
      if constexpr (Last == kHalfTail) {
        rest = load_half(b + whole * kLanes<T>, part);
        if (MR > 1) asm("" : "+v"(rest));
      }
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> scalar = broadcast(a[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 8
        for (int v = 0; v < whole; ++v) acc[i][v] = fma(scalar, row[v], acc[i][v]);
        if constexpr (Last == kHalfTail) half[i] = fma(low(scalar), rest, half[i]);
      }
      b += b_k;
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += a_k;
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) a[g] += t.a_jump;
  }

  if constexpr (Last == kHalfTail) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) acc[i][NV - 1] = widen(half[i]);
  }
  if (t.bias) {
    if (t.bias_by_row) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] += broadcast(t.bias[i]);
    } else {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        const Vec<T> bias = load_lane<T, NV, Tail>(t.bias, v, part);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) acc[i][v] += bias;
      }
    }
  }
  if (t.relu) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = max_or_second(Vec<T>{}, acc[i][v]);
  }
  if (t.c_lane == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        T* c = t.c + i * t.c_row + v * kLanes<T>;
        if (Tail && v == NV - 1) store(c, acc[i][v], part);
        else store(c, acc[i][v]);
      }
    }
  } else {
    TransposedTile<T, MR, NV> transposed;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) store(transposed.data + (i * NV + v) * kLanes<T>, acc[i][v]);
    store_transposed<T>(transposed.data, MR, transposed.kWidth, transposed.kWidth - kLanes<T> + t.last, t.c, t.c_lane);
  }
}

DENSEKIT_INLINE index_t most_rows(index_t vectors, bool narrow) {
  if (vectors > kMostVectors) return kWideRows;
  const index_t most = narrow && vectors == 2 ? kNarrowRows : kMostRows[vectors];
  return blocks.tile_rows > 0 && blocks.tile_rows < most ? blocks.tile_rows : most;
}

template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, int NV, class Rows>
struct TileRow;
template <class T, int NV, int... I>
struct TileRow<T, NV, Ints<I...>> {
  static constexpr TileFunction<T> whole[] = {gemm_tile<T, I + 1, NV, kNoTail>...};
  static constexpr TileFunction<T> tail[] = {gemm_tile<T, I + 1, NV, kTail>...};
  static constexpr Tail kHalf = kHalves<T> && NV <= kMostVectors ? kHalfTail : kTail;
  static constexpr TileFunction<T> half[] = {gemm_tile<T, I + 1, NV, kHalf>...};
  static const TileFunction<T>* get(Tail last) { return last == kNoTail ? whole : last == kTail ? tail : half; }
};

// The functions for 1, 2, 3 ... rows; `last`: lanes of the last vector in use.
template <class T>
const TileFunction<T>* tile_functions(index_t vectors, index_t last) {
  const Tail tail = last == kLanes<T> ? kNoTail : kHalves<T> && last <= kLanes<T> / 2 ? kHalfTail : kTail;
  switch (vectors) {
    case 1: return TileRow<T, 1, FirstInts<kMostRows[1]>>::get(tail);
    case 2: return TileRow<T, 2, FirstInts<kNarrowRows>>::get(tail);
    case 3: return TileRow<T, 3, FirstInts<kMostRows[3]>>::get(tail);
    case 4: return TileRow<T, 4, FirstInts<kMostRows[4]>>::get(tail);
    default: return TileRow<T, kWideVectors, FirstInts<kWideRows>>::get(tail);
  }
}
