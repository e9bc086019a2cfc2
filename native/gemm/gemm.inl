// GEMM. Vectors run along one side of C (the "vector side"), scalars of the other operand are broadcast. Either N or M
// may be the vector side: with M, the same code computes C^T = B^T A^T and turns each tile while storing. Every element
// of C is acc = fma(a, b, acc) over rising k in both, so the choice is invisible in the bits.
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
// Few rows stream the vector operand and hardly reuse it: 8 vectors side by side keep 8 chains in flight for a lone row
// and read 512 contiguous bytes a step. 3 x 8 accumulators + 3 A + 1 B = 28 of 32 registers; with 16, one row alone.
// Zen 4, 1 / 2 / 3 x 512 x 512: 10.1 / 10.5 / 13.8 us; all of them are bound by reading 1 MiB from L2.
constexpr int kWideVectors = 8;
#if DENSEKIT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kWideRows = 3;
#else
constexpr int kWideRows = 1;
#endif

// ---- Cache geometry: 512 KiB L2 a core, the least among current x86-64 servers and desktops.
constexpr index_t kL2Bytes = 512 * 1024;
// A packed panel (a block of k x 4 vectors) takes at most half of L2; the other half is for the rows that meet it.
// Zen 4, 1 MiB L2: 1024 rows a block 93 % of peak at 1024^3 and 91 % for 128 x 2048 x 2048 with B turned; 512 rows 89 and
// 81 % (C is read and written twice as often); 256 rows 88 and 77 %.
constexpr index_t kBlockK = kL2Bytes / 2 / (kMostVectors * DENSEKIT_VECTOR_BYTES);
// An operand of up to this size is read where it lies, however many tiles meet it: the copy is dearer than the strides.
// Zen 4, 64 x 512 x 512 (1 MiB): 98 % direct, 90 % packed; 128 x 1024 x 1024 (4 MiB): 83 % direct, 87 % packed.
constexpr index_t kDirectBytes = 2 * kL2Bytes;
// An operand that lies in no cache is read in rows, so many steps of k in one sweep over all columns: down the columns,
// every step would be in another page and no prefetcher would follow. Meanwhile the next sweep's rows are fetched. Many
// rows of C make short sweeps dear: C is read and written once a sweep.
constexpr index_t kStreamedKWide = 16, kStreamedK = 64;
// Steps of k between two looks at what to fetch.
constexpr index_t kFetchSegment = 8;
// Tried and lost, 128 x 2048 x 2048 with B row-major (81 % of peak; reading the 16 MiB of B in pieces of 256 bytes from
// memory takes 1.7 ms of its 11 ms): prefetching the next panel in bursts between tiles (72 %), one line a k step inside
// the tiles (+1 %, the panel's 8 KiB strides share a few sets of L2 and fall out again), packing 2, 4, 8 or 16 panels at
// once so that the reads are longer (76, 74, 73 %: they no longer stay in L2).

template <class T>
struct Tile {
  index_t k;
  const T* a;                // broadcast operand: a[i * a_row + p * a_k]
  index_t a_row, a_k;
  index_t segment, a_jump;   // after every `segment` steps of k, a moves on by a_jump more
  const T* b;                // vector operand: b[p * b_k + lane]
  index_t b_k;
  T* c;                      // c[i * c_row + lane * c_lane]
  index_t c_row, c_lane;
  const T* fetch;            // null, or what will be wanted next: every segment fetches fetch_rows rows as wide as the tile
  index_t fetch_rows, fetch_k;
  const T* bias;             // null, or one a lane, or (bias_by_row) one a row
  bool bias_by_row, load_c, relu;
  index_t last;              // lanes of the last vector in use
};

template <class T, int NV, bool Tail>
DENSEKIT_INLINE Vec<T> load_lane(const T* p, int v, Part part) {
  if (Tail && v == NV - 1) return load(p + v * kLanes<T>, part);
  return load(p + v * kLanes<T>);
}

// C's rows lie along the lanes: a tile passes through a buffer of `rows` x `width`, turned in blocks of lanes x lanes. The
// buffer has rows for whole blocks; what lies beyond `rows` is never stored.
template <class T, int MR, int NV>
struct TurnedTile {
  static constexpr int kWidth = NV * kLanes<T>;
  alignas(64) T data[(MR + kLanes<T> - 1) / kLanes<T> * kLanes<T> * kWidth];
};

