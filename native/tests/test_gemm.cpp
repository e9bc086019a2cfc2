#include "check.hpp"
#include "kernels/reference/reference.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace check;
using densekit::Gemm;
using densekit::Implementation;
using densekit::Kernels;

namespace {

struct Shape {
  index_t m, n, k;
};

const Shape kShapes[] = {{0, 3, 4},     {3, 0, 4},    {3, 4, 0},    {1, 1, 1},    {1, 1, 33},   {1, 10, 64},
                         {1, 128, 784}, {1, 300, 7},  {2, 16, 16},  {3, 17, 5},   {5, 31, 3},   {6, 64, 32},
                         {7, 65, 29},   {13, 1, 20},  {16, 3, 64},  {16, 32, 20}, {17, 10, 64}, {31, 129, 33},
                         {32, 48, 16},  {33, 7, 700}, {64, 10, 10}, {65, 80, 2},  {100, 1, 1},  {784, 16, 4},
                         {20, 32, 32},  {48, 97, 513}};

template <class T>
struct Problem {
  Shape s;
  Array<T> a, b, bias, c;
  Gemm<T> g;
  Problem(Shape s, bool a_transposed, bool b_transposed, bool with_bias, bool accumulate, bool relu, index_t shift,
          Random& random)
      : s(s), a(s.m * s.k + 7, shift), b(s.k * s.n + 5, shift), bias(s.n, shift), c(s.m * (s.n + 2), shift) {
    for (T& x : a.store) x = T(random.uniform(-1, 1));
    for (T& x : b.store) x = T(random.uniform(-1, 1));
    for (T& x : bias.store) x = T(random.uniform(-1, 1));
    for (T& x : c.store) x = T(random.uniform(-1, 1));
    g.m = s.m, g.n = s.n, g.k = s.k;
    g.a = a.data(), g.a_row = a_transposed ? 1 : s.k, g.a_col = a_transposed ? s.m : 1;
    g.b = b.data(), g.b_row = b_transposed ? 1 : s.n, g.b_col = b_transposed ? s.k : 1;
    g.c = c.data(), g.c_row = s.n + 2;
    g.bias = with_bias ? bias.data() : nullptr;
    g.accumulate = accumulate, g.relu = relu;
  }
};

template <class T>
void run(const Kernels<T>& kernels, const Gemm<T>& g) {
  const index_t need = kernels.gemm_scratch(g);
  T* scratch = static_cast<T*>(std::aligned_alloc(64, size_t(need * index_t(sizeof(T)) + 63) / 64 * 64 + 64));
  kernels.gemm(g, need ? scratch : nullptr);
  std::free(scratch);
}

// |error| <= (k + 3) eps (|a||b| + |c| + |bias|), the bound of a chain of k FMAs.
template <class T>
bool agrees(const Gemm<T>& g, const Array<T>& before, const T* c) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      const double start = g.accumulate ? double(before[i * g.c_row + j]) : 0;
      double sum = start, size = std::fabs(start);
      for (index_t p = 0; p < g.k; ++p) {
        const double term = double(g.a[i * g.a_row + p * g.a_col]) * g.b[p * g.b_row + j * g.b_col];
        sum += term, size += std::fabs(term);
      }
      if (g.bias) sum += g.bias[j], size += std::fabs(g.bias[j]);
      if (g.relu && sum < 0) sum = 0;
      if (!near(c[i * g.c_row + j], sum, double(g.k + 3) * kEps<T> * size)) {
        std::printf("C[%td,%td] = %.9g, expected %.9g (m %td n %td k %td a_row %td b_row %td)\n", i, j,
                    double(c[i * g.c_row + j]), sum, g.m, g.n, g.k, g.a_row, g.b_row);
        return false;
      }
    }
    for (index_t j = g.n; j < g.c_row; ++j)  // nothing written between the rows
      if (c[i * g.c_row + j] != before[i * g.c_row + j]) return false;
  }
  return true;
}

}  // namespace

