// GEMM: tile.inl is the innermost loop, product.inl decides how a product is cut into tiles, pack.inl copies an operand
// where its tiles want it, stream.inl is the way of few rows, and gemm() below walks the tiles.
//
// Either N or M may be the vector side: with M, the same code computes C^T = B^T A^T and transposes each tile while storing.
// Every element of C is acc = fma(a, b, acc) over rising k in all of them, so the choice is invisible in the bits.

// What the caller reads after the product, a tile's share at a time.
template <class T>
struct Prefetches {
  const T* const* from;
  index_t size, at = 0;

  DENSEKIT_INLINE void prefetch_with(Tile<T>& t, index_t width) {
    t.segment = kPrefetchSegment;
    t.prefetch = *from + at;
    t.prefetch_k = width;
    t.prefetch_rows = 1;
    at += divide_up(t.k, kPrefetchSegment) * width;
    if (at >= size) at = 0, ++from;
  }
};

// Tiles of so many rows below each other, with nothing between them: of a small product, what is between them is time.
template <class T>
DENSEKIT_INLINE void run_tiles(Tile<T>& t, const TileFunction<T>* functions, index_t rows, index_t count,
                               const Product<T>& p) {
  if (count == 0) return;
  const TileFunction<T> function = functions[rows - 1];
  const index_t a = rows * p.a_row, c = rows * p.c_row, bias = p.bias_by_row && t.bias != nullptr ? rows : 0;
  for (; count > 0; --count, t.a += a, t.c += c, t.bias += bias) function(t);
}

// The same product without its first columns, of a B by rows.
template <class T>
Gemm<T> columns_from(const Gemm<T>& g, index_t column) {
  Gemm<T> rest = g;
  rest.n -= column;
  rest.b += column;
  rest.c += column;
  if (g.bias) rest.bias += column;
  return rest;
}

template <class T>
DENSEKIT_INLINE void prefetch_block(const T* c, index_t rows, index_t c_row, index_t width) {
  for (index_t r = 0; r < rows; ++r, c += c_row)
    for (index_t j = 0; j < width; j += kLanes<T>) __builtin_prefetch(c + j, 1, 2);
}

// A bound: to plan the product for it would cost small ones as much as 3 % (Zen 4, 32 x 32 x 16: 8 of 330 ns). What is not used is
// never touched.
template <class T>
index_t gemm_scratch(const Gemm<T>& g) {
  static_assert(kWideVectors == 2 * kMostVectors);  // one wide panel, or two of which the second is packed ahead
  const index_t most = most_steps(), steps = (g.k < most ? g.k : most) + g.b_panel;
  return steps * kWideVectors * kLanes<T>;
}

