// How one product is computed: which side the vectors run along, how wide a panel is, what is packed or streamed.

// ---- Cache geometry: `blocks`, set from the machine by kernels/machine.cpp. The numbers below are of Zen 4 with 1 MiB of L2.
// A packed panel (a block of k x 4 vectors) takes a quarter of L2, the next one another, the rows that meet it the rest:
// 1024 rows a block 93 % of peak at 1024^3 and 91 % for 128 x 2048 x 2048 with B transposed; 512 rows 89 and 81 % (C is read
// and written twice as often); 256 rows 88 and 77 %.
DENSEKIT_INLINE index_t most_steps() { return blocks.panel / (kMostVectors * DENSEKIT_VECTOR_BYTES); }
// blocks.direct: the copy of what fits into L2 is dearer than the strides. 64 x 512 x 512 (1 MiB): 98 % direct, 90 % packed;
// 128 x 1024 x 1024 (4 MiB): 83 % direct, 87 % packed.
// An operand that lies in no cache is read in rows, so many steps of k in one sweep over all columns: down the columns,
// every step would be in another page and no prefetcher would follow. Meanwhile the next sweep's rows are prefetched. Many
// rows of C make short sweeps dear: C is read and written once a sweep. Few rows: stream.inl.
constexpr index_t kStreamedK = 64;
// Steps of k between two looks at what to prefetch.
constexpr index_t kPrefetchSegment = 8;

template <class T>
struct Product {
  index_t rows, lanes, k;  // broadcast side, vector side
  const T* a;
  index_t a_row, a_k;
  const T* b;
  index_t b_lane, b_k;
  T* c;
  index_t c_row, c_lane;
  bool bias_by_row;
  index_t segment, a_jump;      // see Tile; B in panels on the broadcast side
  index_t panel, panel_stride;  // B in panels, whichever side it is: `panel` steps of k lie together
  index_t vectors;              // vectors in a panel of the vector operand
  bool narrow;                  // tiles of two vectors, two of them through a panel of four
  index_t block_k;
  bool pack, pack_ahead;  // pack_ahead: the next panel while this one is multiplied
  bool stream;            // the vector operand lies in no cache, and is prefetched a block of k ahead
  bool prefetch_c;        // C lies in no cache: a tile of it is prefetched while the one before is computed
};

// Elements from step 0 of k to step p, of an operand in panels.
template <class T>
DENSEKIT_INLINE index_t step_in_panels(const Product<T>& product, index_t p) {
  return p / product.panel * product.panel_stride + p % product.panel;
}

// Of no negative numbers: a shift where b is a power of two that the compiler knows.
DENSEKIT_INLINE index_t divide_up(index_t a, index_t b) { return index_t(size_t(a + b - 1) / size_t(b)); }

// Cycles to transpose a block of lanes x lanes in registers: log2(lanes) shuffles a vector. Zen 4: 16 x 16 in 57, stores included.
template <class T>
constexpr index_t kTransposedBlock = kLanes<T> * (kLanes<T> > 8   ? 4
                                                  : kLanes<T> > 4 ? 3
                                                                  : 2);

// Quarters of vector multiply-adds in a step of k. Half a vector of tail is worth a quarter: 64 x 40 x 20 takes 1.34 us of 1.56. Fewer
// chains than the latency of 4 gain nothing.
template <class T>
DENSEKIT_INLINE index_t quarters(index_t rows, index_t lanes) {
  constexpr index_t L = kLanes<T>;
  index_t result = 4 * rows * divide_up(lanes, L);
  if (kHalves<T> && blocks.fma_ports == 1 && lanes % L != 0 && lanes % L <= L / 2) result -= rows;
  return result < 16 ? 16 : result;
}

// Cycles, roughly, with one vector FMA a cycle. Zen 4, 256 x 2048 x 2048 with B transposed: along M, whose four panels all read B,
// 103 GFLOP/s, along N 108; 256 x 1024 x 1024: 110 and 106.
template <class T>
DENSEKIT_INLINE index_t cost(index_t rows, index_t lanes, index_t k, bool direct_b, bool direct_c, index_t most_k) {
  constexpr index_t L = kLanes<T>;
  const index_t vectors = divide_up(lanes, L);
  index_t cycles = quarters<T>(rows, lanes) * k / 4;
  if (!direct_b) cycles += vectors * divide_up(k, L) * kTransposedBlock<T>;
  const index_t panels = divide_up(vectors, kMostVectors);
  if (rows * k * index_t(sizeof(T)) > blocks.broadcast) cycles += (panels - 1) * rows * k / 2;
  if (!direct_c) {  // by way of a buffer, and back again for every block of k but the first
    const index_t times = k > most_k ? 2 * divide_up(k, most_k) - 1 : 1;
    cycles += divide_up(rows, L) * vectors * kTransposedBlock<T> * 3 / 2 * times;
  }
  return cycles;
}

