// The other kernels against their reference kernels in double, and the choice among instruction sets.
#include "compare.hpp"

#include <cstdlib>
#include <cstring>

using namespace check;
using namespace densekit;

TEST(dropout_is_philox_at_any_offset) {
  // Known answers of Philox4x32-10 from the Random123 distribution (kat_vectors).
  const uint32_t zeros[4] = {0, 0, 0, 0}, ones[4] = {~0u, ~0u, ~0u, ~0u};
  uint32_t out[4];
  philox4x32(zeros, zeros, out);
  CHECK(out[0] == 0x6627e8d5u && out[1] == 0xe169c58du && out[2] == 0xbc57ac4cu && out[3] == 0x9b00dbd8u);
  philox4x32(ones, ones, out);
  CHECK(out[0] == 0x408f276du && out[1] == 0x41c83b0eu && out[2] == 0xa20bc7c6u && out[3] == 0x6d5451fdu);
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    const Kernels<T>& plain = []() -> const Kernels<T>& {
      if constexpr (sizeof(T) == 4) return reference::table_f32;
      else return reference::table_f64;
    }();
    Random random;
    for (index_t n : kSizes) {
      for (uint64_t first : {uint64_t(0), uint64_t(3), uint64_t(64), uint64_t(0x3fffffff2), uint64_t(0xffffffffff1)}) {
        for (double rate : {0.0, 0.3, 0.5, 0.999, 1.0}) {
          const Array<T> x = random_array<T>(random, n, -1, 1);
          Array<T> y(n, 2), expected(n);
          kernels.dropout(n, x.data(), y.data(), rate, 0x123456789abcdefu, 77, first);
          plain.dropout(n, x.data(), expected.data(), rate, 0x123456789abcdefu, 77, first);
          bool equal = true;
          for (index_t i = 0; i < n; ++i) equal = equal && y[i] == expected[i];
          CHECK(equal);
        }
      }
    }
  });
}

TEST(elementwise_helpers) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (index_t n : kSizes) {
      Array<T> a = random_array<T>(random, n, -2, 2), b = random_array<T>(random, n, -2, 2, 2),
               d = random_array<T>(random, n, -1, 1, 3);
      for (index_t i = 0; i < n; i += 4) b[i] = a[i];
      if (n > 2) a[1] = 0, a[2] = T(NAN);
      const Array<double> a2 = widen(a), b2 = widen(b), d2 = widen(d);
      Array<T> y(n, 1);
      Array<double> y2(n);
      const auto both = [&](auto call, double scale) {
        call(kernels, a, b, d, y);
        call(reference_kernels, a2, b2, d2, y2);
        CHECK(agree(y, y2, 2, scale, kernels.isa));
      };
      both([n](auto& k, auto& u, auto& v, auto&, auto& o) { k.add(n, u.data(), v.data(), o.data()); }, 0);
      both([n](auto& k, auto& u, auto& v, auto&, auto& o) { k.subtract(n, u.data(), v.data(), o.data()); }, 0);
      both([n](auto& k, auto& u, auto& v, auto&, auto& o) { k.multiply(n, u.data(), v.data(), o.data()); }, 0);
      both([n](auto& k, auto& u, auto&, auto&, auto& o) { k.scale(n, u.data(), 3, o.data()); }, 0);
      both([n](auto& k, auto& u, auto& v, auto&, auto& o) { k.maximum(n, u.data(), v.data(), o.data()); }, 0);
      both([n](auto& k, auto& u, auto& v, auto&, auto& o) { k.minimum(n, u.data(), v.data(), o.data()); }, 0);
      both([n](auto& k, auto& u, auto&, auto&, auto& o) { k.add_scaled(n, u.data(), 2, o.data()); }, 4);
      both([n](auto& k, auto& u, auto&, auto&, auto& o) { k.l1l2_backward(n, u.data(), 0.25f, 0.5f, 2, o.data()); }, 4);
      for (bool is_max : {true, false}) {
        Array<T> da = d, db = d;
        Array<double> da2 = widen(d), db2 = widen(d);
        kernels.select_backward(n, is_max, a.data(), b.data(), d.data(), da.data(), db.data());
        reference_kernels.select_backward(n, is_max, a2.data(), b2.data(), d2.data(), da2.data(), db2.data());
        CHECK(agree(da, da2, 2, 1, kernels.isa));
        CHECK(agree(db, db2, 2, 1, kernels.isa));
      }
    }
    for (Shape s : kShapes) {
      const Array<T> x = random_array<T>(random, s.rows * s.width, -2, 2),
                     scale = random_array<T>(random, s.width, -2, 2), offset = random_array<T>(random, s.width, -2, 2);
      const Array<double> x2 = widen(x), scale2 = widen(scale), offset2 = widen(offset);
      for (int flags = 0; flags < 4; ++flags) {
        const index_t n_scale = flags & 1 ? s.width : 1, n_offset = flags & 2 ? s.width : 1;
        Array<T> y(x.size(), 1);
        Array<double> y2(x.size());
        kernels.affine(s.rows, s.width, x.data(), scale.data(), n_scale, offset.data(), n_offset, y.data());
        reference_kernels.affine(s.rows, s.width, x2.data(), scale2.data(), n_scale, offset2.data(), n_offset,
                                 y2.data());
        CHECK(agree(y, y2, 2, 4, kernels.isa));
      }
      for (bool accumulate : {false, true}) {
        Array<T> sums = random_array<T>(random, s.width, -1, 1);
        Array<double> sums2 = widen(sums);
        kernels.column_sums(s.rows, s.width, x.data(), sums.data(), accumulate);
        reference_kernels.column_sums(s.rows, s.width, x2.data(), sums2.data(), accumulate);
        CHECK(agree(sums, sums2, double(s.rows + 1), 2 * double(s.rows + 1), kernels.isa));
      }
    }
  });
}

