// Single formulas on arrays: for tests of the kernels against their definitions, and for eager use.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <type_traits>

#include "plan.hpp"
#include "runtime/float_mode.hpp"
#include "runtime/names.hpp"

namespace densekit::bindings {
namespace {

using Doubles = std::vector<double>;

template <class T>
const Kernels<T>& kernels() {
  const Implementation* active = active_implementation();
  if (active == nullptr) throw std::runtime_error(implementation_error());
  if constexpr (std::is_same_v<T, float>) return *active->f32;
  else return *active->f64;
}

template <class T>
constexpr int type_of() {
  return type_number(std::is_same_v<T, double>);
}

// Calls f(T{}) with the element type of `x`, which must be a float32 or float64 array.
template <class F>
nb::object by_type(nb::handle x, F f) {
  if (!is_array(x)) throw nb::type_error("expected a NumPy array.");
  FlushDenormals flush;
  if (PyArray_TYPE(as_array(x)) == NPY_FLOAT) return f(float{});
  if (PyArray_TYPE(as_array(x)) == NPY_DOUBLE) return f(double{});
  throw nb::type_error("expected an array of float32 or float64.");
}

// A C-contiguous matrix; keeps what it reads alive.
template <class T>
struct Matrix {
  nb::object holder;
  index_t rows = 0, width = 0;
  const T* data = nullptr;
};

template <class T>
Matrix<T> matrix(nb::handle object, const char* what) {
  PyObject* array = PyArray_FROMANY(object.ptr(), type_of<T>(), 2, 2, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
  if (array == nullptr) nb::raise_python_error();
  Matrix<T> m;
  m.holder = nb::steal(array);
  m.rows = PyArray_DIM(as_array(m.holder), 0);
  m.width = PyArray_DIM(as_array(m.holder), 1);
  m.data = static_cast<const T*>(array_data(m.holder));
  (void)what;
  return m;
}

template <class T>
nb::object new_matrix(index_t rows, index_t width) {
  return new_array(type_of<T>(), {rows, width});
}
template <class T>
T* out(nb::handle array) {
  return static_cast<T*>(array_data(array));
}

void require_shape(bool fits, const char* what) {
  if (!fits) throw nb::value_error((std::string(what) + ": the shapes do not fit together.").c_str());
}

nb::object activation(const std::string& kind, const Doubles& params, nb::handle x) {
  const ActivationSpec spec = activation_spec(kind, params);
  return by_type(x, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> z = matrix<T>(x, "x");
    const bool half = halves_width(spec.kind);
    require_shape(!half || z.width % 2 == 0, "activation");
    nb::object y = new_matrix<T>(z.rows, half ? z.width / 2 : z.width);
    kernels<T>().activate(spec, z.rows, z.width, z.data, out<T>(y));
    return y;
  });
}

nb::object activation_gradient(const std::string& kind, const Doubles& params, nb::handle x, nb::handle dy) {
  const ActivationSpec spec = activation_spec(kind, params);
  return by_type(x, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> z = matrix<T>(x, "x"), d = matrix<T>(dy, "dy");
    const index_t width = halves_width(spec.kind) ? z.width / 2 : z.width;
    require_shape(d.rows == z.rows && d.width == width, "activation_gradient");
    const nb::object y = new_matrix<T>(z.rows, width);
    nb::object dx = new_matrix<T>(z.rows, z.width);
    kernels<T>().activate(spec, z.rows, z.width, z.data, out<T>(y));
    kernels<T>().activate_backward(spec, z.rows, z.width, z.data, out<T>(y), d.data, out<T>(dx));
    return dx;
  });
}

// Targets of a loss as the kernels take them; labels are checked against the width.
template <class T>
struct Targets {
  Matrix<T> dense;
  nb::object labels_holder;
  const int32_t* labels = nullptr;

  Targets(const LossSpec& spec, nb::handle y_true, const Matrix<T>& y_pred) {
    if (!takes_labels(spec.kind)) {
      dense = matrix<T>(y_true, "y_true");
      require_shape(dense.rows == y_pred.rows && dense.width == y_pred.width, "loss");
      return;
    }
    labels_holder = to_array(y_true, NPY_INT32, y_pred.rows, "labels");
    labels = static_cast<const int32_t*>(array_data(labels_holder));
    for (index_t r = 0; r < y_pred.rows; ++r) {
      const bool legal = (labels[r] >= 0 && labels[r] < y_pred.width) || labels[r] == spec.p[1];
      if (!legal) throw nb::value_error("A class label is outside 0..classes-1.");
    }
  }
};

nb::object loss(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle y_pred) {
  LossSpec spec = loss_spec(kind, params);
  return by_type(y_pred, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(y_pred, "y_pred");
    const Targets<T> t(spec, y_true, p);
    if (takes_plus_minus_labels(spec.kind)) spec.p[0] = all_zero_one(p.rows * p.width, t.dense.data);
    nb::object rows = new_array(type_of<T>(), {p.rows});
    kernels<T>().loss(spec, p.rows, p.width, t.dense.data, t.labels, p.data, nullptr, T(1), out<T>(rows), nullptr);
    return rows;
  });
}

