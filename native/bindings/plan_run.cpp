// Plan: arrays of a run checked and handed to the engine, with the GIL released.
#include "plan.hpp"
#include "python_host.hpp"

namespace densekit::bindings {
namespace {

// Below this many multiply-adds a call holds on to the GIL: giving it up and taking it back costs 50-100 ns, and
// up to 5 ms when another thread waits for it.
constexpr double kHoldGil = 5e5;

std::string numbered(const char* what, std::size_t i) { return std::string(what) + " " + std::to_string(i); }

void require_count(const nb::list& list, std::size_t n, const char* what) {
  if (nb::len(list) == n) return;
  throw nb::value_error(
      ("expected " + std::to_string(n) + " " + what + ", got " + std::to_string(nb::len(list)) + ".").c_str());
}

void require_rows(const Source& source, index_t rows, const std::string& what) {
  if (source.data == nullptr || source.rows >= rows) return;
  throw nb::value_error((what + ": a row beyond its " + std::to_string(source.rows) + " rows is asked for.").c_str());
}

}  // namespace

Engine& Plan::running() {
  if (!engine) throw nb::value_error("The plan is not finished; call finalize() first.");
  return *engine;
}

// Sources checked against the graph; `n` rows must exist in each.
Request Plan::make_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights, index_t n) {
  require_count(inputs, graph.inputs.size(), "inputs");
  require_count(targets, graph.losses.size(), "targets");
  require_count(weights, graph.losses.size(), "weights");
  Request request;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string what = numbered("input", i);
    if (nb::object(inputs[i]).is_none()) throw nb::type_error((what + ": expected a NumPy array.").c_str());
    request.inputs.push_back(
        row_source(inputs[i], graph.values[static_cast<std::size_t>(graph.inputs[i])].size, false, what));
    require_rows(request.inputs.back(), n, what);
  }
  for (std::size_t i = 0; i < graph.losses.size(); ++i) {
    const Loss& loss = graph.losses[i];
    request.targets.emplace_back();
    request.weights.emplace_back();
    if (loss.host) continue;
    if (loss.has_target()) {
      if (nb::object(targets[i]).is_none())
        throw nb::type_error((numbered("target", i) + ": expected a NumPy array.").c_str());
      const index_t elements = loss.sparse() ? loss.positions : loss.positions * loss.width;
      request.targets[i] = row_source(targets[i], elements, false, numbered("target", i));
    }
    if (loss.whole_batch && !nb::object(weights[i]).is_none()) {
      throw nb::value_error((numbered("weight", i) + ": a loss of the whole batch takes none.").c_str());
    }
    request.weights[i] = row_source(weights[i], loss.positions, true, numbered("weight", i));
    require_rows(request.targets[i], n, numbered("target", i));
    require_rows(request.weights[i], n, numbered("weight", i));
  }
  return request;
}

void Plan::finish_request(Request& request, nb::handle index, index_t batch_size, std::vector<uint64_t> keys,
                          std::vector<uint64_t> counters, nb::handle losses, const nb::list& predictions) const {
  if (batch_size < 1) throw nb::value_error("batch_size must be 1 or more.");
  const auto random = static_cast<std::size_t>(graph.random_nodes);
  if (keys.size() < random || counters.size() < random)
    throw nb::value_error("A key and a counter are needed for each random node.");
  request.index = static_cast<const int64_t*>(array_data(index));
  request.n = array_size(index);
  request.batch_size = batch_size;
  request.keys = std::move(keys);
  request.counters = std::move(counters);
  const index_t steps = (request.n + batch_size - 1) / batch_size;
  require_dense(losses, NPY_DOUBLE, true, "losses");
  if (array_size(losses) < steps * static_cast<index_t>(1 + graph.losses.size())) {
    throw nb::value_error("losses: too small; its shape must be (steps, 1 + number of losses).");
  }
  request.losses = static_cast<double*>(array_data(losses));
  if (nb::len(predictions) == 0) return;
  require_count(predictions, graph.outputs.size(), "predictions");
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const nb::object array = predictions[i];
    request.predictions.push_back(nullptr);
    if (array.is_none()) continue;
    require_dense(array, type_number(is_double), true, numbered("prediction", i));
    if (array_size(array) != request.n * graph.values[static_cast<std::size_t>(graph.outputs[i])].size) {
      throw nb::value_error(
          (numbered("prediction", i) + ": the array must have a row for each row of the index.").c_str());
    }
    request.predictions.back() = array_data(array);
  }
}

