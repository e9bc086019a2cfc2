// Plan: batches that a tape records, updates by gradients of others, and arrays lent to a tape.
#include <nanobind/stl/vector.h>

#include "plan.hpp"
#include "python_host.hpp"

namespace densekit::bindings {
namespace {

// Below this many multiply-adds a call holds on to the GIL, as Plan::call does.
constexpr double kHoldGil = 5e5;

template <class Body>
void without_gil(double work, Body body) {
  if (work < kHoldGil) return body();
  nb::gil_scoped_release no_gil;
  body();
}

}  // namespace

// A recorded batch; its memory goes back to the engine with it.
class Recorded {
 public:
  Recorded(nb::object plan, std::unique_ptr<Recording> recording, index_t rows, bool input_gradients)
      : plan_(std::move(plan)), recording_(std::move(recording)), rows_(rows), input_gradients_(input_gradients) {}
  ~Recorded() { owner().running().give_back(std::move(recording_)); }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;

  nb::object gradients(const nb::list& d_outputs) {
    Plan& plan = owner();
    const int type = type_number(plan.is_double);
    if (nb::len(d_outputs) != plan.graph.outputs.size())
      throw nb::value_error("gradients: one gradient is needed for each output.");
    std::vector<nb::object> held;
    std::vector<const void*> seeds;
    for (std::size_t i = 0; i < plan.graph.outputs.size(); ++i) {
      const nb::object d = d_outputs[i];
      seeds.push_back(nullptr);
      if (d.is_none()) continue;
      const index_t size = rows_ * plan.graph.values[static_cast<std::size_t>(plan.graph.outputs[i])].size;
      held.push_back(to_array(d, type, size, "gradient of an output"));
      seeds.back() = array_data(held.back());
    }
    GradientRequest wanted;
    nb::list parameters, inputs;
    for (std::size_t id = 0; id < plan.graph.parameters.size(); ++id) {
      if (!plan.graph.parameters[id].trainable) continue;
      PyArrayObject* a = as_array(plan.arrays[id]);
      const nb::object g = new_array(type, std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a)));
      wanted.parameters.push_back(array_data(g));
      parameters.append(g);
    }
    for (int v : plan.graph.inputs) {
      if (!input_gradients_) break;
      const nb::object g = new_array(type, {rows_, plan.graph.values[static_cast<std::size_t>(v)].size});
      wanted.inputs.push_back(array_data(g));
      inputs.append(g);
    }
    const double work = static_cast<double>(plan.graph.flops_per_sample()) * static_cast<double>(rows_);
    without_gil(work, [&] { plan.running().pull_back(*recording_, seeds, wanted); });
    return nb::make_tuple(parameters, inputs);
  }

 private:
  Plan& owner() { return *nb::inst_ptr<Plan>(plan_); }

  nb::object plan_;
  std::unique_ptr<Recording> recording_;
  index_t rows_;
  bool input_gradients_;
};

nb::object Plan::record(const nb::list& inputs, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                        bool training, bool input_gradients) {
  Engine& runner = running();
  if (graph.host_nodes > 0) throw nb::value_error("record: the plan asks the host; run it by its definition.");
  Request request = make_request(inputs, nb::list(), nb::list(), 0);
  if (request.inputs.empty() || request.inputs[0].rows < 1)
    throw nb::value_error("record: at least one row is needed.");
  const index_t n = request.n = request.batch_size = request.inputs[0].rows;
  for (const Source& source : request.inputs) {
    if (source.rows != n) throw nb::value_error("record: the inputs must have equally many rows.");
  }
  const auto random = static_cast<std::size_t>(graph.random_nodes);
  if (keys.size() < random || counters.size() < random)
    throw nb::value_error("A key and a counter are needed for each random node.");
  request.keys = std::move(keys);
  request.counters = std::move(counters);
  nb::list outputs;
  for (int v : graph.outputs) {
    const nb::object y = new_array(type_number(is_double), {n, graph.values[static_cast<std::size_t>(v)].size});
    request.predictions.push_back(array_data(y));
    outputs.append(y);
  }
  std::unique_ptr<Recording> recording;
  const double work = static_cast<double>(graph.flops_per_sample()) / 2 * static_cast<double>(n);
  without_gil(work, [&] { recording = runner.record(std::move(request), input_gradients, training); });
  nb::object recorded = nb::cast(new Recorded(nb::find(this), std::move(recording), n, input_gradients),
                                 nb::rv_policy::take_ownership);
  return nb::make_tuple(recorded, outputs);
}

