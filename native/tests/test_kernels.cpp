// Every kernel of every instruction set against its reference kernel in double, on misaligned arrays of odd and zero sizes.
// One case a kernel, in the order of the table.
#include "check.hpp"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "kernels/reference/reference.hpp"

using namespace check;
using namespace densekit;

namespace {

const Kernels<double>& reference_kernels = reference::table_f64;
const index_t kSizes[] = {0, 1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 100, 257};
struct Block {
  index_t rows, width;
};
const Block kBlocks[] = {{0, 3}, {3, 1},   {1, 1},  {32, 1}, {37, 1}, {5, 2},
                         {4, 3}, {32, 10}, {3, 16}, {7, 17}, {2, 33}, {3, 130}};

template <class T>
Array<T> random_array(Random& random, index_t n, double low, double high, index_t shift = 1) {
  Array<T> a(n, shift);
  for (index_t i = 0; i < n; ++i) a[i] = T(random.uniform(low, high));
  return a;
}
template <class T>
Array<double> widen(const Array<T>& a) {
  Array<double> w(a.size());
  for (index_t i = 0; i < a.size(); ++i) w[i] = a[i];
  return w;
}

// |got - expected| <= ulps * eps * (|expected| + scale): `scale` is the size of the intermediates.
template <class T>
bool agree(const Array<T>& got, const Array<double>& expected, double ulps, double scale, const char* what) {
  if (got.size() != expected.size()) return false;
  for (index_t i = 0; i < got.size(); ++i) {
    if (near(got[i], expected[i], ulps * kEps<T> * (std::fabs(expected[i]) + scale))) continue;
    if (what) std::printf("%s: element %td is %.17g, expected %.17g\n", what, i, double(got[i]), expected[i]);
    return false;
  }
  return true;
}

std::vector<ActivationSpec> all_activations() {
  std::vector<ActivationSpec> all;
  for (int k = 0; k < int(ActivationKind::count); ++k) {
    const ActivationKind kind = ActivationKind(k);
    switch (kind) {
      case ActivationKind::relu:
        for (double slope : {0.0, 0.25})
          for (double highest : {double(INFINITY), 6.0, 1.5})
            for (double threshold : {0.0, 0.5, -0.5}) all.push_back({kind, {slope, highest, threshold}});
        break;
      case ActivationKind::gelu:
        all.push_back({kind, {0}});
        all.push_back({kind, {1}});
        break;
      case ActivationKind::elu:
      case ActivationKind::celu: all.push_back({kind, {1.5}}); break;
      case ActivationKind::squareplus: all.push_back({kind, {4}}); break;
      case ActivationKind::threshold: all.push_back({kind, {0.5, -3}}); break;
      default: all.push_back({kind, {0.5}});
    }
  }
  return all;
}

}  // namespace

