// Single functions on arrays that Python computes with.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "by_type.hpp"
#include "ops/ops.hpp"

namespace densekit::bindings {
namespace {

nb::object mean_loss(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle y_pred,
                     double divisor, nb::handle weights) {
  LossSpec spec = loss_spec(kind, params);
  return by_type(y_pred, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(y_pred);
    const bool weighted = !weights.is_none();
    nb::object held;
    const T* weight = nullptr;
    if (weighted) {
      held = to_array(weights, type_number(std::is_same_v<T, double>), p.rows, "weights");
      weight = static_cast<const T*>(array_data(held));
    }
    const Targets<T> t(spec, y_true, p);
    if (takes_plus_minus_labels(spec.kind)) spec.p[0] = all_zero_one(p.rows * p.width, t.dense.data);
    std::vector<T> rows(static_cast<std::size_t>(p.rows));
    nb::object d = new_matrix<T>(p.rows, p.width);
    const T scale = static_cast<T>(1.0 / divisor);
    // Weighted as in a plan that trains, whose kernel multiplies the weight by the scale.
    kernels<T>().loss(spec, p.rows, p.width, t.dense.data, t.labels, p.data, weight, weighted ? scale : T(1),
                      rows.data(), out<T>(d));
    double total = 0.0;
    for (index_t r = 0; r < p.rows; ++r) {
      const auto row = static_cast<double>(rows[static_cast<std::size_t>(r)]);
      total += weighted ? row * static_cast<double>(weight[r]) : row;
    }
    for (index_t i = 0; i < p.rows * p.width && !weighted; ++i) out<T>(d)[i] *= scale;
    return nb::object(nb::make_tuple(total / divisor, d));
  });
}

// Below this much work (multiply-adds, about 10 us) a product neither wakes threads nor lets others have the GIL.
constexpr double kProductWork = 2.5e5;

// Some rows or some columns for each thread, whichever there are more of: an element's chain is the same.
template <class T>
void run_split(const Gemm<T>& whole, PoolLease& pool) {
  const bool by_rows = whole.m > whole.n;
  const index_t n = by_rows ? whole.m : whole.n, share = share_of(n, pool.workers(), kUnitGrain);
  pool.run_workers(pool.workers(), true, [&](int worker) {
    const index_t first = worker * share, some = std::min(share, n - first);
    if (some <= 0) return;
    FlushDenormals flush;
    Gemm<T> g = whole;
    (by_rows ? g.m : g.n) = some;
    (by_rows ? g.a : g.b) += first * (by_rows ? g.a_row : g.b_col);
    g.c += first * (by_rows ? g.c_row : 1);
    run_gemm(kernels<T>(), g);
  });
}

nb::object matmul(nb::handle a, nb::handle b, bool transpose_a, bool transpose_b) {
  return by_type(a, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> left = matrix<T>(a), right = matrix<T>(b);
    Gemm<T> g;
    g.m = transpose_a ? left.width : left.rows;
    g.k = transpose_a ? left.rows : left.width;
    g.n = transpose_b ? right.rows : right.width;
    require_shape(g.k == (transpose_b ? right.width : right.rows), "matmul");
    g.a = left.data;
    g.a_row = transpose_a ? 1 : left.width;
    g.a_col = transpose_a ? left.width : 1;
    g.b = right.data;
    g.b_row = transpose_b ? 1 : right.width;
    g.b_col = transpose_b ? right.width : 1;
    nb::object c = new_matrix<T>(g.m, g.n);
    g.c = out<T>(c);
    g.c_row = g.n;
    if (static_cast<double>(g.m * g.n) * static_cast<double>(g.k) < kProductWork) {
      run_gemm(kernels<T>(), g);
      return c;
    }
    const nb::gil_scoped_release no_gil;
    // What a plan computes in Python between its regions splits its products over the threads that the run holds.
    if (PoolLease* held = PoolLease::of_this_thread()) {
      run_split(g, *held);
    } else {
      PoolLease own;
      run_split(g, own);
    }
    return c;
  });
}

nb::object permutation(uint64_t key, uint64_t counter, index_t n, index_t block) {
  if (n < 0 || n >= index_t{1} << 32) throw nb::value_error("permutation: n must lie in [0, 2^32).");
  if (block < 1) throw nb::value_error("permutation: block must be 1 or more.");
  nb::object order = new_array(NPY_INT64, {n});
  auto* to = out<int64_t>(order);
  const nb::gil_scoped_release release;
  densekit::permutation(key, counter, n, block, to);
  return order;
}

}  // namespace

void bind_functions(nb::module_& m) {
  m.def("mean_loss", mean_loss, nb::arg("kind"), nb::arg("params"), nb::arg("y_true"), nb::arg("y_pred"),
        nb::arg("divisor"), nb::arg("weights") = nb::none(),
        nb::sig("def mean_loss(kind: str, params: Sequence[float], y_true: Array, y_pred: Array, divisor: float, "
                "weights: Array | None = None) -> tuple[float, Array]"),
        "(sum of the rows' losses, each times its weight, / divisor, its gradient).");
  m.def("matmul", matmul, nb::arg("a"), nb::arg("b"), nb::arg("transpose_a") = false, nb::arg("transpose_b") = false,
        nb::sig("def matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array"),
        "a @ b.");
  m.def("permutation", permutation, nb::arg("key"), nb::arg("counter"), nb::arg("n"), nb::arg("block"),
        nb::sig("def permutation(key: int, counter: int, n: int, block: int) -> Array"),
        "0..n-1 in a random order, shuffled inside every `block` of them.");
}

}  // namespace densekit::bindings