TEST(every_shape_and_layout_agrees_with_the_definition) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (Shape s : kShapes) {
      for (int flags = 0; flags < 32; flags += thinning() > 1 ? 3 : 1) {
        Problem<T> p(s, flags & 1, flags & 2, flags & 4, flags & 8, flags & 16, flags % 5, random);
        const Array<T> before = p.c;
        run(kernels, p.g);
        CHECK(agrees(p.g, before, p.c.data()));
      }
    }
  });
}

TEST(large_product_in_blocks_of_k) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (int flags = 0; flags < 8; ++flags) {
      Problem<T> p({70, 75, 1300}, flags & 1, flags & 2, true, flags & 4, true, 3, random);
      const Array<T> before = p.c;
      run(kernels, p.g);
      CHECK(agrees(p.g, before, p.c.data()));
    }
  });
}

// B too large for a cache: streamed for few rows of C, packed a panel ahead for many, by rows or transposed. A row alone has the same bits.
TEST(operands_in_no_cache) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (Shape s : {Shape{1, 611, 467}, Shape{2, 611, 467}, Shape{3, 611, 467}, Shape{3, 119, 4500}, Shape{9, 611, 467},
                    Shape{100, 611, 467}, Shape{101, 611, 467}, Shape{33, 75, 4003}}) {
      const index_t rows = s.m;
      Problem<T> p(s, rows == 9, rows == 101 || rows == 33, rows != 3, rows == 2, rows != 3, 1, random);
      const Array<T> before = p.c;
      if (rows == 9)
        p.g.prefetch[0] = p.b.data(), p.g.prefetch[1] = p.a.data(), p.g.prefetch_size = 1000;  // asks, changes nothing
      run(kernels, p.g);
      CHECK(agrees(p.g, before, p.c.data()));
      Array<T> alone = before;
      Gemm<T> last = p.g;
      last.m = 1, last.a += (rows - 1) * last.a_row, last.c = alone.data() + (rows - 1) * last.c_row;
      run(kernels, last);
      CHECK(std::memcmp(last.c, &p.c[(rows - 1) * p.g.c_row], size_t(p.g.n) * sizeof(T)) == 0);
    }
  });
}

TEST(bits_do_not_depend_on_rows_columns_or_a_cut_of_k) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (Shape s : {Shape{37, 45, 300}, Shape{16, 128, 64}, Shape{64, 10, 33}, Shape{70, 130, 1100}}) {
      for (int flags = 0; flags < 4; ++flags) {
        Problem<T> p(s, flags & 1, flags & 2, true, false, true, 1, random);
        run(kernels, p.g);
        const auto same = [&](const Array<T>& c) {
          bool equal = true;
          for (index_t i = 0; i < s.m; ++i)
            equal = equal && std::memcmp(&c[i * p.g.c_row], &p.c[i * p.g.c_row], size_t(s.n) * sizeof(T)) == 0;
          return equal;
        };
        Array<T> c(p.c.size(), 2);
        for (index_t i = 0; i < s.m; ++i) {  // row by row
          Gemm<T> one = p.g;
          one.m = 1, one.a += i * one.a_row, one.c = c.data() + i * one.c_row;
          run(kernels, one);
        }
        CHECK(same(c));
        for (index_t j = 0; j < s.n; j += 7) {  // seven columns at a time
          Gemm<T> some = p.g;
          some.n = s.n - j < 7 ? s.n - j : 7;
          some.b += j * some.b_col, some.bias += j, some.c = c.data() + j;
          run(kernels, some);
        }
        CHECK(same(c));
        Gemm<T> head = p.g, rest = p.g;  // K in two calls
        head.k = 13, head.bias = nullptr, head.relu = false, head.c = rest.c = c.data();
        rest.k -= 13, rest.a += 13 * rest.a_col, rest.b += 13 * rest.b_row, rest.accumulate = true;
        run(kernels, head);
        run(kernels, rest);
        CHECK(same(c));
      }
    }
  });
}