TEST(activations_and_their_gradients) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (const ActivationSpec& s : all_activations()) {
      for (Block b : kBlocks) {
        if (s.kind == ActivationKind::glu && b.width % 2) continue;
        const index_t n = b.rows * b.width, out = s.kind == ActivationKind::glu ? n / 2 : n;
        Array<T> z = random_array<T>(random, n, -4, 4);
        const T kinks[] = {0, T(-0.0), 1, -1, T(0.5), T(-0.5), 3, -3, 6, T(1.5), 30, -30};
        for (index_t i = 0; i < n && i < 12; ++i)
          if (n > 12) z[i] = kinks[i];
        Array<T> y(out, 3), dz(n, 2);
        const Array<T> dy = random_array<T>(random, out, -1, 1);
        Array<double> y_reference(out), dz_reference(n);
        const Array<double> z_reference = widen(z), dy_reference = widen(dy);
        char what[64];
        std::snprintf(what, sizeof what, "%s/%d activation %d (%td, %td)", kernels.isa, int(sizeof(T)), int(s.kind),
                      b.rows, b.width);
        kernels.activate(s, b.rows, b.width, z.data(), y.data());
        reference_kernels.activate(s, b.rows, b.width, z_reference.data(), y_reference.data());
        CHECK(agree(y, y_reference, 8,
                    s.kind == ActivationKind::tanh_shrink || s.kind >= ActivationKind::softmax ? 8 : 1, what));
        const SavedForBackward saved = saved_for_backward(s);
        kernels.activate_backward(s, b.rows, b.width, saved.pre ? z.data() : nullptr, saved.post ? y.data() : nullptr,
                                  dy.data(), dz.data());
        reference_kernels.activate_backward(s, b.rows, b.width, z_reference.data(), y_reference.data(),
                                            dy_reference.data(), dz_reference.data());
        CHECK(agree(dz, dz_reference, 16, s.kind == ActivationKind::log_softmax ? double(b.width) + 8 : 2, what));
        if (s.kind != ActivationKind::glu) {  // in place, both ways
          Array<T> same = z, d_same = dy;
          kernels.activate(s, b.rows, b.width, same.data(), same.data());
          kernels.activate_backward(s, b.rows, b.width, saved.pre ? z.data() : nullptr,
                                    saved.post ? same.data() : nullptr, d_same.data(), d_same.data());
          for (index_t i = 0; i < n; ++i) CHECK(std::memcmp(&same[i], &y[i], sizeof(T)) == 0);
          for (index_t i = 0; i < n; ++i) CHECK(near(d_same[i], dz[i], 0));
        }
      }
    }
  });
}

TEST(activations_of_nan_and_infinity) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    for (const ActivationSpec& s : all_activations()) {
      if (takes_whole_rows(s.kind)) continue;
      Array<T> z(20), y(20);
      Array<double> y_reference(20);
      for (index_t i = 0; i < 20; ++i) z[i] = T(i % 3 == 0 ? INFINITY : i % 3 == 1 ? -INFINITY : NAN);
      kernels.activate(s, 20, 1, z.data(), y.data());
      const Array<double> z_reference = widen(z);
      reference_kernels.activate(s, 20, 1, z_reference.data(), y_reference.data());
      if (s.kind == ActivationKind::gelu || s.kind == ActivationKind::mish || s.kind == ActivationKind::celu) continue;
      char what[64];
      std::snprintf(what, sizeof what, "%s/%d activation %d of inf and nan", kernels.isa, int(sizeof(T)), int(s.kind));
      CHECK(agree(y, y_reference, 4, 0, what));
    }
    // A masked class: -inf has probability 0 and hands back no NaN.
    const ActivationSpec softmax = {ActivationKind::softmax, {}};
    Array<T> z(3), y(3);
    z[0] = 1, z[1] = T(-INFINITY), z[2] = 1;
    kernels.activate(softmax, 1, 3, z.data(), y.data());
    CHECK(near(y[0], 0.5, kEps<T>) && y[1] == 0 && y[2] == y[0]);
    z[0] = T(NAN);
    kernels.activate(softmax, 1, 3, z.data(), y.data());
    CHECK(std::isnan(y[0]) && std::isnan(y[2]));
  });
}