template <class T>
void store_turned(const T* buffer, index_t rows, index_t width, index_t lanes, T* c, index_t c_lane) {
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
void load_turned(T* buffer, index_t rows, index_t width, index_t lanes, const T* c, index_t c_lane) {
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

template <class T, int MR, int NV, bool Tail>
void gemm_tile(const Tile<T>& t) {
  const Part part{t.last};
  Vec<T> acc[MR][NV];
  if (t.load_c) {
    if (t.c_lane == 1) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] = load_lane<T, NV, Tail>(t.c + i * t.c_row, v, part);
    } else {
      TurnedTile<T, MR, NV> turned;
      load_turned<T>(turned.data, MR, turned.kWidth, turned.kWidth - kLanes<T> + t.last, t.c, t.c_lane);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] = load(turned.data + (i * NV + v) * kLanes<T>);
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
  const T* fetch = t.fetch;
  for (index_t left = t.k; left > 0; left -= t.segment) {
    for (index_t r = fetch == nullptr ? 0 : t.fetch_rows; r > 0; --r, fetch += t.fetch_k) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) __builtin_prefetch(fetch + v * kLanes<T>, 0, 2);
    }
    for (index_t p = left < t.segment ? left : t.segment; p > 0; --p) {
      Vec<T> row[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        row[v] = load_lane<T, NV, Tail>(b, v, part);
#if defined(__x86_64__)
        // Keeps the vector in a register: GCC would read it again for each of 2 or 3 rows, and a load that crosses a cache
        // line takes two cycles. Zen 4, 2 x 784 x 128: 6.7 us without.
        if (MR > 1) asm("" : "+v"(row[v]));
#endif
      }
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> scalar = broadcast(a[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[i][v] = fma(scalar, row[v], acc[i][v]);
      }
      b += b_k;
#pragma GCC unroll 8
      for (int g = 0; g < groups; ++g) a[g] += a_k;
    }
#pragma GCC unroll 8
    for (int g = 0; g < groups; ++g) a[g] += t.a_jump;
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
    TurnedTile<T, MR, NV> turned;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) store(turned.data + (i * NV + v) * kLanes<T>, acc[i][v]);
    store_turned<T>(turned.data, MR, turned.kWidth, turned.kWidth - kLanes<T> + t.last, t.c, t.c_lane);
  }
}

constexpr index_t most_rows(index_t vectors) { return vectors > kMostVectors ? kWideRows : kMostRows[vectors]; }

template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, int NV, class Rows>
struct TileRow;
template <class T, int NV, int... I>
struct TileRow<T, NV, Ints<I...>> {
  static constexpr TileFunction<T> whole[] = {gemm_tile<T, I + 1, NV, false>...};
  static constexpr TileFunction<T> tail[] = {gemm_tile<T, I + 1, NV, true>...};
  static TileFunction<T> get(index_t rows, bool last) { return (last ? tail : whole)[rows - 1]; }
};

template <class T>
TileFunction<T> tile_function(index_t rows, index_t vectors, bool tail) {
  switch (vectors) {
    case 1: return TileRow<T, 1, FirstInts<kMostRows[1]>>::get(rows, tail);
    case 2: return TileRow<T, 2, FirstInts<kMostRows[2]>>::get(rows, tail);
    case 3: return TileRow<T, 3, FirstInts<kMostRows[3]>>::get(rows, tail);
    case 4: return TileRow<T, 4, FirstInts<kMostRows[4]>>::get(rows, tail);
    default: return TileRow<T, kWideVectors, FirstInts<kWideRows>>::get(rows, tail);
  }
}

// ---- Packing the vector operand: dst[p * width + lane], zeros beyond `lanes`.

template <class T>
void pack_rows(index_t k, index_t lanes, index_t width, const T* src, index_t src_k, T* dst) {
  for (index_t p = 0; p < k; ++p, src += src_k, dst += width) {
    index_t j = 0;
    for (; j + kLanes<T> <= lanes; j += kLanes<T>) store(dst + j, load(src + j));
    if (j < lanes) store(dst + j, load(src + j, Part{lanes - j}));
  }
}