TEST(sums_in_double) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (index_t n : {index_t(0), index_t(1), index_t(17), index_t(4096), index_t(4097), index_t(20000)}) {
      const Array<T> x = random_array<T>(random, n, -1, 1);
      const Array<double> x2 = widen(x);
      // Random-walk growth of the rounding errors of n additions, with a margin of 8.
      const double tolerance = 8 * kEps<double> * std::sqrt(double(n)) *
                               reference_kernels.sum_of_magnitudes(n, x2.data());
      CHECK(near(kernels.sum(n, x.data()), reference_kernels.sum(n, x2.data()), tolerance));
      CHECK(near(kernels.sum_of_squares(n, x.data()), reference_kernels.sum_of_squares(n, x2.data()), tolerance));
      CHECK(near(kernels.sum_of_magnitudes(n, x.data()), reference_kernels.sum_of_magnitudes(n, x2.data()), tolerance));
      if (n > 4096) {  // blocks add up to the whole, bit for bit
        double total = 0;
        for (index_t at = 0; at < n; at += 4096) total += kernels.sum(n - at < 4096 ? n - at : 4096, x.data() + at);
        CHECK(kernels.isa[0] == 'r' || total == kernels.sum(n, x.data()));
      }
    }
  });
}

TEST(conversion_from_every_type) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    const auto from = [&](char code, auto sample) {
      using S = decltype(sample);
      std::vector<unsigned char> bytes(37 * sizeof(S) + 1);
      Array<T> y(37, 1);
      Array<double> expected(37);
      for (int i = 0; i < 37; ++i) {
        const S value = S(S(i * 5) - S(S(-1) < S(0) ? 60 : 0));
        std::memcpy(bytes.data() + 1 + size_t(i) * sizeof(S), &value, sizeof(S));
        expected[i] = double(T(value));
      }
      kernels.convert(37, code, bytes.data() + 1, y.data());
      CHECK(agree(y, expected, 0, 0, &code));
    };
    from('b', static_cast<signed char>(0));
    from('B', static_cast<unsigned char>(0));
    from('h', short(0));
    from('H', static_cast<unsigned short>(0));
    from('i', 0);
    from('I', 0u);
    from('l', 0l);
    from('L', 0ul);
    from('q', 0ll);
    from('Q', 0ull);
    from('f', 0.0f);
    from('d', 0.0);
    const unsigned char flags[3] = {0, 1, 255};
    Array<T> y(3);
    kernels.convert(3, '?', flags, y.data());
    CHECK(y[0] == 0 && y[1] == 1 && y[2] == 1);
    Array<uint16_t> halves(65536);
    Array<T> from_half(65536);
    Array<double> expected(65536);
    for (int i = 0; i < 65536; ++i) halves[i] = uint16_t(i);
    kernels.convert(65536, 'e', halves.data(), from_half.data());
    reference_kernels.convert(65536, 'e', halves.data(), expected.data());
    CHECK(agree(from_half, expected, 0, 0, "half"));
  });
}

TEST(the_comparison_refuses_a_wrong_answer) {
  Array<float> got(3);
  Array<double> expected(3);
  got[1] = 1, expected[1] = 1;
  CHECK(agree(got, expected, 1, 0, nullptr));
  got[1] = 1.001f;
  CHECK(!agree(got, expected, 8, 1, nullptr));
  got[1] = NAN;
  CHECK(!agree(got, expected, 8, 1, nullptr));
  got[1] = INFINITY;
  CHECK(!agree(got, expected, 8, 1, nullptr));
  CHECK(!agree(Array<float>(2), expected, 8, 1, nullptr));
}

TEST(the_registry_is_ordered_and_forceable) {
  int count = 0;
  const Implementation* const* all = implementations(&count);
  CHECK(count >= 2);
  const char* forced = std::getenv("DENSEKIT_ISA");
  if (forced && *forced) {
    CHECK(active_implementation() ? std::strcmp(active_implementation()->name, forced) == 0
                                  : implementation_error() != nullptr);
  } else {
    int first = 0;
    while (!all[first]->supported()) ++first;
    CHECK(active_implementation() == all[first] && !implementation_error());
  }
  for (int i = 0; i < count; ++i) CHECK(std::strcmp(all[i]->f32->isa, all[i]->name) == 0 && all[i]->f64->lanes > 0);
}

CHECK_MAIN()