TEST(crossentropies_and_squares) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    const double epsilon = 1e-7;
    for (int k = 0; k <= int(LossKind::sparse_categorical_crossentropy); ++k) {
      for (int flags = 0; flags < 8; ++flags) {
        const bool logits = flags & 1, weighted = flags & 2, special = flags & 4;
        LossSpec s{LossKind(k), {logits ? 1.0 : 0.0, special ? 0.1 : 0.0, epsilon}};
        const bool sparse = s.kind == LossKind::sparse_categorical_crossentropy;
        const bool regression = s.kind == LossKind::mean_squared_error || s.kind == LossKind::mean_absolute_error;
        if (sparse) s.p[1] = special ? 1 : NAN;
        for (Block b : kBlocks) {
          const index_t n = b.rows * b.width;
          Array<T> t = random_array<T>(random, n, 0, 1), w = random_array<T>(random, b.rows, 0, 2);
          Array<T> p = random_array<T>(random, n, logits || regression ? -5 : 0, logits || regression ? 5 : 1);
          Array<int32_t> labels(b.rows);
          for (index_t r = 0; r < b.rows; ++r)
            labels[r] = int32_t(r % 5 == 4 ? b.width + 2 : random.below(int(b.width)));
          for (index_t i = 0; i < n; ++i) {
            if (i % 3 == 0) t[i] = T(i % 2);
            if (!logits && !regression && b.width != 1 && i % 7 == 3) p[i] = T(i % 2);
            if (regression && i % 5 == 0) p[i] = t[i];
          }
          Array<T> row_loss(b.rows, 1), dy(n, 1), dz(n, 3), y(n, 2), row_loss_2(b.rows, 2);
          Array<double> row_reference(b.rows), dy_reference(n), dz_reference(n), y_reference(n),
              row_reference_2(b.rows);
          const Array<double> t_reference = widen(t), p_reference = widen(p), w_reference = widen(w);
          char what[96];
          std::snprintf(what, sizeof what, "%s/%d loss %d flags %d (%td, %td)", kernels.isa, int(sizeof(T)), k, flags,
                        b.rows, b.width);
          LossSpec rounded = s;  // the clip's ends as T has them
          if (!logits) rounded.p[2] = double(T(epsilon));
          kernels.loss(s, b.rows, b.width, t.data(), labels.data(), p.data(), weighted ? w.data() : nullptr, T(0.25),
                       row_loss.data(), dy.data());
          if (sizeof(T) == 4 && !logits && !regression) {
            // Clipping at 1 - eps differs between types; the float reference clips as float does.
            Array<float> row_f(b.rows), dy_f(n), t_f(n), p_f(n), w_f(b.rows);
            for (index_t i = 0; i < n; ++i) t_f[i] = float(t[i]), p_f[i] = float(p[i]);
            for (index_t i = 0; i < b.rows; ++i) w_f[i] = float(w[i]);
            reference::table_f32.loss(s, b.rows, b.width, t_f.data(), labels.data(), p_f.data(),
                                      weighted ? w_f.data() : nullptr, 0.25f, row_f.data(), dy_f.data());
            row_reference = widen(row_f), dy_reference = widen(dy_f);
          } else {
            reference_kernels.loss(rounded, b.rows, b.width, t_reference.data(), labels.data(), p_reference.data(),
                                   weighted ? w_reference.data() : nullptr, 0.25, row_reference.data(),
                                   dy_reference.data());
          }
          // 1 - c rounds to eps/2 absolutely; next to the clip that is eps / epsilon relative. Hence the large scale.
          const double scale = logits || regression ? 30 : 40 + double(b.width);
          CHECK(agree(row_loss, row_reference, 8, scale, what));
          double largest = 0;
          for (index_t i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(dy_reference[i]));
          CHECK(agree(dy, dy_reference, 16, 2 + largest * (logits || regression ? 1 : 4), what));
          if (regression) continue;
          kernels.loss_from_logits(s, b.rows, b.width, t.data(), labels.data(), p.data(), weighted ? w.data() : nullptr,
                                   T(0.25), row_loss_2.data(), y.data(), dz.data());
          reference_kernels.loss_from_logits(s, b.rows, b.width, t_reference.data(), labels.data(), p_reference.data(),
                                             weighted ? w_reference.data() : nullptr, 0.25, row_reference_2.data(),
                                             y_reference.data(), dz_reference.data());
          CHECK(agree(row_loss_2, row_reference_2, 8, 30, what));
          CHECK(agree(y, y_reference, 16, 0, what));
          CHECK(agree(dz, dz_reference, 16, 2 + double(b.width), what));
          Array<T> in_place = p;
          kernels.loss_from_logits(s, b.rows, b.width, t.data(), labels.data(), in_place.data(), nullptr, T(1),
                                   row_loss_2.data(), in_place.data(), nullptr);
          for (index_t i = 0; i < n; ++i) CHECK(in_place[i] == y[i]);
        }
      }
    }
  });
}

