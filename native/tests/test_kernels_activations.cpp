// The kernels of activations against their reference kernels in double, on misaligned arrays of odd and zero sizes.
#include "compare.hpp"

#include <cstring>

using namespace check;
using namespace densekit;

namespace {

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
      for (Shape b : kShapes) {
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

CHECK_MAIN()
