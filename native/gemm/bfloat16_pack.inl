// Operands of products in bfloat16 (bfloat16.inl): values rounded, neighbours along k in one lane, packed.
//   packed B: [panel of 32 columns][pair of k][columns of the panel, up to a multiple of 16], zeros beyond n and k

constexpr index_t kPanel = 32;  // divides kBfloat16Panel: a tile's width, so that a panel is read from end to end

DENSEKIT_INLINE index_t pairs_of(index_t k) { return (k + 1) / 2; }

// Lanes run along memory: dst[pair * width + lane], `count` lanes and zeros to a multiple of the grain.
void pack_pairs(index_t k, index_t count, const float* src, index_t src_k, uint32_t* dst, index_t width) {
  constexpr index_t L = kLanes<float>;
  const index_t all = up_to_multiple(count, kPanelGrain);
  for (index_t p = 0; p < k; p += 2, src += 2 * src_k, dst += width) {
    const bool both = p + 1 < k;
    index_t j = 0;
    if (both) {
      for (; j + L <= count; j += L) store_words(dst + j, make_pairs(load(src + j), load(src + src_k + j)));
    }
    for (; j < all; j += L) {
      const Vec<float> odd = both ? load_some(src + src_k + j, count - j) : Vec<float>{};
      store_words(dst + j, make_pairs(load_some(src + j, count - j), odd));
    }
  }
}

// k runs along memory: blocks of L lanes x 2 L values are paired and transposed in registers.
void pack_pairs_transposed(index_t k, index_t count, const float* src, index_t src_lane, uint32_t* dst, index_t width) {
  constexpr index_t L = kLanes<float>;
  for (index_t j = 0; j < up_to_multiple(count, kPanelGrain); j += L) {
    const index_t lanes = least(count - j, L);
    for (index_t p = 0; p < k; p += 2 * L) {
      const float* s = src + j * src_lane + p;
      const index_t pairs = least(pairs_of(k - p), L);
      Vec<float> block[L];
      if (lanes == L && p + 2 * L <= k) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          block[i] = (Vec<float>)pair_neighbours(load(s + i * src_lane), load(s + i * src_lane + L));
      } else {
        for (int i = 0; i < L; ++i) {
          block[i] = Vec<float>{};
          if (i < lanes)
            block[i] = (Vec<float>)pair_neighbours(load_some(s + i * src_lane, k - p),
                                                   load_some(s + i * src_lane + L, k - p - L));
        }
      }
      transpose<float>(block);
      uint32_t* d = dst + p / 2 * width + j;
      if (pairs == L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) store_words(d + i * width, (Words)block[i]);
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i)
          if (i < pairs) store_words(d + i * width, (Words)block[i]);
      }
    }
  }
}

// k runs along memory and stays so: dst[row * dst_row + pair].
void pack_rows_of_pairs(index_t rows, index_t k, const float* src, index_t src_row, uint32_t* dst, index_t dst_row) {
  constexpr index_t L = kLanes<float>;
  for (index_t i = 0; i < rows; ++i, src += src_row, dst += dst_row)
    for (index_t p = 0; p < k; p += 2 * L)  // dst_row has room for whole vectors
      store_words(dst + p / 2, pair_neighbours(load_some(src + p, k - p), load_some(src + p + L, k - p - L)));
}

// Part of B, whose first element is row first_k and column first_n, into its place in the packed whole.
void bfloat16_pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                   index_t first_n, index_t last_n, uint32_t* packed) {
  for (index_t j = first_n; j < last_n;) {
    const index_t panel = j / kPanel * kPanel, end = least(panel + kPanel, last_n);
    const index_t width = up_to_multiple(least(kPanel, n - panel), kPanelGrain);
    uint32_t* dst = packed + panel * pairs_of(k) + first_k / 2 * width + (j - panel);
    const float* src = b + (j - first_n) * b_col;
    if (b_col == 1 || n == 1) pack_pairs(last_k - first_k, end - j, src, b_row, dst, width);
    else pack_pairs_transposed(last_k - first_k, end - j, src, b_col, dst, width);
    j = end;
  }
}

index_t bfloat16_packed(index_t k, index_t n) { return pairs_of(k) * up_to_multiple(n, kPanelGrain); }