template <class T>
void gemm(const Gemm<T>& g, T* scratch) {
  if (g.m <= 0 || g.n <= 0) return;
  constexpr index_t L = kLanes<T>;
  const Product<T> p = plan_product(g);
  const index_t wide = p.lanes / (kWideVectors * L) * (kWideVectors * L);
  if (p.stream && p.rows <= kWideRows && wide > 0 && !p.bias_by_row) {
    stream_few<T>(p, wide, g);
    if (wide < p.lanes) gemm(columns_from(g, wide), scratch);
    return;
  }
  const bool in_panels = p.panel > 0 && p.segment == 0;  // the vector operand
  Tile<T> t;
  t.a_row = p.a_row, t.a_k = p.a_k, t.c_row = p.c_row, t.c_lane = p.c_lane, t.bias_by_row = p.bias_by_row;
  t.prefetch = nullptr;
  Prefetches<T> ahead{g.prefetch, g.prefetch_size};
  const bool prefetches = g.prefetch[0] != nullptr && !p.stream && !p.pack_ahead && p.segment == 0;
  const bool plain = !prefetches && !p.pack_ahead && !p.prefetch_c;
  index_t at = 0;
  do {  // once when k is 0
    t.k = p.k - at < p.block_k ? p.k - at : p.block_k;
    t.segment = p.segment > 0 ? p.segment : p.stream ? kPrefetchSegment : t.k;
    t.a_jump = p.a_jump;
    const index_t a_at = p.segment > 0 ? step_in_panels(p, at) : at * p.a_k;
    const index_t b_at = in_panels ? step_in_panels(p, at) : at * p.b_k;
    const bool final = at + t.k == p.k;
    t.load_c = at > 0 || g.accumulate;
    t.relu = final && g.relu;
    NextPanel<T> next;
    for (index_t lane = 0; lane < p.lanes; lane += p.vectors * L) {
      const index_t left = p.lanes - lane;
      const index_t panel = left < p.vectors * L ? left : p.vectors * L, panel_vectors = divide_up(panel, L);
      const T* b = p.b + b_at + lane * p.b_lane;
      t.b_k = p.b_k;
      if (p.stream) {
        t.prefetch_k = p.b_k;
        t.prefetch_rows = kPrefetchSegment;
      }
      if (p.pack) {
        const index_t width = panel_vectors * L;
        T* packed = next.src != nullptr ? next.dst : scratch;
        if (next.src == nullptr) {
          if (p.b_lane == 1) pack_rows<T>(t.k, panel, width, b, p.b_k, packed);
          else pack_panels_transposed<T>(p, t.k, panel, width, b, packed);
        }
        next.src = nullptr;
        if (p.pack_ahead && left > width) {
          const index_t all = p.vectors * L;
          next.lanes = left - width < all ? left - width : all;
          next.width = divide_up(next.lanes, L) * L;
          next.src = b + width * p.b_lane;
          next.src_lane = p.b_lane;
          next.piece = p.b_lane == 1 ? 1 : in_panels ? p.panel : all;
          next.distance = p.b_lane == 1 ? p.b_k : in_panels ? p.panel_stride : all;
          next.dst = packed == scratch ? scratch + p.block_k * all : scratch;
        }
        b = packed;
        t.b_k = width;
      }
      const index_t across = tile_vectors(p, panel_vectors), tile_width = across * L;
      index_t all_tiles = 0;  // of the panel
      if (p.pack_ahead) all_tiles = panel_vectors / across * divide_up(p.rows, most_rows(across, p.narrow));
      if (p.pack_ahead && panel_vectors % across > 0)
        all_tiles += divide_up(p.rows, most_rows(panel_vectors % across, p.narrow));
      for (index_t inside = 0, done = 0; inside < panel; inside += tile_width) {
        const index_t lanes = panel - inside < tile_width ? panel - inside : tile_width, vectors = divide_up(lanes, L);
        const index_t width = vectors * L;
        t.last = lanes - (vectors - 1) * L;
        t.b = b + inside;
        if (p.stream) t.prefetch = final ? nullptr : t.b + t.k * p.b_k;
        const TileFunction<T>* const functions = tile_functions<T>(vectors, t.last);
        // Equal tiles again: 16 rows in tiles of up to 6 are 6 + 5 + 5.
        index_t tiles = 1, rows_each = p.rows, longer = 0;
        if (p.rows > most_rows(vectors, p.narrow)) {
          tiles = divide_up(p.rows, most_rows(vectors, p.narrow));
          rows_each = p.rows / tiles, longer = p.rows % tiles;
        }
        if (plain) {
          t.a = p.a + a_at;
          t.c = p.c + (lane + inside) * p.c_lane;
          t.bias = !final || !g.bias ? nullptr : g.bias + (p.bias_by_row ? 0 : lane + inside);
          run_tiles(t, functions, rows_each + 1, longer, p);
          run_tiles(t, functions, rows_each, tiles - longer, p);
          continue;
        }
        for (index_t i = 0, tile = 0; tile < tiles; ++tile, ++done) {
          const index_t rows = rows_each + (tile < longer);
          t.a = p.a + i * p.a_row + a_at;
          t.c = p.c + i * p.c_row + (lane + inside) * p.c_lane;
          t.bias = !final || !g.bias ? nullptr : g.bias + (p.bias_by_row ? i : lane + inside);
          if (next.src != nullptr) next.prefetch_with(t, done, all_tiles);
          else if (prefetches && *ahead.from != nullptr) ahead.prefetch_with(t, width);
          else if (prefetches) t.prefetch = nullptr;
          if (p.prefetch_c)
            prefetch_block(t.c + rows * p.c_row, p.rows - i - rows < rows ? p.rows - i - rows : rows, p.c_row, width);
          functions[rows - 1](t);
          if (next.src != nullptr) next.pack(t.k, done, all_tiles);
          i += rows;
        }
        if (p.pack_ahead) t.prefetch = nullptr;
      }
    }
    at += t.k;
  } while (at < p.k);
}