// B^T cut into panels of 16 columns, 5 elements between them, has the bits of B^T in one piece.
TEST(panels_change_no_bit) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    constexpr index_t kPanel = 16;
    for (Shape s : {Shape{1, 1, 16}, Shape{3, 7, 48}, Shape{40, 1, 32}, Shape{64, 130, 64}, Shape{5, 200, 1120},
                    Shape{200, 5, 1120}, Shape{40, 300, 1120}}) {
      for (int flags = 0; flags < 4; ++flags) {
        Problem<T> p(s, flags & 1, true, false, flags & 2, false, 1, random);
        const Array<T> before = p.c;
        const index_t stride = s.n * kPanel + 5;
        Array<T> pieces(s.k / kPanel * stride, 3);
        for (index_t k = 0; k < s.k; ++k)
          for (index_t j = 0; j < s.n; ++j) pieces[k / kPanel * stride + j * kPanel + k % kPanel] = p.b[j * s.k + k];
        Gemm<T> panels = p.g;
        Array<T> c = p.c;
        panels.b = pieces.data(), panels.b_col = kPanel, panels.b_panel = kPanel, panels.b_panel_stride = stride;
        panels.c = c.data();
        run(kernels, panels);
        run(kernels, p.g);
        CHECK(agrees(p.g, before, p.c.data()));
        bool equal = true;
        for (index_t i = 0; i < s.m; ++i)
          equal = equal && std::memcmp(&c[i * p.g.c_row], &p.c[i * p.g.c_row], size_t(s.n) * sizeof(T)) == 0;
        CHECK(equal);
      }
    }
  });
}

TEST(nan_and_infinity_pass_through) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    Problem<T> p({5, 20, 9}, false, false, true, false, true, 0, random);
    p.a[2 * 9 + 3] = T(NAN);
    p.b[4 * 20 + 19] = T(INFINITY);
    run(kernels, p.g);
    for (index_t j = 0; j < 20; ++j) CHECK(std::isnan(p.c[2 * 22 + j]));
    for (index_t i = 0; i < 5; ++i) CHECK(!std::isfinite(p.c[i * 22 + 19]) || p.c[i * 22 + 19] == 0);
  });
}

TEST(the_comparison_refuses_a_wrong_answer) {
  Random random;
  const Kernels<float>& kernels = *densekit::active_implementation()->f32;
  Problem<float> p({9, 21, 50}, false, false, false, false, false, 0, random);
  const Array<float> before = p.c;
  run(kernels, p.g);
  CHECK(agrees(p.g, before, p.c.data()));
  Array<float> wrong = p.c;
  wrong[3 * 23 + 4] += 1e-3f;
  CHECK(!agrees(p.g, before, wrong.data()));
  wrong = p.c;
  wrong[22] = 5;  // between two rows
  CHECK(!agrees(p.g, before, wrong.data()));
  wrong = p.c;
  wrong[0] = NAN;
  CHECK(!agrees(p.g, before, wrong.data()));
}

// ---- Products in bfloat16