// src[lane * src_lane + p]: k runs along memory, so blocks of lanes x lanes are turned in registers.
template <class T>
void pack_turned(index_t k, index_t lanes, index_t width, const T* src, index_t src_lane, T* dst) {
  constexpr int L = kLanes<T>;
  for (index_t j = 0; j < lanes; j += L) {
    const index_t rows = lanes - j < L ? lanes - j : L;
    for (index_t p = 0; p < k; p += L) {
      const index_t columns = k - p < L ? k - p : L;
      const T* s = src + j * src_lane + p;
      Vec<T> block[L];
      if (rows == L && columns == L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) block[i] = load(s + i * src_lane);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) block[i] = i < rows ? load(s + i * src_lane, Part{columns}) : Vec<T>{};
      }
      transpose<T>(block);
      T* d = dst + p * width + j;
      if (columns == L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store(d + i * width, block[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < columns) store(d + i * width, block[i]);
      }
    }
  }
}

// ---- The plan of one product

template <class T>
struct Product {
  index_t rows, lanes, k;        // broadcast side, vector side
  const T* a;
  index_t a_row, a_k;
  const T* b;
  index_t b_lane, b_k;
  T* c;
  index_t c_row, c_lane;
  bool bias_by_row;
  index_t segment, a_jump;       // see Tile; B in panels on the broadcast side
  index_t panel, panel_stride;   // B in panels, whichever side it is: `panel` steps of k lie together
  index_t vectors;               // vectors in a panel of the vector operand
  index_t block_k;
  bool pack, pack_ahead;         // pack_ahead: the next panel while this one is multiplied
  bool stream;                   // the vector operand lies in no cache, and is fetched a block of k ahead
};

// Elements from step 0 of k to step p, of an operand in panels.
template <class T>
DENSEKIT_INLINE index_t step_in_panels(const Product<T>& product, index_t p) {
  return p / product.panel * product.panel_stride + p % product.panel;
}

DENSEKIT_INLINE index_t divide_up(index_t a, index_t b) { return (a + b - 1) / b; }

// Cycles, roughly, with one vector FMA a cycle and a latency of 4.
template <class T>
DENSEKIT_INLINE index_t cost(index_t rows, index_t lanes, index_t k, bool direct_b, bool direct_c) {
  index_t work = rows * divide_up(lanes, kLanes<T>);
  if (work < 4) work = 4;
  index_t cycles = work * k;
  if (!direct_b) cycles += lanes * k / 2;    // a turned block: 16 x 16 elements in about 100 instructions
  if (!direct_c) cycles += rows * lanes;     // one scalar store an element
  return cycles;
}

