// Packing the vector operand: dst[p * width + lane], zeros beyond `lanes`.

template <class T>
void pack_rows(index_t k, index_t lanes, index_t width, const T* src, index_t src_k, T* dst) {
  for (index_t p = 0; p < k; ++p, src += src_k, dst += width) {
    index_t j = 0;
    for (; j + kLanes<T> <= lanes; j += kLanes<T>) store(dst + j, load(src + j));
    if (j < lanes) store(dst + j, load(src + j, Part{lanes - j}));
  }
}

// src[lane * src_lane + p]: k runs along memory, so blocks of lanes x lanes are transposed in registers.
template <class T>
void pack_transposed(index_t k, index_t lanes, index_t width, const T* src, index_t src_lane, T* dst) {
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

// pack_transposed for a vector operand that may lie in panels.
template <class T>
void pack_panels_transposed(const Product<T>& p, index_t k, index_t lanes, index_t width, const T* src, T* dst) {
  if (p.panel == 0 || p.segment > 0) return pack_transposed<T>(k, lanes, width, src, p.b_lane, dst);
  for (index_t done = 0; done < k; done += p.panel, src += p.panel_stride, dst += p.panel * width) {
    pack_transposed<T>(p.panel, lanes, width, src, p.b_lane, dst);
  }
}

// The panel after the present one, packed part by part while the present one is multiplied.
// Tried and lost, 128 x 2048 x 2048 with B row-major (81 % of peak; reading the 16 MiB of B in pieces of 256 bytes from
// memory takes 1.7 ms of its 11 ms): prefetching the next panel in bursts between tiles (72 %), one line a k step inside
// the tiles (+1 %, the panel's 8 KiB strides share a few sets of L2 and fall out again), packing 2, 4, 8 or 16 panels at
// once so that the reads are longer (76, 74, 73 %: they no longer stay in L2).
template <class T>
struct NextPanel {
  const T* src = nullptr;  // null: there is none
  index_t lanes = 0, width = 0;
  index_t piece = 1, distance = 0;  // steps of k in a piece, elements to the next piece: single rows, unless transposed
  index_t src_lane = 1;             // transposed: elements from lane to lane
  T* dst = nullptr;

  // Each tile's share of the pieces is prefetched while the tile is computed (of transposed ones the first), and packed after it.
  DENSEKIT_INLINE void prefetch_with(Tile<T>& t, index_t tile, index_t tiles) const {
    const index_t pieces = divide_up(t.k, piece), from = pieces * tile / tiles, to = pieces * (tile + 1) / tiles;
    t.segment = kPrefetchSegment;
    t.prefetch = from == to ? nullptr : src + from * distance;
    t.prefetch_k = src_lane == 1 ? distance : src_lane;
    t.prefetch_rows = divide_up(src_lane == 1 ? to - from : lanes, divide_up(t.k, kPrefetchSegment));
  }
  DENSEKIT_INLINE void pack(index_t k, index_t tile, index_t tiles) const {
    const index_t pieces = divide_up(k, piece), from = pieces * tile / tiles, to = pieces * (tile + 1) / tiles;
    if (src_lane == 1)
      return pack_rows<T>(to - from, lanes, width, src + from * distance, distance, dst + from * width);
    for (index_t p = from; p < to; ++p) {
      const index_t steps = k - p * piece < piece ? k - p * piece : piece;
      pack_transposed<T>(steps, lanes, width, src + p * distance, src_lane, dst + p * piece * width);
    }
  }
};