// The other losses: where targets and predictions come from, and how large the terms are that a row adds up.
struct LossCase {
  LossSpec spec;
  double low, high;  // predictions
  bool integers;     // targets: whole numbers in 0..1, else anything in low..high
  double scale;
};
const double kNone = NAN, kEpsilon = 1e-7;
const LossCase kLossCases[] = {
    {{LossKind::mean_absolute_percentage_error, {kEpsilon}}, -5, 5, false, 0},
    {{LossKind::mean_squared_logarithmic_error, {kEpsilon}}, -0.5, 5, false, 8},
    {{LossKind::huber, {1}}, -5, 5, false, 50},
    {{LossKind::huber, {0.25}}, -5, 5, false, 50},
    {{LossKind::log_cosh, {}}, -5, 5, false, 10},
    {{LossKind::poisson, {kEpsilon}}, 0.01, 5, false, 50},
    {{LossKind::kl_divergence, {kEpsilon}}, 0, 1, false, 40},
    {{LossKind::cosine_similarity, {kEpsilon}}, -5, 5, false, 2},
    {{LossKind::hinge, {0}}, -2, 2, false, 8},
    {{LossKind::hinge, {1}}, -2, 2, true, 4},
    {{LossKind::squared_hinge, {0}}, -2, 2, false, 30},
    {{LossKind::squared_hinge, {1}}, -2, 2, true, 10},
    {{LossKind::categorical_hinge, {}}, -5, 5, true, 30},
    {{LossKind::binary_focal_crossentropy, {0, 0, kEpsilon, 2, kNone}}, 0, 1, true, 60},
    {{LossKind::binary_focal_crossentropy, {0, 0.1, kEpsilon, 1.5, 0.25}}, 0, 1, true, 60},
    {{LossKind::binary_focal_crossentropy, {1, 0.1, kEpsilon, 0, 0.25}}, -4, 4, true, 100},
    {{LossKind::categorical_focal_crossentropy, {0, 0, kEpsilon, 2, 0.25}}, 0.01, 1, true, 60},
    {{LossKind::categorical_focal_crossentropy, {0, 0.1, kEpsilon, 1.5, 1}}, 0.01, 1, true, 60},
    {{LossKind::categorical_focal_crossentropy, {1, 0.1, kEpsilon, 2, 0.25}}, -4, 4, true, 60},
    {{LossKind::categorical_generalized_cross_entropy, {0.5, kNone}}, 0.01, 1, true, 4},
    {{LossKind::categorical_generalized_cross_entropy, {0.75, 1}}, 0.01, 1, true, 4},
    {{LossKind::dice, {kEpsilon}}, 0, 1, true, 4},
    {{LossKind::tversky, {0.25, 0.75, kEpsilon}}, 0, 1, true, 4},
};

TEST(every_loss_has_a_case) {
  for (int k = int(LossKind::sparse_categorical_crossentropy) + 1; k < int(LossKind::count); ++k) {
    bool found = false;
    for (const LossCase& c : kLossCases) found = found || c.spec.kind == LossKind(k);
    CHECK(found);
  }
}