template <class T>
DENSEKIT_INLINE Product<T> plan_product(const Gemm<T>& g) {
  constexpr index_t L = kLanes<T>;
  const bool b_direct = (g.b_col == 1 || g.n == 1) && g.b_panel == 0;
  const bool a_direct = g.a_row == 1 || g.m == 1, c_direct = g.c_row == 1 || g.m == 1;
  Product<T> p;
  p.k = g.k;
  p.c = g.c;
  p.panel = g.b_panel;
  p.panel_stride = g.b_panel_stride;
  p.segment = p.a_jump = 0;
  if (cost<T>(g.m, g.n, g.k, b_direct, true) <= cost<T>(g.n, g.m, g.k, a_direct, c_direct)) {
    p.rows = g.m, p.lanes = g.n;
    p.a = g.a, p.a_row = g.a_row, p.a_k = g.a_col;
    p.b = g.b, p.b_lane = b_direct ? 1 : g.b_col, p.b_k = g.b_row;
    p.c_row = g.c_row, p.c_lane = 1;
    p.bias_by_row = false;
  } else {
    p.rows = g.n, p.lanes = g.m;
    p.a = g.b, p.a_row = g.b_col, p.a_k = g.b_row;
    p.b = g.a, p.b_lane = a_direct ? 1 : g.a_row, p.b_k = g.a_col;
    p.c_row = 1, p.c_lane = c_direct ? 1 : g.c_row;
    p.bias_by_row = true;
    if (g.b_panel > 0) p.segment = g.b_panel, p.a_jump = g.b_panel_stride - g.b_panel;
  }
  const index_t vectors = divide_up(p.lanes, L);
  // Panels of equal width: 5 vectors are 3 + 2, not 4 + 1.
  p.vectors = p.rows <= kWideRows && vectors >= kWideVectors ? kWideVectors
                                                             : divide_up(vectors, divide_up(vectors, kMostVectors));
  const index_t tiles = divide_up(p.rows, most_rows(p.vectors));
  // A copy pays when the panel is met often and does not lie in L2 anyway, or where tails are dear.
  p.pack = p.b_lane != 1 || (tiles >= 8 && p.k * p.lanes * index_t(sizeof(T)) > kDirectBytes) ||
           (!kCheapPartialLoads && p.lanes % L != 0);
  // A turned broadcast operand (a weight gradient) has a line of its own in every step; at a stride of 4 KiB they all
  // fall into 32 sets of L2, which hold 256 lines. Zen 4, dW 1024^3: 1024 steps a block 51 % of peak, 512 steps 78 %, 256 steps 82 %.
  const index_t most_k = p.a_k == 1 ? kBlockK : kBlockK / 4;
  const bool blocked = (p.pack || tiles > 1) && p.k > most_k;
  p.block_k = blocked ? divide_up(p.k, divide_up(p.k, most_k)) : p.k;
  const bool in_memory = p.b_lane == 1 && p.k * p.lanes * index_t(sizeof(T)) > kDirectBytes;
  p.pack_ahead = p.pack && in_memory;
  p.stream = !p.pack && in_memory && p.segment == 0 && p.a_k == 1;  // dZ of a weight gradient has just been written
  if (p.stream) p.block_k = p.rows <= kWideRows ? kStreamedKWide : kStreamedK;
  if (p.panel > 0) p.block_k = divide_up(p.block_k, p.panel) * p.panel;
  return p;
}

// pack_turned for a vector operand that may lie in panels.
template <class T>
void pack_panels_turned(const Product<T>& p, index_t k, index_t lanes, index_t width, const T* src, T* dst) {
  if (p.panel == 0 || p.segment > 0) return pack_turned<T>(k, lanes, width, src, p.b_lane, dst);
  for (index_t done = 0; done < k; done += p.panel, src += p.panel_stride, dst += p.panel * width) {
    pack_turned<T>(p.panel, lanes, width, src, p.b_lane, dst);
  }
}

template <class T>
index_t gemm_scratch(const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return 0;
  const Product<T> p = plan_product(g);
  return p.pack ? p.block_k * p.vectors * kLanes<T> * (p.pack_ahead ? 2 : 1) : 0;
}

// The panel after the present one, packed part by part while the present one is multiplied.
template <class T>
struct NextPanel {
  const T* src = nullptr;  // null: there is none
  index_t src_k = 0, lanes = 0, width = 0;
  T* dst = nullptr;

  // Each tile's share of the rows is fetched while the tile is computed, and packed after it.
  DENSEKIT_INLINE void fetch_with(Tile<T>& t, index_t tile, index_t tiles) const {
    const index_t from = t.k * tile / tiles, to = t.k * (tile + 1) / tiles;
    t.segment = kFetchSegment;
    t.fetch = src + from * src_k;
    t.fetch_k = src_k;
    t.fetch_rows = divide_up(to - from, divide_up(t.k, kFetchSegment));
  }
  DENSEKIT_INLINE void pack(index_t k, index_t tile, index_t tiles) const {
    const index_t from = k * tile / tiles, to = k * (tile + 1) / tiles;
    pack_rows<T>(to - from, lanes, width, src + from * src_k, src_k, dst + from * width);
  }
};

// What the caller wants after the product, a tile's share at a time.
template <class T>
struct Wanted {
  const T* const* from;
  index_t size, at = 0;

  DENSEKIT_INLINE void fetch_with(Tile<T>& t, index_t width) {
    t.segment = kFetchSegment;
    t.fetch = *from + at;
    t.fetch_k = width;
    t.fetch_rows = 1;
    at += divide_up(t.k, kFetchSegment) * width;
    if (at >= size) at = 0, ++from;
  }
};

