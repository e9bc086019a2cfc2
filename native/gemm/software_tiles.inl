// The tiles of AMX in software, by number, by the pseudo-code of Intel's manual: bits, exceptions (it traps), registers that are
// zero beyond a tile's shape. For tests alone.

struct SoftwareTiles {
  static constexpr int kTiles = 8, kRows = 16, kWords = 16;

  bool configured = false;
  int rows[kTiles] = {}, row_bytes[kTiles] = {};
  uint32_t tile[kTiles][kRows][kWords] = {};

  static void must(bool holds) {
    if (!holds) __builtin_trap();
  }
  bool is_valid(int t) const { return configured && rows[t] > 0 && row_bytes[t] > 0; }
  int columns(int t) const { return row_bytes[t] / 4; }

  // ldtilecfg: 64 bytes
  void configure(const void* from) {
    const auto* bytes = (const uint8_t*)from;
    must(bytes[0] == 1 && bytes[1] == 0);  // palette; the row that an interrupted load goes on with
    for (int i = 2; i < 64; ++i) must((i >= 16 && i < 32) || (i >= 48 && i < 56) || bytes[i] == 0);
    *this = SoftwareTiles{};
    configured = true;
    for (int t = 0; t < kTiles; ++t) {
      rows[t] = bytes[48 + t], row_bytes[t] = bytes[16 + 2 * t] | bytes[17 + 2 * t] << 8;
      must(rows[t] <= kRows && row_bytes[t] <= 4 * kWords && (rows[t] == 0) == (row_bytes[t] == 0));
    }
  }
  void release() { *this = SoftwareTiles{}; }

  void zero(int t) {
    must(is_valid(t));
    __builtin_memset(tile[t], 0, sizeof tile[t]);
  }
  void load(int t, const void* from, ptrdiff_t stride) {
    zero(t);
    for (int r = 0; r < rows[t]; ++r)
      __builtin_memcpy(tile[t][r], (const char*)from + r * stride, size_t(row_bytes[t]));
  }
  void store(int t, void* to, ptrdiff_t stride) const {
    must(is_valid(t));
    for (int r = 0; r < rows[t]; ++r) __builtin_memcpy((char*)to + r * stride, tile[t][r], size_t(row_bytes[t]));
  }

  void check_product(int d, int a, int b) const {
    must(d != a && a != b && d != b && is_valid(d) && is_valid(a) && is_valid(b));
    must(columns(d) == columns(b) && rows[d] == rows[a] && columns(a) == rows[b]);
  }

  // As if FTZ and DAZ were set, whatever the thread's mode.
  static float without_subnormals(uint32_t bits) {
    if ((bits & 0x7F800000u) == 0) bits &= 0x80000000u;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  static float without_subnormals(float value) {
    uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return without_subnormals(bits);
  }

  // tdpbf16ps
  void dot_bfloat16(int d, int a, int b) {
    check_product(d, a, b);
    for (int m = 0; m < rows[d]; ++m) {
      float chain[2][kWords] = {};
      for (int k = 0; k < rows[b]; ++k) {
        for (int half = 0; half < 2; ++half) {
          const int shift = half == 0 ? 16 : 0;
          const float x = without_subnormals(tile[a][m][k] << shift & 0xFFFF0000u);
          for (int n = 0; n < columns(d); ++n) {
            const float y = without_subnormals(tile[b][k][n] << shift & 0xFFFF0000u);
            chain[half][n] = without_subnormals(__builtin_fmaf(x, y, chain[half][n]));
          }
        }
      }
      for (int n = 0; n < columns(d); ++n) {
        const float sum = without_subnormals(without_subnormals(tile[d][m][n]) +
                                             without_subnormals(chain[0][n] + chain[1][n]));
        __builtin_memcpy(&tile[d][m][n], &sum, sizeof sum);
      }
    }
  }

  // tdpbssd
  void dot_int8(int d, int a, int b) {
    check_product(d, a, b);
    for (int m = 0; m < rows[d]; ++m)
      for (int k = 0; k < rows[b]; ++k)
        for (int n = 0; n < columns(d); ++n)
          for (int shift = 0; shift < 32; shift += 8)
            tile[d][m][n] += uint32_t(int8_t(tile[a][m][k] >> shift) * int8_t(tile[b][k][n] >> shift));
  }
};