TEST(further_losses_and_their_gradients) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    const Kernels<T>& plain = []() -> const Kernels<T>& {
      if constexpr (sizeof(T) == 4) return reference::table_f32;
      else return reference::table_f64;
    }();
    for (const LossCase& c : kLossCases) {
      for (bool weighted : {false, true}) {
        for (Block b : kBlocks) {
          const index_t n = b.rows * b.width;
          Array<T> t = random_array<T>(random, n, c.low, c.high), p = random_array<T>(random, n, c.low, c.high);
          const Array<T> w = random_array<T>(random, b.rows, 0, 2);
          Array<int32_t> labels(b.rows);
          for (index_t r = 0; r < b.rows; ++r) labels[r] = int32_t(random.below(int(b.width)));
          for (index_t i = 0; i < n; ++i) {
            if (c.integers) t[i] = T(random.below(2));
            const bool probability = c.low == 0 && c.high == 1;
            if (!c.integers && i % 5 == 0) p[i] = t[i];  // no error
            if (c.spec.kind == LossKind::huber && i % 7 == 3) p[i] = t[i] + T(c.spec.p[0]);
            if (takes_plus_minus_labels(c.spec.kind) && i % 7 == 3) t[i] = 1, p[i] = 1;  // on the margin
            if (c.spec.kind == LossKind::categorical_hinge && i % 2) p[i] = T(4);        // ties
            if (probability && b.width > 2 && i % 7 == 3) p[i] = T(i % 2);               // beyond the clip
          }
          Array<T> rows(b.rows, 1), alone(b.rows, 2), d(n, 3), rows_plain(b.rows), d_plain(n);
          char what[96];
          std::snprintf(what, sizeof what, "%s/%d loss %d weighted %d (%td, %td)", kernels.isa, int(sizeof(T)),
                        int(c.spec.kind), weighted, b.rows, b.width);
          const T* weights = weighted ? w.data() : nullptr;
          kernels.loss(c.spec, b.rows, b.width, t.data(), labels.data(), p.data(), weights, T(0.25), rows.data(),
                       d.data());
          kernels.loss(c.spec, b.rows, b.width, t.data(), labels.data(), p.data(), weights, T(0.25), alone.data(),
                       nullptr);
          // The reference kernel of the same type: it works in double, and clips where this type clips.
          plain.loss(c.spec, b.rows, b.width, t.data(), labels.data(), p.data(), weights, T(0.25), rows_plain.data(),
                     d_plain.data());
          const Array<double> d_expected = widen(d_plain);
          double largest = 0;
          for (index_t i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(d_expected[i]));
          CHECK(agree(rows, widen(rows_plain), 8 + double(b.width) / 8, c.scale, what));
          CHECK(agree(d, d_expected, 16 + double(b.width) / 8, 2 + 4 * largest, what));
          for (index_t r = 0; r < b.rows; ++r) CHECK(std::memcmp(&rows[r], &alone[r], sizeof(T)) == 0);
        }
      }
    }
  });
}

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
    for (Block s : kBlocks) {
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

TEST(adafactor_follows_rows_and_columns) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    const OptimizerSpec spec{OptimizerKind::adafactor, {-0.8, 1e-30, 1e-3, 1}};
    for (index_t rows : {1, 5, 33}) {
      for (index_t width : {1, 7, 16, 50}) {
        for (bool factored : {false, true}) {
          const index_t n = rows * width;
          Array<T> g = random_array<T>(random, n, -1, 1), v = random_array<T>(random, n, 0.5, 1);
          Array<T> r = random_array<T>(random, rows, 0.5, 1), c = random_array<T>(random, width, 0.5, 1);
          Array<double> g2 = widen(g), v2 = widen(v), r2 = widen(r), c2 = widen(c);
          const double squares = kernels.adafactor(spec, 0.75, rows, width, g.data(), v.data(),
                                                   factored ? r.data() : nullptr, factored ? c.data() : nullptr);
          const double expected = reference_kernels.adafactor(spec, 0.75, rows, width, g2.data(), v2.data(),
                                                              factored ? r2.data() : nullptr,
                                                              factored ? c2.data() : nullptr);
          char what[64];
          std::snprintf(what, sizeof what, "%s/%d adafactor %ld x %ld", kernels.isa, int(sizeof(T)), long(rows),
                        long(width));
          CHECK(agree(g, g2, 16, 1, what));
          CHECK(agree(v, v2, 16, 1, what));
          CHECK(agree(r, r2, 16, 1, what));
          CHECK(agree(c, c2, 16, 1, what));
          CHECK(near(squares, expected, 1e-5 * expected));
        }
      }
    }
    // A silent row and a silent column: their product is below the least float32.
    T g[4] = {0, 0, 0, 1}, v[4] = {}, r[2] = {}, c[2] = {};
    kernels.adafactor(spec, 0, 2, 2, g, v, r, c);
    CHECK(g[0] == 0 && g[1] == 0 && g[2] == 0 && std::fabs(g[3] - 1) < 1);
  });
}

