// The kernels behind ops of graphs against their reference kernels in double, on misaligned arrays of odd and zero sizes.
#include "compare.hpp"

using namespace check;
using namespace densekit;

namespace {

const index_t kArraySizes[] = {0, 1, 3, 7, 16, 17, 33, 100};

bool is_quotient(ElementwiseKind kind) { return kind == ElementwiseKind::mod || kind == ElementwiseKind::floor_divide; }

}  // namespace

TEST(elementwise_formulas_and_their_slopes) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (int k = 0; k < int(ElementwiseKind::count); ++k) {
      const auto kind = ElementwiseKind(k);
      for (index_t n : kArraySizes) {
        for (int steps = 0; steps < 4; ++steps) {  // which of the first two operands go along
          Array<T> x[3] = {random_array<T>(random, n + 1, 0.25, 3), random_array<T>(random, n + 1, 0.25, 3),
                           random_array<T>(random, n + 1, -2, 2)};
          for (index_t i = 0; i < n; i += 3) {
            if (kind == ElementwiseKind::where || kind >= ElementwiseKind::logical_and) x[0][i] = 0;
            else x[0][i] = x[1][i];  // ties, but where a quotient would turn on its last bit
            if (is_quotient(kind)) x[0][i] = T(1.5) * x[1][i];
            if (kind == ElementwiseKind::prelu) x[0][i] = -x[0][i];
          }
          Operand<T> operands[3];
          Operand<double> wide[3];
          Array<double> w[3] = {widen(x[0]), widen(x[1]), widen(x[2])};
          for (int j = 0; j < 3; ++j) {
            const index_t step = j == 2 ? 1 : (steps >> j) & 1;
            operands[j] = {x[j].data(), step};
            wide[j] = {w[j].data(), step};
          }
          char what[64];
          std::snprintf(what, sizeof what, "%s/%d formula %d, %td elements", kernels.isa, int(sizeof(T)), k, n);
          Array<T> y(n, 2);
          Array<double> y_wide(n);
          kernels.elementwise(kind, n, operands, y.data());
          reference_kernels.elementwise(kind, n, wide, y_wide.data());
          CHECK(agree(y, y_wide, 16, 1, what));
          const Array<T> dy = random_array<T>(random, n, -1, 1);
          const Array<double> dy_wide = widen(dy);
          Array<T> d[3] = {Array<T>(n, 1), Array<T>(n, 1), Array<T>(n, 1)};
          Array<double> d_wide[3] = {Array<double>(n), Array<double>(n), Array<double>(n)};
          T* const to[3] = {d[0].data(), d[1].data(), d[2].data()};
          double* const to_wide[3] = {d_wide[0].data(), d_wide[1].data(), d_wide[2].data()};
          kernels.elementwise_backward(kind, n, operands, dy.data(), to);
          reference_kernels.elementwise_backward(kind, n, wide, dy_wide.data(), to_wide);
          for (int j = 0; j < (kind == ElementwiseKind::where ? 3 : 2); ++j) CHECK(agree(d[j], d_wide[j], 64, 1, what));
        }
      }
    }
  });
}

TEST(reductions_and_their_gradients) {
  struct Shape {
    index_t outer, n, inner;
  };
  const Shape shapes[] = {{0, 3, 1}, {1, 1, 1}, {5, 7, 1}, {3, 130, 1}, {2, 3, 5}, {3, 4, 17}, {1, 2, 64}};
  for_implementations([&](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (int k = 0; k < int(ReductionKind::count); ++k) {
      const auto kind = ReductionKind(k);
      for (const Shape& s : shapes) {
        const index_t n = s.outer * s.n * s.inner, results = s.outer * s.inner;
        Array<T> x = random_array<T>(random, n, -1.5, 1.5), y(results, 1), dx(n, 3);
        if (s.n > 2) {
          for (index_t i = 0; i + s.inner < n; i += 3 * s.inner) x[i + s.inner] = x[i];  // ties
        }
        if (kind == ReductionKind::prod && n > 4) x[4] = 0;
        const Array<T> dy = random_array<T>(random, results, -1, 1);
        const Array<double> x_wide = widen(x), dy_wide = widen(dy);
        Array<double> y_wide(results), dx_wide(n);
        char what[64];
        std::snprintf(what, sizeof what, "%s/%d reduction %d (%td, %td, %td)", kernels.isa, int(sizeof(T)), k, s.outer,
                      s.n, s.inner);
        kernels.reduce(kind, s.outer, s.n, s.inner, T(0.5), x.data(), y.data());
        reference_kernels.reduce(kind, s.outer, s.n, s.inner, 0.5, x_wide.data(), y_wide.data());
        CHECK(agree(y, y_wide, 16, double(s.n), what));
        y_wide = widen(y);  // the gradient of an extremum compares with it
        kernels.reduce_backward(kind, s.outer, s.n, s.inner, T(0.5), x.data(), y.data(), dy.data(), dx.data());
        reference_kernels.reduce_backward(kind, s.outer, s.n, s.inner, 0.5, x_wide.data(), y_wide.data(),
                                          dy_wide.data(), dx_wide.data());
        CHECK(agree(dx, dx_wide, 64, kind == ReductionKind::prod ? 8 : 1, what));
      }
    }
  });
}