nb::object loss_gradient(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle y_pred) {
  LossSpec spec = loss_spec(kind, params);
  return by_type(y_pred, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(y_pred, "y_pred");
    const Targets<T> t(spec, y_true, p);
    if (takes_plus_minus_labels(spec.kind)) spec.p[0] = all_zero_one(p.rows * p.width, t.dense.data);
    const nb::object rows = new_array(type_of<T>(), {p.rows});
    nb::object d = new_matrix<T>(p.rows, p.width);
    kernels<T>().loss(spec, p.rows, p.width, t.dense.data, t.labels, p.data, nullptr, T(1), out<T>(rows), out<T>(d));
    return d;
  });
}

nb::object mean_loss(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle y_pred,
                     double divisor) {
  LossSpec spec = loss_spec(kind, params);
  return by_type(y_pred, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(y_pred, "y_pred");
    const Targets<T> t(spec, y_true, p);
    if (takes_plus_minus_labels(spec.kind)) spec.p[0] = all_zero_one(p.rows * p.width, t.dense.data);
    std::vector<T> rows(static_cast<std::size_t>(p.rows));
    nb::object d = new_matrix<T>(p.rows, p.width);
    kernels<T>().loss(spec, p.rows, p.width, t.dense.data, t.labels, p.data, nullptr, T(1), rows.data(), out<T>(d));
    double total = 0.0;
    for (const T row : rows) total += static_cast<double>(row);
    const T scale = static_cast<T>(1.0 / divisor);
    for (index_t i = 0; i < p.rows * p.width; ++i) out<T>(d)[i] *= scale;
    return nb::object(nb::make_tuple(total / divisor, d));
  });
}

nb::object loss_from_logits(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle z) {
  const LossSpec spec = loss_spec(kind, params);
  if (spec.kind != LossKind::binary_crossentropy && spec.kind != LossKind::categorical_crossentropy &&
      spec.kind != LossKind::sparse_categorical_crossentropy) {
    throw nb::value_error("loss_from_logits: only for the plain cross-entropies.");
  }
  return by_type(z, [&](auto tag) -> nb::object {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(z, "z");
    const Targets<T> t(spec, y_true, p);
    const nb::object rows = new_array(type_of<T>(), {p.rows}), y = new_matrix<T>(p.rows, p.width),
                     d = new_matrix<T>(p.rows, p.width);
    kernels<T>().loss_from_logits(spec, p.rows, p.width, t.dense.data, t.labels, p.data, nullptr, T(1), out<T>(rows),
                                  out<T>(y), out<T>(d));
    return nb::make_tuple(rows, y, d);
  });
}

nb::object regularizer(const std::string& kind, const Doubles& params, nb::handle w) {
  const RegularizerSpec spec = regularizer_spec(kind, params);
  return by_type(w, [&](auto tag) -> nb::object {
    using T = decltype(tag);
    const Matrix<T> m = matrix<T>(w, "w");
    const index_t n = m.rows * m.width;
    const nb::object g = new_matrix<T>(m.rows, m.width);
    std::fill_n(out<T>(g), n, T(0));
    double value = 0;
    if (spec.kind == RegularizerKind::l1l2) {
      value = spec.p[0] * kernels<T>().sum_of_magnitudes(n, m.data) +
              spec.p[1] * kernels<T>().sum_of_squares(n, m.data);
      kernels<T>().l1l2_backward(n, m.data, static_cast<T>(spec.p[0]), static_cast<T>(spec.p[1]), T(1), out<T>(g));
    } else if (spec.kind == RegularizerKind::orthogonal) {
      const index_t units = spec.p[1] != 0 ? m.width : m.rows;
      Buffer<T> scratch;
      value = kernels<T>().orthogonal(spec, m.rows, m.width, m.data, out<T>(g), scratch.reserve(units * units + n));
    }
    return nb::make_tuple(value, g);
  });
}

nb::object constraint(const std::string& kind, const Doubles& params, nb::handle w) {
  const ConstraintSpec spec = constraint_spec(kind, params);
  return by_type(w, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> m = matrix<T>(w, "w");
    nb::object result = copy_array(type_of<T>(), {m.rows, m.width}, m.data);
    kernels<T>().constrain(spec, m.rows, m.width, out<T>(result));
    return result;
  });
}

