// The kernels that change weights against their reference kernels: optimizers, constraints, penalties.
#include "compare.hpp"

using namespace check;
using namespace densekit;

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
    for (Shape b : kShapes) {
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
    for (Shape b : {Shape{2, 3}, Shape{5, 20}, Shape{20, 5}, Shape{17, 33}}) {
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

CHECK_MAIN()