TEST(normalizations_and_their_gradients) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (int k = 0; k < int(NormalizationKind::count); ++k) {
      const auto kind = NormalizationKind(k);
      for (index_t rows : {index_t(0), index_t(1), index_t(5)}) {
        for (index_t width : {index_t(1), index_t(3), index_t(16), index_t(33), index_t(130)}) {
          const double epsilon = kind == NormalizationKind::unit ? 1e-12 : 1e-3;
          const Array<T> x = random_array<T>(random, rows * width, -2, 2),
                         dy = random_array<T>(random, rows * width, -1, 1);
          const Array<T> gamma = random_array<T>(random, width, -1, 1), beta = random_array<T>(random, width, -1, 1);
          Array<T> y(rows * width, 1), stats(2 * rows, 1), dx(rows * width, 1),
              d_gamma = random_array<T>(random, width, -1, 1);
          const Array<double> xw = widen(x), dyw = widen(dy), gw = widen(gamma), bw = widen(beta);
          Array<double> yw(rows * width), sw(2 * rows), dxw(rows * width), dgw = widen(d_gamma);
          char what[64];
          std::snprintf(what, sizeof what, "%s/%d normalization %d (%td, %td)", kernels.isa, int(sizeof(T)), k, rows,
                        width);
          for (bool plain : {false, true}) {
            kernels.normalize(kind, rows, width, x.data(), plain ? nullptr : gamma.data(),
                              plain ? nullptr : beta.data(), epsilon, y.data(), stats.data());
            reference_kernels.normalize(kind, rows, width, xw.data(), plain ? nullptr : gw.data(),
                                        plain ? nullptr : bw.data(), epsilon, yw.data(), sw.data());
            CHECK(agree(y, yw, 64, 4, what));
            sw = widen(stats);
            kernels.normalize_backward(kind, rows, width, epsilon, x.data(), stats.data(),
                                       plain ? nullptr : gamma.data(), dy.data(), dx.data());
            reference_kernels.normalize_backward(kind, rows, width, epsilon, xw.data(), sw.data(),
                                                 plain ? nullptr : gw.data(), dyw.data(), dxw.data());
            CHECK(agree(dx, dxw, 256, width == 1 ? 64 : 8, what));
            kernels.normalize_gradient(rows, width, x.data(), stats.data(), dy.data(), d_gamma.data(), plain);
            reference_kernels.normalize_gradient(rows, width, xw.data(), sw.data(), dyw.data(), dgw.data(), plain);
            CHECK(agree(d_gamma, dgw, 64, 16, what));
          }
        }
      }
    }
  });
}

TEST(column_dots) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (index_t rows : {index_t(0), index_t(1), index_t(9)}) {
      for (index_t width : kArraySizes) {
        const Array<T> a = random_array<T>(random, rows * width, -1, 1),
                       b = random_array<T>(random, rows * width, -1, 1);
        Array<T> out = random_array<T>(random, width, -1, 1);
        Array<double> expected = widen(out);
        const Array<double> aw = widen(a), bw = widen(b);
        for (bool accumulate : {false, true}) {
          kernels.column_dots(rows, width, a.data(), b.data(), out.data(), accumulate);
          reference_kernels.column_dots(rows, width, aw.data(), bw.data(), expected.data(), accumulate);
          CHECK(agree(out, expected, 32, double(rows), "column_dots"));
        }
      }
    }
  });
}

// Anywhere in the tensor the same numbers, and those of the quantile found by bisection.
TEST(gaussian_numbers) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Array<T> all(301, 1);
    Array<double> expected(301);
    kernels.gaussian(301, 7, uint64_t(3) << 32 | 5, 0, all.data());
    reference_kernels.gaussian(301, 7, uint64_t(3) << 32 | 5, 0, expected.data());
    CHECK(agree(all, expected, 64, 1, "gaussian"));
    for (index_t first : {index_t(1), index_t(6), index_t(130)}) {
      Array<T> part(100, 3);
      kernels.gaussian(100, 7, uint64_t(3) << 32 | 5, uint64_t(first), part.data());
      bool same = true;
      for (index_t i = 0; i < 100; ++i) same = same && part[i] == all[first + i];
      CHECK(same);
    }
  });
}

CHECK_MAIN()
