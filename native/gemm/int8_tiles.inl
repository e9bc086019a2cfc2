// Products of int8 by tiles: an instruction multiplies 64 signed bytes of each row by those of each column. The operands lie as
// int8_pack.inl says; the sums are whole numbers, so that nothing of this shows in the bits.

void int8_finish(const Int8Gemm<float>& g, index_t row, index_t rows, index_t column, index_t columns,
                 const int32_t* sums, index_t sums_row) {
  constexpr index_t L = kLanes<float>;
  for (index_t j = 0; j < columns; j += L) {
    const Vec<float> scale = load_some(g.b_scale + column + j, columns - j);
    const Vec<float> bias = g.bias ? load_some(g.bias + column + j, columns - j) : Vec<float>{};
    for (index_t i = row; i < row + rows; ++i) {
      Vec<float> y = __builtin_convertvector(load_sums(sums + (i - row) * sums_row + j), Vec<float>) /
                     (scale * g.a_scale[i]);
      if (g.bias) y = y + bias;
      float* c = g.c + i * g.c_row + column + j;
      if (columns - j >= L) store(c, y);
      else store(c, y, Part{columns - j});
    }
  }
}

void tiled_int8_gemm(const Int8Gemm<float>& g) {
  if (g.m <= 0 || g.n <= 0) return;
  const index_t all = up_to_multiple(g.n, kInt8Grain), fours = fours_of(g.k),
                row_tiles = (g.m + kTileRows - 1) / kTileRows;
  const index_t together = row_tiles == 1 ? kColumnsOfOneRow : kColumnsOfTwoRows;
  const auto* panels = (const uint32_t*)(g.b + all * index_t(sizeof(int32_t)));
  alignas(64) int32_t sums[2 * kTileRows * kColumnsOfTwoRows];  // or one row of twice the columns
  tile_configure(tile_config(g.m));
  TilePiece t;
  t.steps = fours / kTileRows;
  t.a_row = int8_words(g.k), t.a_step = kTileWords;
  t.sums = (uint32_t*)sums, t.sums_row = together;
  t.load = false;
  for (index_t column = 0; column < g.n; column += together) {
    const index_t columns = least(g.n - column, together), panel = column / kInt8Panel * kInt8Panel;
    const index_t width = up_to_multiple(least(kInt8Panel, g.n - panel), kInt8Grain);
    for (index_t j = 0; j < columns; j += kTileWords) {
      t.b[j / kTileWords] = panels + panel * fours + column - panel + j;
      t.b_row[j / kTileWords] = width;
    }
    for (index_t row = 0; row < g.m; row += 2 * kTileRows) {
      // The last tiles begin early enough to be whole: some rows are computed twice.
      const index_t tiles = g.m - row > kTileRows ? 2 : 1, rows = least(g.m, kTileRows);
      const index_t begin[] = {least(row, g.m - rows), least(row + kTileRows, g.m - rows)};
      t.a = g.a + begin[0] * t.a_row, t.a_tile = (begin[1] - begin[0]) * t.a_row;
      run_piece<Int8Dot>(t, tiles, (columns + kTileWords - 1) / kTileWords);
      for (index_t tile = 0; tile < tiles; ++tile)
        int8_finish(g, begin[tile], rows, column, columns, sums + tile * kTileRows * together, together);
    }
  }
  tile_release();
}

constexpr Kernels<float> with_tiled_int8(Kernels<float> t) {
  t.int8_words = int8_words;
  t.int8_quantize = int8_quantize;
  t.int8_packed = int8_packed;
  t.int8_pack = int8_pack;
  t.int8_gemm = tiled_int8_gemm;
  return t;
}
