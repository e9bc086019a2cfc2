// Few rows through an operand that lies in no cache: bound by reading it. The rows of C stay in L1, so that sweeps
// may be short, and every load prefetches its column of the next sweep. Zen 4, 2 threads, a row through 42 MB: 440 us. In
// tiles called one by one 690 us, their prefetches in bursts of 64 lines 760 us; prefetched into L1 instead of L2, 1.4 ms.

constexpr index_t kSweep = 16;  // steps of k between reading and writing C

template <class T, int MR, int Steps>
DENSEKIT_INLINE void stream_sweep(const Product<T>& p, index_t at, index_t lanes, bool load_c, index_t ahead) {
  constexpr int NV = kWideVectors;
  const T* a = p.a + at;
  const T* b = p.b + at * p.b_k;
  for (index_t lane = 0; lane < lanes; lane += NV * kLanes<T>, b += NV * kLanes<T>) {
    T* c = p.c + lane;
    Vec<T> acc[MR][NV];
#pragma GCC unroll 3
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[i][v] = load_c ? load(c + i * p.c_row + v * kLanes<T>) : Vec<T>{};
    const T* from = b;
#pragma GCC unroll 16
    for (int s = 0; s < Steps; ++s, from += p.b_k) {
      Vec<T> scalar[MR];
#pragma GCC unroll 3
      for (int i = 0; i < MR; ++i) scalar[i] = broadcast(a[i * p.a_row + s]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) {
        __builtin_prefetch(from + v * kLanes<T> + ahead, 0, 2);
        const Vec<T> vector = load(from + v * kLanes<T>);
#pragma GCC unroll 3
        for (int i = 0; i < MR; ++i) acc[i][v] = fma(scalar[i], vector, acc[i][v]);
      }
    }
#pragma GCC unroll 3
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) store(c + i * p.c_row + v * kLanes<T>, acc[i][v]);
  }
}

template <class T, int MR>
void stream_rows(const Product<T>& p, index_t lanes, bool accumulate) {
  index_t at = 0;
  for (; at + kSweep <= p.k; at += kSweep) {
    const bool last = at + 2 * kSweep > p.k;
    stream_sweep<T, MR, kSweep>(p, at, lanes, at > 0 || accumulate, last ? 0 : kSweep * p.b_k);
  }
  for (; at < p.k; ++at) stream_sweep<T, MR, 1>(p, at, lanes, at > 0 || accumulate, 0);
}

// The first `lanes` columns of C, whole wide panels.
template <class T>
void stream_few(const Product<T>& p, index_t lanes, const Gemm<T>& g) {
  if (p.rows == 1) stream_rows<T, 1>(p, lanes, g.accumulate);
  if constexpr (kWideRows > 1) {
    if (p.rows == 2) stream_rows<T, 2>(p, lanes, g.accumulate);
    if (p.rows == 3) stream_rows<T, 3>(p, lanes, g.accumulate);
  }
  for (index_t i = 0; i < p.rows; ++i) {
    T* c = p.c + i * p.c_row;
    for (index_t j = 0; j < lanes; j += kLanes<T>) {
      Vec<T> value = load(c + j);
      if (g.bias) value += load(g.bias + j);
      if (g.relu) value = max_or_second(Vec<T>{}, value);
      store(c + j, value);
    }
  }
}