namespace {

float rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

void run_bfloat16(const Kernels<float>& kernels, const Gemm<float>& g, const uint32_t* packed = nullptr) {
  Array<float> scratch(kernels.bfloat16_scratch(g, packed != nullptr) + 16, 0, NAN);
  float* aligned = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  kernels.bfloat16_gemm(g, packed, aligned);
}

// The definition, to the bit: blocks of 32 steps of k on rounded operands, each two chains of 16 in float32.
bool is_bfloat16_product(const Gemm<float>& g, const Array<float>& before, const float* c) {
  for (index_t i = 0; i < g.m; ++i) {
    for (index_t j = 0; j < g.n; ++j) {
      float sum = g.accumulate ? before[i * g.c_row + j] : 0;
      for (index_t block = 0; block < g.k; block += 32) {
        float chain[2] = {0, 0};
        for (index_t p = block; p < std::min(g.k, block + 32); ++p)
          chain[(p - block) / 16] = std::fma(rounded(g.a[i * g.a_row + p * g.a_col]),
                                             rounded(g.b[p * g.b_row + j * g.b_col]), chain[(p - block) / 16]);
        sum += chain[0] + chain[1];
      }
      sum = rounded(sum);
      if (g.bias) sum = rounded(sum + rounded(g.bias[j]));
      if (g.relu && sum < 0) sum = 0;
      if (c[i * g.c_row + j] != sum) {
        std::printf("C[%td,%td] = %.9g, expected %.9g (m %td n %td k %td)\n", i, j, double(c[i * g.c_row + j]),
                    double(sum), g.m, g.n, g.k);
        return false;
      }
    }
    for (index_t j = g.n; j < g.c_row; ++j)
      if (c[i * g.c_row + j] != before[i * g.c_row + j]) return false;
  }
  return true;
}

// Calls f for the float kernels of every implementation this CPU can run.
template <class F>
void for_float(F f) {
  for_implementations([&](const auto& kernels, auto type) {
    if constexpr (sizeof(type) == 4) f(kernels);
  });
}

// B packed in blocks of rows and columns, as threads would.
std::vector<uint32_t> pack_in_parts(const Kernels<float>& kernels, const Gemm<float>& g, index_t rows,
                                    index_t columns) {
  std::vector<uint32_t> packed(size_t(kernels.bfloat16_packed(g.k, g.n)), 0xFFFFFFFFu);
  for (index_t p = 0; p < g.k; p += rows)
    for (index_t j = 0; j < g.n; j += columns)
      kernels.bfloat16_pack(g.b + p * g.b_row + j * g.b_col, g.b_row, g.b_col, g.k, g.n, p, std::min(p + rows, g.k), j,
                            std::min(j + columns, g.n), packed.data());
  return packed;
}

}  // namespace

TEST(bfloat16_products_are_blocks_of_two_chains_of_rounded_operands) {
  for_float([](const Kernels<float>& kernels) {
    Random random;
    for (Shape s : kShapes) {
      for (int flags = 0; flags < 32; flags += thinning() > 1 ? 3 : 1) {
        Problem<float> p(s, flags & 1, flags & 2, flags & 4, flags & 8, flags & 16, flags % 5, random);
        const Array<float> before = p.c;
        run_bfloat16(kernels, p.g);
        CHECK(is_bfloat16_product(p.g, before, p.c.data()));
      }
    }
    for (index_t m = 1; m <= 64; m += thinning()) {  // every tail of rows, columns and k
      const index_t n = 1 + random.below(70), k = 1 + random.below(70);
      for (int flags = 0; flags < 4; ++flags) {
        Problem<float> p({m, n, k}, flags & 1, flags & 2, true, false, false, 1, random);
        const Array<float> before = p.c;
        run_bfloat16(kernels, p.g);
        CHECK(is_bfloat16_product(p.g, before, p.c.data()));
      }
    }
    Problem<float> blocks({9, 70, 4500}, false, false, true, true, true, 0, random);
    const Array<float> before = blocks.c;
    run_bfloat16(kernels, blocks.g);
    CHECK(is_bfloat16_product(blocks.g, before, blocks.c.data()));
  });
}

