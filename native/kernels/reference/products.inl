// The reference kernels of gemm/: products in the plan's type, in bfloat16 and of int8.

// ---- GEMM

template <class T>
index_t gemm_scratch(const Gemm<T>&) {
  return 0;
}

template <class T>
void gemm(const Gemm<T>& g, T*) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      T& c = g.c[i * g.c_row + j];
      T sum = g.accumulate ? c : T(0);  // in T, not double: the chain is the contract
      for (index_t p = 0; p < g.k; ++p)
        sum = std::fma(g.a[i * g.a_row + p * g.a_col], g.b[g.b_step(p) + j * g.b_col], sum);
      if (g.bias) sum += g.bias[j];
      if (g.relu && sum < 0) sum = 0;
      c = sum;
    }
  }
}

// ---- Products in bfloat16: rounded operands, summed in blocks of two chains. A packed B: [panel][pair of rows][column], the earlier row high.

float rounded(float x) {
  if (std::isnan(x)) return x;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t low = bits & 0xFFFF;
  bits -= low;
  if (low > 0x8000 || (low == 0x8000 && (bits & 0x10000) != 0)) bits += 0x10000;  // to nearest, a tie to even
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

index_t up_to_16(index_t n) { return (n + 15) / 16 * 16; }

index_t bfloat16_packed(index_t k, index_t n) { return (k + 1) / 2 * up_to_16(n); }

// Where the word of rows p, p + 1 and column j stands.
index_t bfloat16_place(index_t k, index_t n, index_t p, index_t j) {
  const index_t panel = j / kBfloat16Panel * kBfloat16Panel, width = std::min(kBfloat16Panel, up_to_16(n - panel));
  return panel * ((k + 1) / 2) + p / 2 * width + (j - panel);
}

void bfloat16_pack(const float* b, index_t b_row, index_t b_col, index_t k, index_t n, index_t first_k, index_t last_k,
                   index_t first_n, index_t last_n, uint32_t* packed) {
  for (index_t p = first_k; p < last_k; p += 2) {
    for (index_t j = first_n; j < (last_n == n ? up_to_16(n) : last_n); ++j) {
      uint32_t halves[2] = {0, 0};
      for (index_t i = 0; i < 2 && p + i < last_k && j < n; ++i) {
        const float value = rounded(b[(p + i - first_k) * b_row + (j - first_n) * b_col]);
        std::memcpy(&halves[i], &value, sizeof value);
      }
      packed[bfloat16_place(k, n, p, j)] = halves[0] | halves[1] >> 16;
    }
  }
}

float bfloat16_value(const uint32_t* packed, index_t k, index_t n, index_t p, index_t j) {
  const uint32_t word = packed[bfloat16_place(k, n, p, j)], bits = p % 2 == 0 ? word & 0xFFFF0000u : word << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// ---- Products of int8. A row of A: its bytes. A packed B: as it is.

index_t int8_words(index_t k) { return (k + 3) / 4; }
index_t int8_packed(index_t k, index_t n) { return k * n; }
void int8_pack(index_t k, index_t n, const int8_t* b, uint8_t* packed) { std::memcpy(packed, b, std::size_t(k * n)); }

void int8_quantize(index_t k, const float* x, float epsilon, float low, float high, uint32_t* words, float* scale) {
  auto* bytes = reinterpret_cast<int8_t*>(words);
  float most = 0;
  bool finite = true;
  for (index_t p = 0; p < k; ++p) {
    most = std::max(most, std::fabs(x[p]));
    finite = finite && std::isfinite(x[p]);
  }
  *scale = finite ? high / (most + epsilon) : NAN;
  for (index_t p = 0; p < k; ++p)
    bytes[p] = finite ? int8_t(std::nearbyint(std::min(std::max(x[p] * *scale, low), high))) : int8_t(0);
}

void int8_gemm(const Int8Gemm<float>& g) {
  for (index_t i = 0; i < g.m; ++i) {
    const auto* a = reinterpret_cast<const int8_t*>(g.a + i * int8_words(g.k));
    for (index_t j = 0; j < g.n; ++j) {
      int32_t sum = 0;
      for (index_t p = 0; p < g.k; ++p) sum += int32_t(a[p]) * int32_t(static_cast<int8_t>(g.b[p * g.n + j]));
      float y = float(sum) / (g.b_scale[j] * g.a_scale[i]);
      if (g.bias) y += g.bias[j];
      g.c[i * g.c_row + j] = y;
    }
  }
}

void bfloat16_round(index_t n, const float* x, float* y) {
  for (index_t i = 0; i < n; ++i) y[i] = rounded(x[i]);
}

void float16_round(index_t n, const float* x, float* y) {
  for (index_t i = 0; i < n; ++i) {
    int exponent = 0;
    std::frexp(x[i], &exponent);  // |x| = f 2^exponent, f in [0.5, 1): 11 bits of it, none below 2^-24
    const double unit = std::ldexp(1.0, std::max(exponent - 11, -24)), near = std::nearbyint(x[i] / unit) * unit;
    y[i] = std::isfinite(x[i]) ? float(std::fabs(near) > 65504 ? std::copysign(INFINITY, near) : near) : x[i];
  }
}

index_t bfloat16_scratch(const Gemm<float>&, bool) { return 0; }

void bfloat16_gemm(const Gemm<float>& g, const uint32_t* packed_b, float*) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      float& c = g.c[i * g.c_row + j];
      float sum = g.accumulate ? c : 0.0f;
      for (index_t block = 0; block < g.k; block += 2 * kBfloat16Chain) {
        float chain[2] = {0, 0};
        for (index_t p = block; p < std::min(g.k, block + 2 * kBfloat16Chain); ++p) {
          const float b = packed_b ? bfloat16_value(packed_b, g.k, g.n, p, j) : rounded(g.b[p * g.b_row + j * g.b_col]);
          float& partial = chain[(p - block) / kBfloat16Chain];
          partial = std::fma(rounded(g.a[i * g.a_row + p * g.a_col]), b, partial);
        }
        sum += chain[0] + chain[1];
      }
      sum = rounded(sum);
      if (g.bias) sum = rounded(sum + rounded(g.bias[j]));
      if (g.relu && sum < 0) sum = 0;
      c = sum;
    }
  }
}