TEST(optimizers) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    std::vector<OptimizerSpec> specs;
    specs.push_back({OptimizerKind::sgd, {0, 0}});
    specs.push_back({OptimizerKind::sgd, {0.9, 0}});
    specs.push_back({OptimizerKind::sgd, {0.9, 1}});
    for (double momentum : {0.0, 0.5})
      for (double centered : {0.0, 1.0}) specs.push_back({OptimizerKind::rmsprop, {0.9, momentum, 1e-3, centered}});
    specs.push_back({OptimizerKind::adam, {0.9, 0.999, 1e-7, 0}});
    specs.push_back({OptimizerKind::adam, {0.9, 0.999, 1e-7, 1}});
    specs.push_back({OptimizerKind::adagrad, {1e-7}});
    specs.push_back({OptimizerKind::adadelta, {0.95, 1e-7}});
    specs.push_back({OptimizerKind::adamax, {0.9, 0.999, 1e-7}});
    specs.push_back({OptimizerKind::nadam, {0.9, 0.999, 1e-7}});
    specs.push_back({OptimizerKind::lion, {0.9, 0.99}});
    specs.push_back({OptimizerKind::ftrl, {-0.5, 0, 0, 0, 0}});
    specs.push_back({OptimizerKind::ftrl, {-0.5, 0.25, 0.5, 0.125, 1}});
    specs.push_back({OptimizerKind::ftrl, {-0.75, 0.25, 0.5, 0, 0}});
    specs.push_back({OptimizerKind::lamb, {0.9, 0.999, 1e-7}});
    specs.push_back({OptimizerKind::adafactor, {-0.8, 1e-30, 1e-3, 1}});
    specs.push_back({OptimizerKind::muon, {0.9, 0.999, 1e-7, 0.5, 0.95, 1}});
    specs.push_back({OptimizerKind::muon, {0.9, 0.999, 1e-7, 0, 0.95, 1}});  // 0: a matrix, see below
    specs.push_back({OptimizerKind::muon, {0.9, 0.999, 1e-7, 0, 0.5, 0}});
    specs.push_back({OptimizerKind::schedule_free, {0.9, 0.999, 1e-8, 0}});
    specs.push_back({OptimizerKind::schedule_free, {0.75, 0.999, 1e-8, 20}});
    std::vector<bool> seen(std::size_t(OptimizerKind::count));
    for (const OptimizerSpec& s : specs) seen[std::size_t(s.kind)] = true;
    for (bool kind : seen) CHECK(kind);
    for (OptimizerSpec s : specs) {
      for (int flags = 0; flags < 32; ++flags) {
        s.clip_value = flags & 2 ? 0.3 : 0;
        s.ema_momentum = flags & 4 ? 0.75 : -1;
        for (index_t n : {index_t(0), index_t(5), index_t(33)}) {
          Array<T> w = random_array<T>(random, n, -1, 1), g = random_array<T>(random, n, -1, 1, 2), ema = w;
          Array<T> slots[3] = {random_array<T>(random, n, 0, 1), random_array<T>(random, n, 0, 1),
                               random_array<T>(random, n, 0, 1)};
          if (s.kind == OptimizerKind::rmsprop && s.p[3] != 0)  // a mean square is at least the square of the mean
            for (Array<T>& slot : slots)
              for (index_t i = 0; i < n; ++i) slot[i] = &slot == &slots[0] ? slot[i] + T(2) : slot[i] * T(0.1);
          if (n) w[0] = 0;
          Array<double> w2 = widen(w), g2 = widen(g), ema2 = widen(ema),
                        slots2[3] = {widen(slots[0]), widen(slots[1]), widen(slots[2])};
          Array<T> direction(n);
          Array<double> direction2(n);
          const auto fill = [&](auto& u, auto& w, auto& g, auto& ema, auto(&slots)[3], auto& direction) {
            u.direction = direction.data();
            u.n = n, u.w = w.data(), u.g = g.data(), u.ema = flags & 4 ? ema.data() : nullptr;
            for (int i = 0; i < 3; ++i) u.slot[i] = slots[i].data();
            u.learning_rate = 0.125f, u.step = 7, u.product = 0.125f, u.power[0] = power(s.p[0], 7),
            u.power[1] = power(s.p[1], 7);
            if (flags & 8) u.l1 = 0.25f, u.l2 = 0.125f, u.clip_scale = 0.5f;
            u.clamp = flags & 16, u.low = -0.25f, u.high = 0.5f;
            u.weight_decay = flags & 1 && flags != 3 ? 0.1 : 0;
            if (s.kind == OptimizerKind::muon && s.p[3] == 0) u.slot[1] = nullptr;
          };
          Update<T> u;
          Update<double> u2;
          fill(u, w, g, ema, slots, direction);
          fill(u2, w2, g2, ema2, slots2, direction2);
          kernels.update(s, u);
          reference_kernels.update(s, u2);
          char what[64];
          std::snprintf(what, sizeof what, "%s/%d optimizer %d flags %d", kernels.isa, int(sizeof(T)), int(s.kind),
                        flags);
          CHECK(agree(w, w2, 16, 1, what));
          CHECK(agree(ema, ema2, 16, 1, what));
          CHECK(agree(direction, direction2, 16, 1, what));
          for (int i = 0; i < 3; ++i) CHECK(agree(slots[i], slots2[i], 8, 1, what));
        }
      }
    }
  });
}

