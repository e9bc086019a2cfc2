// Products of int8: whole numbers to the last one on every instruction set, bits that depend on nothing else.
#include <algorithm>
#include <cstring>

#include "check.hpp"

using namespace densekit;
using check::Random;

namespace {

struct Problem {
  index_t m, n, k;
  std::vector<float> x, scale, bias;
  std::vector<int8_t> kernel;

  Problem(index_t m_, index_t n_, index_t k_, Random& random) : m(m_), n(n_), k(k_) {
    x.resize(size_t(m * k)), scale.resize(size_t(n)), bias.resize(size_t(n)), kernel.resize(size_t(k * n));
    for (float& v : x) v = float(random.uniform(-3, 3));
    for (float& v : scale) v = float(random.uniform(10, 90));
    for (float& v : bias) v = float(random.uniform(-1, 1));
    for (int8_t& v : kernel) v = int8_t(random.below(255) - 127);
  }
};

std::vector<float> run(const Kernels<float>& kernels, const Problem& p, bool bias, index_t first = 0,
                       index_t rows = -1) {
  if (rows < 0) rows = p.m;
  const index_t words = kernels.int8_words(p.k);
  std::vector<uint8_t> packed(size_t(kernels.int8_packed(p.k, p.n)), 0xAA);
  kernels.int8_pack(p.k, p.n, p.kernel.data(), packed.data());
  std::vector<uint32_t> a(size_t(rows * words), 0xAAAAAAAAu);
  std::vector<float> a_scale(static_cast<size_t>(rows)), c(size_t(rows * (p.n + 3)), -7.0f);
  for (index_t i = 0; i < rows; ++i) {
    kernels.int8_quantize(p.k, p.x.data() + (first + i) * p.k, 1e-7f, -127.0f, 127.0f, a.data() + i * words,
                          &a_scale[size_t(i)]);
  }
  Int8Gemm<float> g;
  g.m = rows, g.n = p.n, g.k = p.k, g.a = a.data(), g.a_scale = a_scale.data(), g.b = packed.data();
  g.b_scale = p.scale.data(), g.bias = bias ? p.bias.data() : nullptr, g.c = c.data(), g.c_row = p.n + 3;
  kernels.int8_gemm(g);
  std::vector<float> result;
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < 3; ++j) CHECK(c[size_t(i * (p.n + 3) + p.n + j)] == -7.0f);  // nothing behind a row
    result.insert(result.end(), c.begin() + i * (p.n + 3), c.begin() + i * (p.n + 3) + p.n);
  }
  return result;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<const Kernels<float>*> all() {
  int count = 0;
  const Implementation* const* found = implementations(&count);
  std::vector<const Kernels<float>*> kernels;
  for (int i = 0; i < count; ++i)
    if (found[i]->supported()) kernels.push_back(found[i]->f32);
  return kernels;
}

}  // namespace

TEST(int8_products_are_those_of_the_reference_to_the_last_bit) {
  Random random;
  const Kernels<float>& reference = *all().back();
  CHECK(std::strcmp(reference.isa, "reference") == 0);
  const index_t sizes[][3] = {{1, 1, 1},   {1, 10, 7},    {2, 16, 4},     {3, 17, 5},    {5, 63, 8},    {6, 64, 64},
                              {7, 65, 33}, {13, 80, 100}, {12, 128, 127}, {33, 130, 70}, {4, 300, 513}, {25, 48, 2048}};
  for (const auto& s : sizes) {
    const Problem p(s[0], s[1], s[2], random);
    for (const bool bias : {false, true}) {
      const std::vector<float> wanted = run(reference, p, bias);
      for (const Kernels<float>* kernels : all()) CHECK(same(run(*kernels, p, bias), wanted));
    }
  }
}

TEST(int8_bits_do_not_depend_on_the_rows_of_the_call) {
  Random random;
  const Problem p(29, 75, 96, random);
  for (const Kernels<float>* kernels : all()) {
    const std::vector<float> whole = run(*kernels, p, true);
    for (index_t first = 0; first < p.m; first += 5) {
      const index_t rows = std::min<index_t>(5, p.m - first);
      const std::vector<float> part = run(*kernels, p, true, first, rows);
      CHECK(std::memcmp(part.data(), whole.data() + first * p.n, part.size() * sizeof(float)) == 0);
    }
  }
}

TEST(int8_sums_of_the_largest_numbers_do_not_run_over) {
  Random random;
  Problem p(2, 17, 100000, random);
  for (float& v : p.x) v = 1.0f;
  for (index_t j = 0; j < p.k; ++j) p.x[size_t(p.k + j)] = -1.0f;
  for (int8_t& v : p.kernel) v = 127;
  for (const Kernels<float>* kernels : all()) {
    const std::vector<float> y = run(*kernels, p, false);
    for (index_t j = 0; j < p.n; ++j) {
      const float scale = 127.0f / (1.0f + 1e-7f);
      CHECK(y[size_t(j)] == float(127 * 127 * 100000) / (p.scale[size_t(j)] * scale));
      CHECK(y[size_t(p.n + j)] == -y[size_t(j)]);
    }
  }
}

TEST(int8_rows_are_rounded_to_even_and_kept_in_their_range) {
  // With the largest value 127 and no epsilon the scale is 1.
  const float x[] = {127, 0.5f, 1.5f, -2.5f, -0.5f, -127, 3.49f, -3.51f, 0};
  const int8_t wanted[] = {127, 0, 2, -2, 0, -127, 3, -4, 0};
  const index_t k = 9, n = 9;
  std::vector<int8_t> identity(size_t(k * n), 0);
  for (index_t i = 0; i < k; ++i) identity[size_t(i * n + i)] = 1;
  const std::vector<float> ones(size_t(n), 1.0f);
  for (const Kernels<float>* kernels : all()) {
    std::vector<uint8_t> packed(size_t(kernels->int8_packed(k, n)));
    kernels->int8_pack(k, n, identity.data(), packed.data());
    std::vector<uint32_t> a(size_t(kernels->int8_words(k)));
    for (const float low : {-127.0f, -2.0f}) {
      float scale = 0, y[9];
      kernels->int8_quantize(k, x, 0.0f, low, 127.0f, a.data(), &scale);
      CHECK(scale == 1.0f);
      Int8Gemm<float> g;
      g.m = 1, g.n = n, g.k = k, g.a = a.data(), g.a_scale = &scale, g.b = packed.data(), g.b_scale = ones.data();
      g.c = y, g.c_row = n;
      kernels->int8_gemm(g);
      for (index_t j = 0; j < n; ++j) CHECK(y[j] == std::max(float(wanted[j]), low));
    }
  }
}

TEST(int8_rows_that_are_not_finite_are_nan_and_zeros_stay_zeros) {
  Random random;
  Problem p(3, 20, 40, random);
  p.x[5] = NAN;
  p.x[40 + 39] = INFINITY;
  std::fill(p.x.begin() + 80, p.x.end(), 0.0f);
  for (const Kernels<float>* kernels : all()) {
    const std::vector<float> y = run(*kernels, p, true);
    for (index_t j = 0; j < 2 * p.n; ++j) CHECK(std::isnan(y[size_t(j)]));
    for (index_t j = 0; j < p.n; ++j) CHECK(y[size_t(2 * p.n + j)] == p.bias[size_t(j)]);
  }
}

CHECK_MAIN()