template <class T>
void gemm(const Gemm<T>& g, T* scratch) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr index_t L = kLanes<T>;
  const Product<T> p = plan_product(g);
  Tile<T> t;
  t.a_row = p.a_row, t.a_k = p.a_k, t.c_row = p.c_row, t.c_lane = p.c_lane, t.bias_by_row = p.bias_by_row;
  t.fetch = nullptr;
  Wanted<T> wanted{g.fetch, g.fetch_size};
  const bool fetches = g.fetch[0] != nullptr && !p.stream && !p.pack_ahead && p.segment == 0;
  index_t at = 0;
  do {  // once when k is 0
    t.k = p.k - at < p.block_k ? p.k - at : p.block_k;
    t.segment = p.segment > 0 ? p.segment : p.stream ? kFetchSegment : t.k;
    t.a_jump = p.a_jump;
    const index_t a_at = p.segment > 0 ? step_in_panels(p, at) : at * p.a_k;
    const index_t b_at = p.panel > 0 && p.segment == 0 ? step_in_panels(p, at) : at * p.b_k;
    const bool final = at + t.k == p.k;
    t.load_c = at > 0 || g.accumulate;
    t.relu = final && g.relu;
    NextPanel<T> next;
    for (index_t lane = 0; lane < p.lanes; lane += p.vectors * L) {
      const index_t left = p.lanes - lane;
      const T* b = p.b + b_at + lane * p.b_lane;
      // The rest of a wide panel may have 5 to 7 vectors, which is two tiles.
      for (index_t inside = 0; inside < p.vectors * L && inside < left;) {
        const index_t rest = left - inside < p.vectors * L - inside ? left - inside : p.vectors * L - inside;
        index_t vectors = divide_up(rest, L);
        if (vectors > kMostVectors && vectors < kWideVectors) vectors = kMostVectors;
        const index_t lanes = rest < vectors * L ? rest : vectors * L, width = vectors * L;
        t.last = lanes - (vectors - 1) * L;
        t.b = b + inside * p.b_lane;
        t.b_k = p.b_k;
        if (p.stream) {
          t.fetch = final ? nullptr : t.b + t.k * p.b_k;
          t.fetch_k = p.b_k;
          t.fetch_rows = kFetchSegment;
        }
        if (p.pack) {
          T* panel = next.src != nullptr ? next.dst : scratch;
          if (next.src == nullptr) {
            if (p.b_lane == 1) pack_rows<T>(t.k, lanes, width, t.b, p.b_k, panel);
            else pack_panels_turned<T>(p, t.k, lanes, width, t.b, panel);
          }
          next.src = nullptr;
          if (p.pack_ahead && left > width) {
            const index_t all = p.vectors * L;
            next.lanes = left - width < all ? left - width : all;
            next.width = divide_up(next.lanes, L) * L;
            next.src = t.b + width;
            next.src_k = p.b_k;
            next.dst = panel == scratch ? scratch + p.block_k * all : scratch;
          }
          t.b = panel;
          t.b_k = width;
        }
        const index_t tiles = divide_up(p.rows, most_rows(vectors));
        // Equal tiles again: 16 rows in tiles of up to 6 are 6 + 5 + 5.
        const index_t rows_each = p.rows / tiles, longer = p.rows % tiles;
        const bool tail = t.last < L;
        for (index_t i = 0, tile = 0; tile < tiles; ++tile) {
          const index_t rows = rows_each + (tile < longer);
          t.a = p.a + i * p.a_row + a_at;
          t.c = p.c + i * p.c_row + (lane + inside) * p.c_lane;
          t.bias = !final || !g.bias ? nullptr : g.bias + (p.bias_by_row ? i : lane + inside);
          if (next.src != nullptr) next.fetch_with(t, tile, tiles);
          else if (fetches && *wanted.from != nullptr) wanted.fetch_with(t, width);
          else if (fetches) t.fetch = nullptr;
          tile_function<T>(rows, vectors, tail)(t);
          if (next.src != nullptr) next.pack(t.k, tile, tiles);
          i += rows;
        }
        if (p.pack_ahead) t.fetch = nullptr;
        inside += width;
      }
    }
    at += t.k;
  } while (at < p.k);
}