nb::object Plan::sum_rows(const nb::list& inputs, const nb::list& seeds) {
  Engine& runner = running();
  if (graph.host_nodes > 0 || graph.random_nodes > 0)
    throw nb::value_error("sum_rows: the plan asks the host or draws.");
  Request request = make_request(inputs, nb::list(), nb::list(), 0);
  if (request.inputs.empty() || request.inputs[0].rows < 1)
    throw nb::value_error("sum_rows: at least one row is needed.");
  const index_t n = request.n = request.batch_size = request.inputs[0].rows;
  for (const Source& source : request.inputs) {
    if (source.rows != n) throw nb::value_error("sum_rows: the inputs must have equally many rows.");
  }
  const int type = type_number(is_double);
  std::vector<nb::object> outputs, held;
  std::vector<const void*> given;
  if (nb::len(seeds) != graph.outputs.size())
    throw nb::value_error("sum_rows: one gradient is needed for each output.");
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const index_t size = graph.values[static_cast<std::size_t>(graph.outputs[i])].size;
    outputs.push_back(new_array(type, {n, size}));
    request.predictions.push_back(array_data(outputs.back()));
    held.push_back(to_array(seeds[i], type, n * size, "gradient of an output"));
    given.push_back(array_data(held.back()));
  }
  GradientRequest wanted;
  nb::list slopes, sums;
  for (int v : graph.inputs) {
    const nb::object g = new_array(type, {n, graph.values[static_cast<std::size_t>(v)].size});
    wanted.inputs.push_back(array_data(g));
    slopes.append(g);
  }
  const double work = static_cast<double>(graph.flops_per_sample()) * static_cast<double>(n);
  without_gil(work, [&] {
    std::unique_ptr<Recording> recording = runner.record(std::move(request), true, false);
    runner.pull_back(*recording, given, wanted);
    runner.give_back(std::move(recording));
  });
  for (const nb::object& y : outputs) {
    double total = 0.0;
    for (index_t i = 0; i < array_size(y); ++i) {
      total += is_double ? static_cast<const double*>(array_data(y))[i]
                         : static_cast<double>(static_cast<const float*>(array_data(y))[i]);
    }
    sums.append(total);
  }
  return nb::make_tuple(sums, slopes);
}

bool Plan::apply_like(const nb::list& gradients, int64_t iteration, double learning_rate) {
  const int type = type_number(is_double);
  std::size_t i = 0;
  const std::size_t given = nb::len(gradients);
  for (std::size_t id = 0; id < graph.parameters.size(); ++id) {
    if (!graph.parameters[id].trainable) continue;
    if (i == given) return false;
    PyObject* gradient = PyList_GET_ITEM(gradients.ptr(), static_cast<Py_ssize_t>(i++));
    if (!PyArray_CheckExact(gradient)) return false;
    PyArrayObject* g = as_array(gradient);
    PyArrayObject* own = as_array(arrays[id]);
    if (PyArray_TYPE(g) != type || PyArray_ISBYTESWAPPED(g) || PyArray_NDIM(g) != PyArray_NDIM(own) ||
        !PyArray_CompareLists(PyArray_DIMS(g), PyArray_DIMS(own), PyArray_NDIM(g)))
      return false;
  }
  if (i != given) return false;
  apply(gradients, iteration, learning_rate);
  return true;
}

void Plan::apply(const nb::list& gradients, int64_t iteration, double learning_rate) {
  Engine& runner = running();
  std::vector<nb::object> held;
  std::vector<const void*> addresses;
  std::size_t i = 0;
  index_t elements = 0;
  for (const Parameter& parameter : graph.parameters) {
    if (!parameter.trainable) continue;
    if (i == nb::len(gradients)) break;
    const nb::object given = gradients[i++];
    held.push_back(to_array(given, type_number(is_double), parameter.size(), "gradient"));
    addresses.push_back(array_data(held.back()));
    elements += parameter.size();
  }
  const auto trainable = std::count_if(graph.parameters.begin(), graph.parameters.end(),
                                       [](const Parameter& p) { return p.trainable; });
  if (nb::len(gradients) != i || i != static_cast<std::size_t>(trainable)) {
    throw nb::value_error("apply: one gradient is needed for each trainable parameter.");
  }
  PythonHost host(*this, nb::none(), nb::none());
  without_gil(static_cast<double>(elements), [&] { runner.apply(addresses, iteration, learning_rate, &host); });
}