namespace {

// One more than the largest row asked for; throws on a negative one.
index_t rows_needed(nb::handle index) {
  require_dense(index, NPY_INT64, false, "index");
  const auto* rows = static_cast<const int64_t*>(array_data(index));
  int64_t most = -1, least = 0;
  for (index_t i = 0; i < array_size(index); ++i) {
    most = std::max(most, rows[i]);
    least = std::min(least, rows[i]);
  }
  if (least < 0) throw nb::value_error("index: rows must be 0 or more.");
  return static_cast<index_t>(most + 1);
}

}  // namespace

Request Plan::training_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights,
                               nb::handle index, index_t batch_size, Iterations iterations, nb::handle learning_rates,
                               std::vector<uint64_t> keys, std::vector<uint64_t> counters, nb::handle losses,
                               const nb::list& predictions) {
  running();
  Request request = make_request(inputs, targets, weights, rows_needed(index));
  finish_request(request, index, batch_size, std::move(keys), std::move(counters), losses, predictions);
  require_dense(learning_rates, NPY_DOUBLE, false, "learning_rates");
  if (const auto* one = std::get_if<int64_t>(&iterations)) request.iterations.push_back(*one);
  else request.iterations = std::get<std::vector<int64_t>>(std::move(iterations));
  if (request.iterations.size() != graph.optimizers.size())
    throw nb::value_error("iterations: one is needed for each optimizer.");
  const auto optimizers = static_cast<index_t>(request.iterations.size());
  if (array_size(learning_rates) < optimizers * ((request.n + batch_size - 1) / batch_size)) {
    throw nb::value_error("learning_rates: one is needed for each step.");
  }
  request.learning_rates = static_cast<const double*>(array_data(learning_rates));
  return request;
}

index_t Plan::train(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                    index_t batch_size, Iterations iterations, nb::handle learning_rates, std::vector<uint64_t> keys,
                    std::vector<uint64_t> counters, nb::handle losses, const nb::list& predictions) {
  Request request = training_request(inputs, targets, weights, index, batch_size, std::move(iterations), learning_rates,
                                     std::move(keys), std::move(counters), losses, predictions);
  PythonHost host(*this, targets, weights);
  request.host = &host;
  nb::gil_scoped_release no_gil;
  return running().train(request);
}

Request Plan::test_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                           index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                           nb::handle losses, const nb::list& predictions) {
  running();
  Request request = make_request(inputs, targets, weights, rows_needed(index));
  keys.resize(static_cast<std::size_t>(graph.random_nodes));  // nothing is random in a test
  counters.resize(static_cast<std::size_t>(graph.random_nodes));
  finish_request(request, index, batch_size, std::move(keys), std::move(counters), losses, predictions);
  return request;
}

index_t Plan::evaluate(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                       index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                       nb::handle losses, const nb::list& predictions) {
  Request request = test_request(inputs, targets, weights, index, batch_size, std::move(keys), std::move(counters),
                                 losses, predictions);
  PythonHost host(*this, targets, weights);
  request.host = &host;
  nb::gil_scoped_release no_gil;
  return running().evaluate(request);
}

void Plan::predict(const nb::list& inputs, index_t n, const nb::list& outputs, std::vector<uint64_t> keys,
                   std::vector<uint64_t> counters) {
  Engine& runner = running();
  if (graph.random_nodes > 0) {  // those that draw in training alone read none
    const auto random = static_cast<std::size_t>(graph.random_nodes);
    if (graph.always_draws() && (keys.size() < random || counters.size() < random))
      throw nb::value_error("A key and a counter are needed for each random node.");
    keys.resize(random);
    counters.resize(random);
  }
  if (n < 0) throw nb::value_error("n must be 0 or more.");
  require_count(inputs, graph.inputs.size(), "inputs");
  require_count(outputs, graph.outputs.size(), "outputs");
  std::vector<Source> sources;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string what = numbered("input", i);
    if (nb::object(inputs[i]).is_none()) throw nb::type_error((what + ": expected a NumPy array.").c_str());
    sources.push_back(row_source(inputs[i], graph.values[static_cast<std::size_t>(graph.inputs[i])].size, false, what));
    require_rows(sources.back(), n, what);
  }
  std::vector<void*> addresses;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    require_dense(outputs[i], type_number(is_double), true, numbered("output", i));
    if (array_size(outputs[i]) != n * graph.values[static_cast<std::size_t>(graph.outputs[i])].size) {
      throw nb::value_error((numbered("output", i) + ": the array must have " + std::to_string(n) + " rows.").c_str());
    }
    addresses.push_back(array_data(outputs[i]));
  }
  PythonHost host(*this, nb::none(), nb::none());
  nb::gil_scoped_release no_gil;
  runner.predict(sources, n, addresses, &host, {std::move(keys), std::move(counters)});
}

