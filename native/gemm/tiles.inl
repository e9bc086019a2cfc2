// The tiles of AMX: eight registers of up to 16 rows of 64 bytes, by number. What the instructions do, in the vocabulary of
// bfloat16_tiles.inl and int8_tiles.inl; where DENSEKIT_SOFTWARE_TILES is defined, in software, by the pseudo-code of Intel's
// manual, so that the tests run those products on any machine. The registers' shapes are a thread's own, until it releases them.

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

constexpr int kTiles = 8;
constexpr index_t kTileRows = 16, kTileWords = 16;  // a row has 16 words of four bytes

#ifdef DENSEKIT_SOFTWARE_TILES

#include "gemm/software_tiles.inl"

thread_local SoftwareTiles software_tiles;

void tile_configure(const TileConfig& shape) { software_tiles.configure(&shape); }
void tile_release() { software_tiles.release(); }
template <int T>
void tile_zero() {
  software_tiles.zero(T);
}
template <int T>
void tile_load(const void* from, index_t row_bytes) {
  software_tiles.load(T, from, row_bytes);
}
template <int T>
void tile_store(void* to, index_t row_bytes) {
  software_tiles.store(T, to, row_bytes);
}
template <int D, int A, int B>
void tile_dot_bfloat16() {
  software_tiles.dot_bfloat16(D, A, B);
}
template <int D, int A, int B>
void tile_dot_int8() {
  software_tiles.dot_int8(D, A, B);
}

#else

// By the assembler alone: no flag of the compiler is needed, and no code but this can meet the instructions.
DENSEKIT_INLINE void tile_configure(const TileConfig& shape) { asm volatile("ldtilecfg %0" : : "m"(shape)); }
DENSEKIT_INLINE void tile_release() { asm volatile("tilerelease"); }

template <int T>
DENSEKIT_INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
template <int T>
DENSEKIT_INLINE void tile_load(const void* from, index_t row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_bytes), "i"(T) : "memory");
}
template <int T>
DENSEKIT_INLINE void tile_store(void* to, index_t row_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row_bytes), "i"(T) : "memory");
}
template <int D, int A, int B>
DENSEKIT_INLINE void tile_dot_bfloat16() {
  static_assert(D != A && A != B && D != B);
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(D), "i"(A), "i"(B));
}
template <int D, int A, int B>
DENSEKIT_INLINE void tile_dot_int8() {
  static_assert(D != A && A != B && D != B);
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(D), "i"(A), "i"(B));
}

#endif

// ---- A piece of a product: R x C tiles of sums, R of A, and two of B in turn

// Shapes of all tiles for products of so many rows: B's are whole.
DENSEKIT_INLINE TileConfig tile_config(index_t rows) {
  TileConfig config;
  for (int t = 0; t < kTiles; ++t) {
    config.rows[t] = t < 6 ? uint8_t(least(rows, kTileRows)) : uint8_t(kTileRows);
    config.row_bytes[t] = 4 * kTileWords;
  }
  return config;
}

struct TilePiece {
  index_t steps;  // tiles along k
  const uint32_t* a;
  index_t a_row, a_step, a_tile;  // words from a row, a step of k, 16 rows to the next
  const uint32_t* b[4];           // per column of tiles
  index_t b_row[4];
  uint32_t* sums;  // 32 bits each
  index_t sums_row;
  bool load;  // the sums begin with what is there, not with zero
};

// The instruction's kind, as a type.
struct Bfloat16Dot {
  template <int D, int A, int B>
  static DENSEKIT_INLINE void add() {
    tile_dot_bfloat16<D, A, B>();
  }
};
struct Int8Dot {
  template <int D, int A, int B>
  static DENSEKIT_INLINE void add() {
    tile_dot_int8<D, A, B>();
  }
};

constexpr int kFirstTileOfA = 4, kFirstTileOfB = 6;

template <class Dot, int R, int C, int Column>
DENSEKIT_INLINE void add_tile_column(const uint32_t* b, index_t row) {
  constexpr int tile = kFirstTileOfB + Column % 2;
  tile_load<tile>(b, 4 * row);
  Dot::template add<Column, kFirstTileOfA, tile>();
  if constexpr (R > 1) Dot::template add<C + Column, kFirstTileOfA + 1, tile>();
}

template <class Dot, int R, int C, int... Sum, int... Column>
DENSEKIT_INLINE void run_piece(const TilePiece& t, Ints<Sum...>, Ints<Column...>) {
  static_assert(R * C <= kFirstTileOfA);
  if (t.load) (tile_load<Sum>(t.sums + Sum / C * kTileRows * t.sums_row + Sum % C * kTileWords, 4 * t.sums_row), ...);
  else (tile_zero<Sum>(), ...);
  const uint32_t* a = t.a;
  for (index_t step = 0; step < t.steps; ++step, a += t.a_step) {
    tile_load<kFirstTileOfA>(a, 4 * t.a_row);
    if constexpr (R > 1) tile_load<kFirstTileOfA + 1>(a + t.a_tile, 4 * t.a_row);
    (add_tile_column<Dot, R, C, Column>(t.b[Column] + step * kTileRows * t.b_row[Column], t.b_row[Column]), ...);
  }
  (tile_store<Sum>(t.sums + Sum / C * kTileRows * t.sums_row + Sum % C * kTileWords, 4 * t.sums_row), ...);
}

template <class Dot, int R, int C>
void tile_piece(const TilePiece& t) {
  run_piece<Dot, R, C>(t, FirstInts<R * C>{}, FirstInts<C>{});
}

// One row of tiles takes four columns, two rows take two: four chains hide the latency of an instruction.
constexpr index_t kColumnsOfOneRow = 4 * kTileWords, kColumnsOfTwoRows = 2 * kTileWords;

template <class Dot>
DENSEKIT_INLINE void run_piece(const TilePiece& t, index_t rows, index_t columns) {
  if (rows > 1) return columns > 1 ? tile_piece<Dot, 2, 2>(t) : tile_piece<Dot, 2, 1>(t);
  switch (columns) {
    case 1: return tile_piece<Dot, 1, 1>(t);
    case 2: return tile_piece<Dot, 1, 2>(t);
    case 3: return tile_piece<Dot, 1, 3>(t);
    default: return tile_piece<Dot, 1, 4>(t);
  }
}