TEST(constraints) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (Block b : kBlocks) {
      for (double axis : {-1.0, 0.0, 1.0}) {
        const ConstraintSpec specs[] = {{ConstraintKind::none, {}},
                                        {ConstraintKind::non_neg, {}},
                                        {ConstraintKind::clip, {-0.5, 0.25}},
                                        {ConstraintKind::max_norm, {0.75, axis, 1e-7}},
                                        {ConstraintKind::min_max_norm, {0.5, 0.75, 0.5, axis, 1e-7}},
                                        {ConstraintKind::unit_norm, {axis, 1e-7}}};
        for (const ConstraintSpec& s : specs) {
          Array<T> w = random_array<T>(random, b.rows * b.width, -1, 1);
          Array<double> w2 = widen(w);
          kernels.constrain(s, b.rows, b.width, w.data());
          reference_kernels.constrain(s, b.rows, b.width, w2.data());
          CHECK(agree(w, w2, 8 + double(w.size()), 0, kernels.isa));
        }
      }
    }
  });
}

TEST(orthogonal_regularizer) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    for (Block b : {Block{2, 3}, Block{5, 20}, Block{20, 5}, Block{17, 33}}) {
      for (double mode : {0.0, 1.0}) {
        const RegularizerSpec s{RegularizerKind::orthogonal, {0.5, mode}};
        const Array<T> w = random_array<T>(random, b.rows * b.width, -1, 1);
        Array<T> g = random_array<T>(random, w.size(), -1, 1);
        const index_t size = mode != 0 ? b.width : b.rows;
        Array<T> scratch(size * size + w.size());
        const Array<double> w2 = widen(w);
        Array<double> g2 = widen(g), scratch2(scratch.size());
        const double got = kernels.orthogonal(s, b.rows, b.width, w.data(), g.data(), scratch.data());
        const double expected = reference_kernels.orthogonal(s, b.rows, b.width, w2.data(), g2.data(), scratch2.data());
        CHECK(near(got, expected, 100 * kEps<T>));
        CHECK(near(kernels.orthogonal(s, b.rows, b.width, w.data(), nullptr, scratch.data()), expected, 100 * kEps<T>));
        CHECK(agree(g, g2, 200, 1, kernels.isa));
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

TEST(an_element_does_not_depend_on_its_place) {
  for_implementations([](const auto& kernels, auto type) {
    using T = decltype(type);
    Random random;
    const Array<T> z = random_array<T>(random, 50, -3, 3);
    for (const ActivationSpec& s : all_activations()) {
      if (takes_whole_rows(s.kind)) continue;
      Array<T> all(50), one(50);
      kernels.activate(s, 1, 50, z.data(), all.data());
      for (index_t i = 0; i < 50; ++i) kernels.activate(s, 1, 1, z.data() + i, one.data() + i);
      for (index_t i = 0; i < 50; ++i) CHECK(std::memcmp(&all[i], &one[i], sizeof(T)) == 0);
    }
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
