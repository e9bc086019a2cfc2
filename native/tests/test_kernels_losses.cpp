// The kernels of losses against their reference kernels, with and without weights, targets in every form.
#include "compare.hpp"

#include <cstring>

using namespace check;
using namespace densekit;

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
        for (Shape b : kShapes) {
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
        for (Shape b : kShapes) {
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

CHECK_MAIN()
