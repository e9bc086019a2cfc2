// How one product is computed: which side the vectors run along, how wide a panel is, what is packed or streamed.

// ---- Cache geometry: 512 KiB L2 a core, the least among current x86-64 servers and desktops.
constexpr index_t kL2Bytes = 512 * 1024;
// A packed panel (a block of k x 4 vectors) takes at most half of L2; the other half is for the rows that meet it.
// Zen 4, 1 MiB L2: 1024 rows a block 93 % of peak at 1024^3 and 91 % for 128 x 2048 x 2048 with B transposed; 512 rows 89 and
// 81 % (C is read and written twice as often); 256 rows 88 and 77 %.
constexpr index_t kBlockK = kL2Bytes / 2 / (kMostVectors * DENSEKIT_VECTOR_BYTES);
// An operand of up to this size is read where it lies, however many tiles meet it: the copy is dearer than the strides.
// Zen 4, 64 x 512 x 512 (1 MiB): 98 % direct, 90 % packed; 128 x 1024 x 1024 (4 MiB): 83 % direct, 87 % packed.
constexpr index_t kDirectBytes = 2 * kL2Bytes;
// A broadcast operand of more than this comes from memory for each panel anew.
constexpr index_t kBroadcastBytes = 4 << 20;
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

DENSEKIT_INLINE index_t divide_up(index_t a, index_t b) { return (a + b - 1) / b; }

// Cycles, roughly, with one vector FMA a cycle and a latency of 4. Zen 4, 256 x 2048 x 2048 with B transposed: along M, whose four
// panels all read B, 103 GFLOP/s, along N 108; 256 x 1024 x 1024: 110 and 106.
template <class T>
DENSEKIT_INLINE index_t cost(index_t rows, index_t lanes, index_t k, bool direct_b, bool direct_c) {
  index_t work = rows * divide_up(lanes, kLanes<T>);
  if (work < 4) work = 4;
  index_t cycles = work * k;
  if (!direct_b) cycles += lanes * k / 2;  // a transposed block: 16 x 16 elements in about 100 instructions
  const index_t panels = divide_up(divide_up(lanes, kLanes<T>), kMostVectors);
  if (rows * k * index_t(sizeof(T)) > kBroadcastBytes) cycles += (panels - 1) * rows * k / 2;
  if (!direct_c) cycles += rows * lanes;  // one scalar store an element
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
  // A copy pays when the panel is met often, does not lie in L2 anyway and is not in one piece, or where tails are dear.
  const bool large = p.k * p.lanes * index_t(sizeof(T)) > kDirectBytes, in_memory = p.b_lane == 1 && large;
  const bool is_panel = p.b_lane == 1 && p.b_k == p.lanes && vectors <= kMostVectors;
  p.pack = p.b_lane != 1 || (tiles >= 8 && in_memory && !is_panel) || (!kCheapPartialLoads && p.lanes % L != 0);
  // A transposed broadcast operand (a weight gradient) has a line of its own in every step; at a stride of 4 KiB they all
  // fall into 32 sets of L2, which hold 256 lines. Zen 4, dW 1024^3: 1024 steps a block 51 % of peak, 512 steps 78 %, 256 steps 82 %.
  const index_t most_k = p.a_k == 1 ? kBlockK : kBlockK / 4;
  const bool blocked = (p.pack || tiles > 1) && p.k > most_k;
  p.block_k = blocked ? divide_up(p.k, divide_up(p.k, most_k)) : p.k;
  p.pack_ahead = p.pack && large && p.segment == 0 &&
                 p.vectors <= kMostVectors;  // the rest of a wide panel may be two tiles
  p.stream = !p.pack && in_memory && !is_panel && p.segment == 0 &&
             p.a_k == 1;  // dZ of a weight gradient has just been written
  if (p.stream) p.block_k = kStreamedK;
  // Zen 4, 256 x 2048 x 2048: 110 GFLOP/s, 108 without.
  p.prefetch_c = p.c_lane == 1 && !p.stream && p.rows * p.c_row * index_t(sizeof(T)) > kL2Bytes;
  if (p.panel > 0) p.block_k = divide_up(p.block_k, p.panel) * p.panel;
  return p;
}