void Plan::set_call_shape(const std::vector<npy_intp>& in_shape, const std::vector<npy_intp>& out_shape) {
  running();
  const auto product = [](const std::vector<npy_intp>& shape) {
    npy_intp n = 1;
    for (npy_intp d : shape) n *= d;
    return n;
  };
  if (in_shape.size() >= 31 || out_shape.size() >= 31) throw nb::value_error("set_call_shape: at most 30 axes.");
  callable_ = graph.inputs.size() == 1 && graph.outputs.size() == 1 && graph.host_nodes == 0 && !graph.always_draws();
  if (!callable_) return;
  if (product(in_shape) != graph.values[static_cast<std::size_t>(graph.inputs[0])].size ||
      product(out_shape) != graph.values[static_cast<std::size_t>(graph.outputs[0])].size) {
    throw nb::value_error("set_call_shape: the shapes do not have as many elements as the input and the output.");
  }
  call_in_ = in_shape;
  call_out_ = out_shape;
  call_work_ = static_cast<double>(graph.flops_per_sample()) / 2;
}

// Every nanosecond of a small model is here: no containers, no conversions, one look at each flag.
nb::object Plan::call(nb::handle x) {
  const auto refuse = [] { return nb::borrow(Py_NotImplemented); };
  if (!callable_ || !PyArray_CheckExact(x.ptr())) return refuse();
  PyArrayObject* a = as_array(x);
  const auto axes = static_cast<int>(call_in_.size());
  if (PyArray_TYPE(a) != type_number(is_double) || !PyArray_ISCARRAY_RO(a) || PyArray_NDIM(a) != axes + 1)
    return refuse();
  for (int i = 0; i < axes; ++i) {
    if (PyArray_DIM(a, i + 1) != call_in_[static_cast<std::size_t>(i)]) return refuse();
  }
  npy_intp shape[32];
  const npy_intp n = shape[0] = PyArray_DIM(a, 0);
  for (std::size_t i = 0; i < call_out_.size(); ++i) shape[i + 1] = call_out_[i];
  PyObject* y = PyArray_SimpleNew(static_cast<int>(call_out_.size()) + 1, shape, type_number(is_double));
  if (y == nullptr) nb::raise_python_error();
  nb::object result = nb::steal(y);
  const void* from = PyArray_DATA(a);
  void* to = PyArray_DATA(reinterpret_cast<PyArrayObject*>(y));
  if (call_work_ * static_cast<double>(n) < kHoldGil) {
    if (n > 0) engine->call(from, n, to);
  } else {
    nb::gil_scoped_release no_gil;
    engine->call(from, n, to);
  }
  return result;
}

nb::object Plan::gradients(const nb::list& inputs, const nb::list& targets, const nb::list& weights,
                           std::vector<uint64_t> keys, std::vector<uint64_t> counters, bool training) {
  Engine& runner = running();
  Request request = make_request(inputs, targets, weights, 0);
  if (request.inputs.empty() || request.inputs[0].rows < 1)
    throw nb::value_error("gradients: at least one row is needed.");
  const index_t n = request.inputs[0].rows;
  request = make_request(inputs, targets, weights, n);
  const int type = type_number(is_double);
  std::vector<int64_t> index(static_cast<std::size_t>(n));
  for (index_t i = 0; i < n; ++i) index[static_cast<std::size_t>(i)] = i;
  const nb::object rows = copy_array(NPY_INT64, {n}, index.data());
  const nb::object losses = new_array(NPY_DOUBLE, {static_cast<npy_intp>(1 + graph.losses.size())});
  finish_request(request, rows, n, std::move(keys), std::move(counters), losses, nb::list());
  GradientRequest wanted;
  wanted.training = training;
  nb::list parameter_gradients, input_gradients;
  for (std::size_t id = 0; id < graph.parameters.size(); ++id) {
    if (!graph.parameters[id].trainable) continue;
    PyArrayObject* a = as_array(arrays[id]);
    const nb::object g = new_array(type, std::vector<npy_intp>(PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a)));
    wanted.parameters.push_back(array_data(g));
    parameter_gradients.append(g);
  }
  for (int v : graph.inputs) {
    const nb::object g = new_array(type, {n, graph.values[static_cast<std::size_t>(v)].size});
    wanted.inputs.push_back(array_data(g));
    input_gradients.append(g);
  }
  PythonHost host(*this, targets, weights);
  request.host = &host;
  {
    nb::gil_scoped_release no_gil;
    runner.gradients(request, wanted);
  }
  return nb::make_tuple(losses, parameter_gradients, input_gradients);
}

}  // namespace densekit::bindings