namespace {

// A class of arrays to which Python adds methods. Python's own subclasses are collected for cycles, which asks for room before
// each object that plain arrays lack.
nb::object array_class(const char* name) {
  PyType_Slot slots[] = {{0, nullptr}};
  PyType_Spec spec{name, 0, 0, Py_TPFLAGS_DEFAULT, slots};
  const nb::object bases = nb::make_tuple(nb::handle(reinterpret_cast<PyObject*>(&PyArray_Type)));
  PyObject* type = PyType_FromSpecWithBases(&spec, bases.ptr());
  if (type == nullptr) nb::raise_python_error();
  return nb::steal(type);
}

// Gives an array another class of the same layout.
void set_class(nb::handle array, nb::handle type) {
  if (!is_array(array) || !PyType_Check(type.ptr())) throw nb::type_error("set_class: expected an array and a class.");
  auto* to = reinterpret_cast<PyTypeObject*>(type.ptr());
  PyTypeObject* from = Py_TYPE(array.ptr());
  const bool same = PyType_IsSubtype(to, &PyArray_Type) && to->tp_basicsize == from->tp_basicsize &&
                    to->tp_itemsize == from->tp_itemsize && to->tp_dictoffset == from->tp_dictoffset &&
                    to->tp_weaklistoffset == from->tp_weaklistoffset && !PyType_IS_GC(to) && !PyType_IS_GC(from);
  if (!same) throw nb::type_error("set_class: the classes lay out their objects differently.");
  if (PyType_HasFeature(to, Py_TPFLAGS_HEAPTYPE)) Py_INCREF(to);
  Py_SET_TYPE(array.ptr(), to);
  if (PyType_HasFeature(from, Py_TPFLAGS_HEAPTYPE)) Py_DECREF(from);
}

}  // namespace

void bind_recording(nb::module_& m, nb::class_<Plan>& c) {
  nb::class_<Recorded>(m, "Recorded", "A batch run forward, with what its backward needs.")
      .def("gradients", &Recorded::gradients, nb::arg("d_outputs"),
           nb::sig("def gradients(self, d_outputs: list[Array | None]) -> tuple[list[Array], list[Array]]"),
           "(d trainable parameters, d inputs) from gradients of the outputs; any number of times.");
  c.def("record", &Plan::record, nb::arg("inputs"), nb::arg("keys"), nb::arg("counters"), nb::arg("training"),
        nb::arg("input_gradients"),
        nb::sig("def record(self, inputs: list[Array], keys: Sequence[int], counters: Sequence[int], training: bool, "
                "input_gradients: bool) -> tuple[Recorded, list[Array]]"),
        "All rows as one batch, forward: what gives gradients later, and the outputs.");
  c.def("sum_rows", &Plan::sum_rows, nb::arg("inputs"), nb::arg("seeds"),
        nb::sig("def sum_rows(self, inputs: list[Array], seeds: list[Array]) -> tuple[list[float], list[Array]]"),
        "The sum of each output over all rows, and d inputs from gradients of the outputs.");
  c.def("apply", &Plan::apply, nb::arg("gradients"), nb::arg("iteration"), nb::arg("learning_rate"),
        nb::sig("def apply(self, gradients: list[Array], iteration: int, learning_rate: float) -> None"),
        "One update of every trainable parameter by these gradients.");
  c.def("apply_like", &Plan::apply_like, nb::arg("gradients"), nb::arg("iteration"), nb::arg("learning_rate"),
        nb::sig("def apply_like(self, gradients: list[Array], iteration: int, learning_rate: float) -> bool"),
        "The same if each gradient has its parameter's type and shape; else False.");
  m.def("array_class", array_class, nb::arg("name"), nb::sig("def array_class(name: str) -> type"),
        "A subclass of NumPy's array with the same layout, for `set_class`.");
  m.def("set_class", set_class, nb::arg("array"), nb::arg("type"),
        nb::sig("def set_class(array: Array, type: type) -> None"), "Gives an array another class of the same layout.");
}

}  // namespace densekit::bindings
