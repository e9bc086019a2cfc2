#include "python_host.hpp"

#include <cstring>

namespace densekit::bindings {
namespace {

[[noreturn]] void bad(const std::string& sentence) { throw nb::value_error(sentence.c_str()); }

}  // namespace

double PythonHost::forward(int id, bool training, index_t rows, const std::vector<const void*>& inputs,
                           const std::vector<void*>& outputs) {
  nb::gil_scoped_acquire gil;
  const HostNode& node = plan_.host_nodes[static_cast<std::size_t>(id)];
  const int type = type_number(plan_.is_double);
  nb::list arguments;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    arguments.append(copy_array(type, {rows, node.input_sizes[i]}, inputs[i]));
  }
  const nb::object result = node.forward(training, arguments);
  if (!nb::isinstance<nb::tuple>(result) || nb::len(result) != 2)
    bad("Host node: forward must return (outputs, loss).");
  const nb::object got = result[0];
  if (nb::len(got) != outputs.size())
    bad("Host node: forward must return " + std::to_string(outputs.size()) + " outputs.");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const index_t size = rows * node.output_sizes[i];
    const nb::object array = to_array(got[i], type, size, "Host node output");
    if (size > 0) std::memcpy(outputs[i], array_data(array), static_cast<std::size_t>(PyArray_NBYTES(as_array(array))));
  }
  return nb::cast<double>(nb::float_(nb::object(result[1])));
}

HostGradients PythonHost::backward(int id, index_t rows, const std::vector<const void*>& d_outputs) {
  nb::gil_scoped_acquire gil;
  const HostNode& node = plan_.host_nodes[static_cast<std::size_t>(id)];
  const int type = type_number(plan_.is_double);
  nb::list arguments;
  for (std::size_t i = 0; i < d_outputs.size(); ++i) {
    nb::object d = new_array(type, {rows, node.output_sizes[i]});
    const auto bytes = static_cast<std::size_t>(PyArray_NBYTES(as_array(d)));
    if (d_outputs[i] == nullptr) std::memset(array_data(d), 0, bytes);
    else std::memcpy(array_data(d), d_outputs[i], bytes);
    arguments.append(d);
  }
  const nb::object result = node.backward(arguments);
  if (!nb::isinstance<nb::tuple>(result) || nb::len(result) != 2) {
    bad("Host node: backward must return (d_inputs, d_parameters).");
  }
  std::vector<nb::object>& kept = kept_[static_cast<std::size_t>(id)];
  kept.clear();
  const auto collect = [&](const nb::object& got, std::size_t n, auto size_of, const char* what) {
    if (nb::len(got) != n) bad(std::string(what) + ": expected " + std::to_string(n) + " arrays or None.");
    std::vector<const void*> addresses(n, nullptr);
    for (std::size_t i = 0; i < n; ++i) {
      const nb::object item = got[i];
      if (item.is_none()) continue;
      kept.push_back(to_array(item, type, size_of(i), what));
      addresses[i] = array_data(kept.back());
    }
    return addresses;
  };
  HostGradients gradients;
  gradients.inputs = collect(
      result[0], node.input_sizes.size(), [&](std::size_t i) { return rows * node.input_sizes[i]; },
      "Host node input gradient");
  gradients.parameters = collect(
      result[1], node.parameters.size(),
      [&](std::size_t i) { return plan_.graph.parameters[static_cast<std::size_t>(node.parameters[i])].size(); },
      "Host node parameter gradient");
  return gradients;
}

// The batch's rows of the array a loss was given, in the caller's own type.
nb::object PythonHost::rows_of(const nb::object& arrays, int loss, nb::handle index) const {
  if (arrays.is_none()) return nb::none();
  const nb::object array = arrays[static_cast<std::size_t>(loss)];
  return array.is_none() ? array : nb::object(array[index]);
}

double PythonHost::loss(int id, const int64_t* index, index_t rows, const void* y_pred, const void* mask, bool gradient,
                        const void** d_pred) {
  nb::gil_scoped_acquire gil;
  const Loss& loss = plan_.graph.losses[static_cast<std::size_t>(id)];
  const auto size_of = [&](int value) { return plan_.graph.values[static_cast<std::size_t>(value)].size; };
  const index_t size = size_of(loss.value);
  const int type = type_number(plan_.is_double);
  const nb::object picked = copy_array(NPY_INT64, {rows}, index);
  const nb::object y_true = rows_of(targets_, id, picked), predictions = copy_array(type, {rows, size}, y_pred),
                   weights = rows_of(weights_, id, picked), &function = plan_.host_losses.at(id);
  const nb::object result = mask == nullptr ? function(y_true, predictions, weights, gradient)
                                            : function(y_true, predictions, weights, gradient,
                                                       copy_array(type, {rows, size_of(loss.mask)}, mask));
  if (!nb::isinstance<nb::tuple>(result) || nb::len(result) != 2) bad("Host loss: expected (value, gradient or None).");
  const nb::object d = result[1];
  if (gradient && !d.is_none()) {
    nb::object& kept = kept_loss_[id];
    kept = to_array(d, type, rows * size, "Host loss gradient");
    *d_pred = array_data(kept);
  }
  return nb::cast<double>(nb::float_(nb::object(result[0])));
}

double PythonHost::regularizer(int id, const void** gradient) {
  nb::gil_scoped_acquire gil;
  const nb::object result = plan_.host_regularizers.at(id)();
  if (!nb::isinstance<nb::tuple>(result) || nb::len(result) != 2) bad("Host regularizer: expected (value, gradient).");
  nb::object& kept = kept_regularizer_[id];
  kept = to_array(result[1], type_number(plan_.is_double), plan_.graph.parameters[static_cast<std::size_t>(id)].size(),
                  "Host regularizer gradient");
  *gradient = array_data(kept);
  return nb::cast<double>(nb::float_(nb::object(result[0])));
}

void PythonHost::constraint(int id) {
  nb::gil_scoped_acquire gil;
  plan_.host_constraints.at(id)();
}

void PythonHost::optimize(int64_t iteration, double learning_rate, const std::vector<const void*>& gradients) {
  nb::gil_scoped_acquire gil;
  nb::list arrays;
  std::size_t next = 0;
  for (std::size_t id = 0; id < plan_.graph.parameters.size(); ++id) {
    if (!plan_.graph.parameters[id].trainable) continue;
    PyArrayObject* a = as_array(plan_.arrays[id]);
    const std::vector<npy_intp> shape(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a));
    arrays.append(copy_array(type_number(plan_.is_double), shape, gradients[next++]));
  }
  plan_.host_optimizer(iteration, learning_rate, arrays);
}

void PythonHost::check_signals() {
  nb::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) nb::raise_python_error();
}

}  // namespace densekit::bindings
