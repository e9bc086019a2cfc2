// densekit._native.testing: what tests alone call. Single formulas, against their definitions; the insides of a plan.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "by_type.hpp"

namespace densekit::bindings {
namespace {

nb::dict name_table(const std::vector<KindName>& rows) {
  nb::dict table;
  for (const KindName& row : rows) table[row.name] = row.parameters;
  return table;
}

nb::object activation(const std::string& kind, const Doubles& params, nb::handle x) {
  const ActivationSpec spec = activation_spec(kind, params);
  return by_type(x, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> z = matrix<T>(x);
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
    const Matrix<T> z = matrix<T>(x), d = matrix<T>(dy);
    const index_t width = halves_width(spec.kind) ? z.width / 2 : z.width;
    require_shape(d.rows == z.rows && d.width == width, "activation_gradient");
    const nb::object y = new_matrix<T>(z.rows, width);
    nb::object dx = new_matrix<T>(z.rows, z.width);
    kernels<T>().activate(spec, z.rows, z.width, z.data, out<T>(y));
    kernels<T>().activate_backward(spec, z.rows, z.width, z.data, out<T>(y), d.data, out<T>(dx));
    return dx;
  });
}

nb::object loss(const std::string& kind, const Doubles& params, nb::handle y_true, nb::handle y_pred) {
  LossSpec spec = loss_spec(kind, params);
  return by_type(y_pred, [&](auto tag) {
    using T = decltype(tag);
    const Matrix<T> p = matrix<T>(y_pred);
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
    const Matrix<T> p = matrix<T>(y_pred);
    const Targets<T> t(spec, y_true, p);
    if (takes_plus_minus_labels(spec.kind)) spec.p[0] = all_zero_one(p.rows * p.width, t.dense.data);
    const nb::object rows = new_array(type_of<T>(), {p.rows});
    nb::object d = new_matrix<T>(p.rows, p.width);
    kernels<T>().loss(spec, p.rows, p.width, t.dense.data, t.labels, p.data, nullptr, T(1), out<T>(rows), out<T>(d));
    return d;
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
    const Matrix<T> p = matrix<T>(z);
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
    const Matrix<T> m = matrix<T>(w);
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
    const Matrix<T> m = matrix<T>(w);
    nb::object result = copy_array(type_of<T>(), {m.rows, m.width}, m.data);
    kernels<T>().constrain(spec, m.rows, m.width, out<T>(result));
    return result;
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

}  // namespace

void bind_testing(nb::module_& parent) {
  nb::module_ m = parent.def_submodule("testing", "What tests alone call.");
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
  m.def("dropout", dropout, nb::arg("x"), nb::arg("rate"), nb::arg("key"), nb::arg("counter"),
        nb::sig("def dropout(x: Array, rate: float, key: int, counter: int) -> Array"),
        "x with elements dropped, as a plan's random node drops them.");
  m.def("philox", philox, nb::arg("key"), nb::arg("counter"), nb::arg("n"),
        nb::sig("def philox(key: int, counter: int, n: int) -> Array"),
        "The first n words of a random stream, uint32.");
  m.def(
      "activation_kinds", [] { return name_table(activation_names()); },
      nb::sig("def activation_kinds() -> dict[str, int]"), "Name -> number of parameters.");
  m.def(
      "loss_kinds", [] { return name_table(loss_names()); }, nb::sig("def loss_kinds() -> dict[str, int]"),
      "Name -> number of parameters.");
  m.def(
      "regularizer_kinds", [] { return name_table(regularizer_names()); },
      nb::sig("def regularizer_kinds() -> dict[str, int]"), "Name -> number of parameters.");
  m.def(
      "constraint_kinds", [] { return name_table(constraint_names()); },
      nb::sig("def constraint_kinds() -> dict[str, int]"), "Name -> number of parameters.");
  m.def(
      "optimizer_kinds", [] { return name_table(optimizer_names()); },
      nb::sig("def optimizer_kinds() -> dict[str, int]"), "Name -> number of parameters.");
  m.def("describe", [](Plan& plan) { return plan.describe(); }, nb::arg("plan"), "One line for each op, as fused.");
  m.def(
      "prepacked_bytes", [](Plan& plan) { return plan.prepacked_bytes(); }, nb::arg("plan"),
      "Memory that the prepacked weights of inference take now.");
  m.def(
      "steps_done", [](Plan& plan) { return plan.steps_done(); }, nb::arg("plan"),
      "Complete steps of the latest train or evaluate, also when it raised.");
  m.def(
      "gradients",
      [](Plan& plan, const nb::list& inputs, const nb::list& targets, const nb::list& weights,
         std::vector<uint64_t> keys, std::vector<uint64_t> counters, bool training) {
        return plan.gradients(inputs, targets, weights, std::move(keys), std::move(counters), training);
      },
      nb::arg("plan"), nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("keys"), nb::arg("counters"),
      nb::arg("training"),
      nb::sig(
          "def gradients(plan: Plan, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
          "keys: Sequence[int], counters: Sequence[int], training: bool) -> tuple[Array, list[Array], list[Array]]"),
      "(losses, d trainable parameters, d inputs) of all rows as one batch.");
}

}  // namespace densekit::bindings