nb::object matmul(nb::handle a, nb::handle b, bool transpose_a, bool transpose_b) {
  return by_type(a, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> left = matrix<T>(a, "a"), right = matrix<T>(b, "b");
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
    run_gemm(kernels<T>(), g);
    return c;
  });
}

nb::object dropout(nb::handle x, double rate, uint64_t key, uint64_t counter) {
  if (!(rate >= 0 && rate <= 1)) throw nb::value_error("dropout: rate must be in 0..1.");
  return by_type(x, [&](auto tag) {
    using T = decltype(tag);
    const nb::object from = to_array(x, type_of<T>(), array_size(x), "x");
    PyArrayObject* a = as_array(from);
    nb::object y = new_array(type_of<T>(), std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a)));
    kernels<T>().dropout(array_size(from), out<T>(from), out<T>(y), rate, key, counter, 0);
    return y;
  });
}

nb::object philox(uint64_t key, uint64_t counter, index_t n) {
  if (n < 0) throw nb::value_error("philox: n must be 0 or more.");
  nb::object words = new_array(NPY_UINT32, {n});
  philox_words(key, counter, n, out<uint32_t>(words));
  return words;
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
  m.def("activation", activation, nb::arg("kind"), nb::arg("params"), nb::arg("x"),
        nb::sig("def activation(kind: str, params: Sequence[float], x: Array) -> Array"), "f(x), row by row.");
  m.def("activation_gradient", activation_gradient, nb::arg("kind"), nb::arg("params"), nb::arg("x"), nb::arg("dy"),
        nb::sig("def activation_gradient(kind: str, params: Sequence[float], x: Array, dy: Array) -> Array"),
        "dy taken back through f at x.");
  m.def("loss", loss, nb::arg("kind"), nb::arg("params"), nb::arg("y_true"), nb::arg("y_pred"),
        nb::sig("def loss(kind: str, params: Sequence[float], y_true: Array, y_pred: Array) -> Array"),
        "One loss a row.");
  m.def("loss_gradient", loss_gradient, nb::arg("kind"), nb::arg("params"), nb::arg("y_true"), nb::arg("y_pred"),
        nb::sig("def loss_gradient(kind: str, params: Sequence[float], y_true: Array, y_pred: Array) -> Array"),
        "The gradient of each row's loss.");
  m.def("mean_loss", mean_loss, nb::arg("kind"), nb::arg("params"), nb::arg("y_true"), nb::arg("y_pred"),
        nb::arg("divisor"),
        nb::sig("def mean_loss(kind: str, params: Sequence[float], y_true: Array, y_pred: Array, divisor: float) -> "
                "tuple[float, Array]"),
        "(sum of the rows' losses / divisor, its gradient).");
  m.def("loss_from_logits", loss_from_logits, nb::arg("kind"), nb::arg("params"), nb::arg("y_true"), nb::arg("z"),
        nb::sig("def loss_from_logits(kind: str, params: Sequence[float], y_true: Array, z: Array) -> tuple[Array, "
                "Array, Array]"),
        "(row losses, probabilities, gradient of z), fused.");
  m.def("regularizer", regularizer, nb::arg("kind"), nb::arg("params"), nb::arg("w"),
        nb::sig("def regularizer(kind: str, params: Sequence[float], w: Array) -> tuple[float, Array]"),
        "(value, gradient).");
  m.def("constraint", constraint, nb::arg("kind"), nb::arg("params"), nb::arg("w"),
        nb::sig("def constraint(kind: str, params: Sequence[float], w: Array) -> Array"),
        "The constrained array, a new one.");
  m.def("matmul", matmul, nb::arg("a"), nb::arg("b"), nb::arg("transpose_a") = false, nb::arg("transpose_b") = false,
        nb::sig("def matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array"),
        "a @ b.");
  m.def("dropout", dropout, nb::arg("x"), nb::arg("rate"), nb::arg("key"), nb::arg("counter"),
        nb::sig("def dropout(x: Array, rate: float, key: int, counter: int) -> Array"),
        "x with elements dropped, as a plan's random node drops them.");
  m.def("philox", philox, nb::arg("key"), nb::arg("counter"), nb::arg("n"),
        nb::sig("def philox(key: int, counter: int, n: int) -> Array"),
        "The first n words of a random stream, uint32.");
  m.def("permutation", permutation, nb::arg("key"), nb::arg("counter"), nb::arg("n"), nb::arg("block"),
        nb::sig("def permutation(key: int, counter: int, n: int, block: int) -> Array"),
        "0..n-1 in a random order, shuffled inside every `block` of them.");
}

}  // namespace densekit::bindings
