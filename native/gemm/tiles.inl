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

struct SoftwareTiles {
  TileConfig shape;
  bool configured = false;
  uint32_t tile[kTiles][kTileRows][kTileWords] = {};

  bool is_valid(int t) const { return configured && shape.rows[t] > 0 && shape.row_bytes[t] > 0; }
  int columns(int t) const { return shape.row_bytes[t] / 4; }
};
thread_local SoftwareTiles software_tiles;

// What the CPU answers by an invalid-opcode exception.
DENSEKIT_INLINE void tile_must(bool holds) {
  if (!holds) __builtin_trap();
}

void tile_configure(const TileConfig& shape) {
  tile_must(shape.palette == 1);
  for (int t = 0; t < kTiles; ++t) {
    tile_must(shape.rows[t] <= kTileRows && shape.row_bytes[t] <= 4 * kTileWords);
    tile_must((shape.rows[t] == 0) == (shape.row_bytes[t] == 0));
  }
  software_tiles = SoftwareTiles{};
  software_tiles.shape = shape;
  software_tiles.configured = true;
}
void tile_release() { software_tiles = SoftwareTiles{}; }

template <int T>
void tile_zero() {
  SoftwareTiles& s = software_tiles;
  tile_must(s.is_valid(T));
  __builtin_memset(s.tile[T], 0, sizeof s.tile[T]);
}
template <int T>
void tile_load(const void* from, index_t row_bytes) {
  tile_zero<T>();
  SoftwareTiles& s = software_tiles;
  for (int r = 0; r < s.shape.rows[T]; ++r)
    __builtin_memcpy(s.tile[T][r], (const char*)from + r * row_bytes, s.shape.row_bytes[T]);
}
template <int T>
void tile_store(void* to, index_t row_bytes) {
  const SoftwareTiles& s = software_tiles;
  tile_must(s.is_valid(T));
  for (int r = 0; r < s.shape.rows[T]; ++r)
    __builtin_memcpy((char*)to + r * row_bytes, s.tile[T][r], s.shape.row_bytes[T]);
}

template <int D, int A, int B>
SoftwareTiles& tiles_of_a_product() {
  static_assert(D != A && A != B && D != B);
  SoftwareTiles& s = software_tiles;
  tile_must(s.is_valid(D) && s.is_valid(A) && s.is_valid(B));
  tile_must(s.columns(D) == s.columns(B) && s.shape.rows[D] == s.shape.rows[A] && s.columns(A) == s.shape.rows[B]);
  return s;
}

// As if FTZ and DAZ were set, whatever the thread's mode.
DENSEKIT_INLINE float without_subnormals(uint32_t bits) {
  if ((bits & 0x7F800000u) == 0) bits &= 0x80000000u;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
DENSEKIT_INLINE float without_subnormals(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return without_subnormals(bits);
}

// tdpbf16ps
template <int D, int A, int B>
void tile_dot_bfloat16() {
  SoftwareTiles& s = tiles_of_a_product<D, A, B>();
  for (int m = 0; m < s.shape.rows[D]; ++m) {
    float chain[2][kTileWords] = {};
    for (int k = 0; k < s.shape.rows[B]; ++k) {
      for (int half = 0; half < 2; ++half) {
        const int shift = half == 0 ? 16 : 0;
        const float a = without_subnormals(s.tile[A][m][k] << shift & 0xFFFF0000u);
        for (int n = 0; n < s.columns(D); ++n) {
          const float b = without_subnormals(s.tile[B][k][n] << shift & 0xFFFF0000u);
          chain[half][n] = without_subnormals(__builtin_fmaf(a, b, chain[half][n]));
        }
      }
    }
    for (int n = 0; n < s.columns(D); ++n) {
      const float sum = without_subnormals(without_subnormals(s.tile[D][m][n]) +
                                           without_subnormals(chain[0][n] + chain[1][n]));
      __builtin_memcpy(&s.tile[D][m][n], &sum, sizeof sum);
    }
  }
}

// tdpbssd
template <int D, int A, int B>
void tile_dot_int8() {
  SoftwareTiles& s = tiles_of_a_product<D, A, B>();
  for (int m = 0; m < s.shape.rows[D]; ++m)
    for (int k = 0; k < s.shape.rows[B]; ++k)
      for (int n = 0; n < s.columns(D); ++n)
        for (int shift = 0; shift < 32; shift += 8)
          s.tile[D][m][n] += uint32_t(int8_t(s.tile[A][m][k] >> shift) * int8_t(s.tile[B][k][n] >> shift));
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