TEST(bfloat16_bits_do_not_depend_on_rows_columns_or_packing) {
  for_float([](const Kernels<float>& kernels) {
    Random random;
    for (Shape s : {Shape{37, 45, 301}, Shape{16, 128, 64}, Shape{64, 10, 33}, Shape{70, 200, 2300}}) {
      for (int flags = 0; flags < 4; flags += thinning() > 1 ? 3 : 1) {
        Problem<float> p(s, flags & 1, flags & 2, true, false, true, 1, random);
        run_bfloat16(kernels, p.g);
        const auto same = [&](const Array<float>& c) {
          bool equal = true;
          for (index_t i = 0; i < s.m; ++i)
            equal = equal && std::memcmp(&c[i * p.g.c_row], &p.c[i * p.g.c_row], size_t(s.n) * sizeof(float)) == 0;
          return equal;
        };
        Array<float> c(p.c.size(), 2);
        const std::vector<uint32_t> packed = pack_in_parts(kernels, p.g, 6, 16);
        Gemm<float> whole = p.g;
        whole.b = nullptr, whole.c = c.data();
        run_bfloat16(kernels, whole, packed.data());
        CHECK(same(c));
        const std::vector<uint32_t> other = pack_in_parts(kernels, p.g, s.k + s.k % 2, 48);
        for (index_t i = 0; i < s.m; ++i) {  // row by row, by panels of columns
          for (index_t j = 0; j < s.n; j += densekit::kBfloat16Panel) {
            Gemm<float> one = whole;
            one.m = 1, one.a += i * one.a_row, one.c = c.data() + i * one.c_row + j;
            one.n = std::min(densekit::kBfloat16Panel, s.n - j), one.bias += j;
            run_bfloat16(kernels, one, other.data() + kernels.bfloat16_packed(s.k, j));
          }
        }
        CHECK(same(c));
      }
    }
  });
}

TEST(bfloat16_rounds_to_nearest_even_and_keeps_nan_and_infinity) {
  for_float([](const Kernels<float>& kernels) {
    const float x[] = {1.0f,      1.00390625f, 1.01171875f, -1.005f, 3.4e38f, 3.39e38f, INFINITY,
                       -INFINITY, 0.0f,        -0.0f,       NAN,     257,     1e-30f};
    constexpr index_t n = sizeof(x) / sizeof(float);
    float y[n];
    kernels.bfloat16_round(n, x, y);
    for (index_t i = 0; i < n; ++i) {
      if (std::isnan(x[i])) CHECK(std::isnan(y[i]));
      else CHECK(y[i] == rounded(x[i]) && std::signbit(y[i]) == std::signbit(x[i]));
    }
    CHECK(y[1] == 1.0f && y[2] == 1.015625f && std::isinf(y[4]));
    Random random;
    Problem<float> p({5, 20, 9}, false, false, true, false, true, 0, random);
    p.a[2 * 9 + 3] = NAN;
    p.b[4 * 20 + 19] = INFINITY;
    run_bfloat16(kernels, p.g);
    for (index_t j = 0; j < 20; ++j) CHECK(std::isnan(p.c[2 * 22 + j]));
    for (index_t i = 0; i < 5; ++i) CHECK(!std::isfinite(p.c[i * 22 + 19]) || p.c[i * 22 + 19] == 0);
  });
}

TEST(float16_rounds_to_nearest_even_down_to_its_smallest_step) {
  for_float([](const Kernels<float>& kernels) {
    Random random;
    std::vector<float> x = {1.0f,    1.00048828125f, 1.00146484375f, 65504,           65519.9f, 65520,
                            -65536,  1e9f,           INFINITY,       -INFINITY,       0.0f,     -0.0f,
                            NAN,     2049,           2051,           1e-8f,           2.9e-8f,  3.1e-8f,
                            6.0e-5f, 6.2e-5f,        -1e-7f,         6.103515625e-05f};
    for (int i = 0; i < 1000; ++i) x.push_back(float(random.uniform(-1, 1) * std::ldexp(1.0, random.below(50) - 30)));
    std::vector<float> y(x.size()), expected(x.size());
    kernels.float16_round(index_t(x.size()), x.data(), y.data());
    densekit::reference::table_f32.float16_round(index_t(x.size()), x.data(), expected.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) CHECK(std::isnan(y[i]));
      else CHECK(y[i] == expected[i] && std::signbit(y[i]) == std::signbit(x[i]));
    }
    CHECK(y[1] == 1.0f && y[2] == 1.001953125f && y[3] == 65504 && y[4] == 65504 && std::isinf(y[5]) && y[13] == 2048);
    CHECK(y[15] == 0 && y[16] == 0 && y[17] == 0x1p-24f);
  });
}

CHECK_MAIN()
