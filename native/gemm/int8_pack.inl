// Operands of products of whole numbers of eight bits (int8.inl, int8_tiles.inl). Four neighbours along k share a lane.
//
//   packed B: [first sum of each column, int32] [panel of 64 columns][four of k][columns of the panel, up to a multiple of
//   16][4], zeros beyond n and k; for tiles k goes up to a multiple of 64
//   a row of A: for tiles its bytes; where there is `vpdpbusd`, which multiplies unsigned by signed bytes, a + 128, and the first
//   sums take away 128 times the column; else the even and the odd ones of each four, spread to 16 bits, for multiply-adds of pairs

typedef int32_t Sums __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef int32_t LooseSums __attribute__((vector_size(DENSEKIT_VECTOR_BYTES), aligned(4), may_alias));
typedef int16_t Halves __attribute__((vector_size(DENSEKIT_VECTOR_BYTES)));
typedef int8_t Bytes __attribute__((vector_size(DENSEKIT_VECTOR_BYTES / 4)));

constexpr index_t kInt8Panel = 64;
constexpr index_t kInt8Grain = 16;  // lanes of the widest vector: the layout of B is the same for all instruction sets

// How a row of A lies.
#if defined(DENSEKIT_TILES)
constexpr bool kTiledInputs = true, kUnsignedInputs = false;
#elif defined(__AVX512VNNI__)
constexpr bool kTiledInputs = false, kUnsignedInputs = true;
#else
constexpr bool kTiledInputs = false, kUnsignedInputs = false;
#endif

// Fours that an operand has room for.
DENSEKIT_INLINE index_t fours_of(index_t k) { return kTiledInputs ? (k + 63) / 64 * 16 : (k + 3) / 4; }
DENSEKIT_INLINE Sums load_sums(const void* p) { return *(const LooseSums*)p; }
DENSEKIT_INLINE Sums all_lanes_of(uint32_t word) { return int32_t(word) - Sums{}; }

// ---- Packing

// Words of a row of A: whole vectors may be written. The extra line keeps rows of 4 KiB from falling into one set of L1.
index_t int8_words(index_t k) {
  return up_to_multiple(fours_of(k) * (kUnsignedInputs || kTiledInputs ? 1 : 2), kInt8Grain) + kInt8Grain;
}

index_t int8_packed(index_t k, index_t n) {
  return up_to_multiple(n, kInt8Grain) * (index_t(sizeof(int32_t)) + 4 * fours_of(k));
}

void int8_pack(index_t k, index_t n, const int8_t* b, uint8_t* packed) {
  const index_t all = up_to_multiple(n, kInt8Grain), fours = fours_of(k);
  auto* first = (int32_t*)packed;
  auto* bytes = (int8_t*)(packed + all * index_t(sizeof(int32_t)));
  __builtin_memset(packed, 0, size_t(int8_packed(k, n)));
  for (index_t p = 0; p < k; ++p) {
    for (index_t j = 0; j < n; ++j) {
      const index_t panel = j / kInt8Panel * kInt8Panel;
      const index_t width = up_to_multiple(least(kInt8Panel, n - panel), kInt8Grain);
      bytes[4 * (panel * fours + p / 4 * width + j - panel) + p % 4] = b[p * n + j];
      if (kUnsignedInputs) first[j] -= 128 * b[p * n + j];
    }
  }
}

// One row of A: round(x * scale) within [low, high], to the nearest, of two equally near to the even one.
void int8_quantize(index_t k, const float* x, float epsilon, float low, float high, uint32_t* words, float* scale) {
  constexpr index_t L = kLanes<float>;
  Vec<float> most = {}, finite = {};
  for_vectors<float>(k, [&](index_t i, auto part) {
    const Vec<float> v = load(x + i, part);
    finite += v * 0.0f;  // NaN of a NaN and of an infinity
    most = max_or_second(most, (Vec<float>)((Sums)v & 0x7FFFFFFF));
  });
  finite = all_lanes<float>(finite, [](Vec<float> a, Vec<float> b) { return a + b; });
  most = all_lanes<float>(most, [](Vec<float> a, Vec<float> b) { return max_or_second(a, b); });
  const bool all_finite = finite[0] == 0.0f;
  *scale = all_finite ? high / (most[0] + epsilon) : __builtin_nanf("");
  const float factor = all_finite ? *scale : 0.0f;
  constexpr float magic = 0x1.8p23f;  // added, the last bit of the fraction counts ones
  auto* bytes = (uint8_t*)words;
  if (kTiledInputs && k > 0) __builtin_memset(words + fours_of(k) - 16, 0, 64);
  for_vectors<float>(k, [&](index_t i, auto part) {
    Vec<float> v = load(x + i, part) * factor;
    if (!all_finite) v = Vec<float>{};
    v = min_or_second(max_or_second(v, broadcast(low)),
                      broadcast(high));  // so that no fused multiply-add can join both steps
    const Sums whole = (Sums)(v + magic) - (Sums)broadcast(magic);
    if constexpr (kUnsignedInputs || kTiledInputs) {
      const Bytes narrow = __builtin_convertvector(kUnsignedInputs ? whole + 128 : whole, Bytes);
      __builtin_memcpy(bytes + i, &narrow, sizeof narrow);
    } else {
      int32_t lane[L];
      __builtin_memcpy(lane, &whole, sizeof whole);
#pragma GCC unroll 4
      for (index_t f = 0; f < L; f += 4) {
        words[(i + f) / 2] = (uint32_t(lane[f]) & 0xFFFFu) | uint32_t(lane[f + 2]) << 16;
        words[(i + f) / 2 + 1] = (uint32_t(lane[f + 1]) & 0xFFFFu) | uint32_t(lane[f + 3]) << 16;
      }
    }
  });
}