// Vectors of the tiles that go through a panel.
template <class T>
DENSEKIT_INLINE index_t tile_vectors(const Product<T>& p, index_t panel) {
  if (panel > kMostVectors) return panel >= kWideVectors ? panel : kMostVectors;
  if (blocks.tile_vectors > 0) return panel < blocks.tile_vectors ? panel : blocks.tile_vectors;
  return p.narrow && panel == 4 ? 2 : panel;
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
  // Mostly the multiply-adds decide; the rest is not asked then: small products are planned in every step anew.
  const bool plainly_along_n = b_direct && g.m * g.k * index_t(sizeof(T)) <= blocks.broadcast &&
                               quarters<T>(g.m, g.n) <= quarters<T>(g.n, g.m);
  if (plainly_along_n ||
      cost<T>(g.m, g.n, g.k, b_direct, true, g.k) <=
          cost<T>(g.n, g.m, g.k, a_direct, c_direct, g.b_row == 1 ? most_steps() : most_steps() / 4)) {
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
  p.vectors = vectors <= kMostVectors                          ? vectors
              : p.rows <= kWideRows && vectors >= kWideVectors ? kWideVectors
                                                               : divide_up(vectors, divide_up(vectors, kMostVectors));
  // Panels that outgrow L1, of an operand that lies in L2: 14 x 2 asks L2 for 128 bytes of the panel in 28 multiply-adds, 6 x 4 for
  // 256 in 24. Zen 4, transposed panels: 128 x 512 x 512 96 % of peak against 93, 64 x 200 x 200 94 against 89; rows gain nothing.
  // Where two multiply-adds begin in a cycle L2 is asked twice as often: rows, too (not measured). Not where A's rows are a multiple
  // of 4 KiB apart: fourteen lines would meet in one set of L1. 1024^3: 77 against 97 %.
  const bool large = p.k * p.lanes * index_t(sizeof(T)) > blocks.direct, in_memory = p.b_lane == 1 && large;
  p.narrow = kNarrowRows > kMostRows[2] && p.vectors == kMostVectors &&
             p.k * kMostVectors * DENSEKIT_VECTOR_BYTES > blocks.near_panel && !large && p.rows > kMostRows[4] &&
             p.a_k == 1 && p.a_row * index_t(sizeof(T)) % 4096 != 0 && (p.b_lane != 1 || blocks.fma_ports > 1);
  const index_t tile_rows = most_rows(tile_vectors(p, p.vectors), p.narrow);
  // A copy pays when the panel is met often, does not lie in L2 anyway and is not in one piece, or where tails are dear.
  const bool is_panel = p.b_lane == 1 && p.b_k == p.lanes && vectors <= kMostVectors;
  p.pack = p.b_lane != 1 || (p.rows > 7 * tile_rows && in_memory && !is_panel) ||
           (!kCheapPartialLoads && p.lanes % L != 0);
  // A transposed broadcast operand (a weight gradient) has a line of its own in every step; at a stride of 4 KiB they all
  // fall into 32 sets of L2, which hold 256 lines. Zen 4, dW 1024^3: 1024 steps a block 51 % of peak, 512 steps 78 %, 256 steps 82 %.
  const index_t most_k = p.a_k == 1 ? most_steps() : most_steps() / 4;
  const bool blocked = (p.pack || p.rows > tile_rows) && p.k > most_k;
  p.block_k = blocked ? divide_up(p.k, divide_up(p.k, most_k)) : p.k;
  p.pack_ahead = p.pack && large && p.segment == 0 &&
                 p.vectors <= kMostVectors;  // the rest of a wide panel may be two tiles
  p.stream = !p.pack && in_memory && !is_panel && p.segment == 0 &&
             p.a_k == 1;  // dZ of a weight gradient has just been written
  if (p.stream) p.block_k = kStreamedK;
  // Zen 4, 256 x 2048 x 2048: 110 GFLOP/s, 108 without.
  p.prefetch_c = p.c_lane == 1 && !p.stream && p.rows * p.c_row * index_t(sizeof(T)) > blocks.prefetch_c;
  if (p.panel > 0) p.block_k = divide_up(p.block_k, p.panel) * p.panel;
  return p;
}
