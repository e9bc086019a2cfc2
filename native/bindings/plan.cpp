// Plan: building, and its Python face.
#include "plan.hpp"

#include <cstdlib>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "runtime/names.hpp"

namespace densekit::bindings {
namespace {

bool is_float64(const std::string& dtype) {
  if (dtype == "float64") return true;
  if (dtype == "float32") return false;
  throw nb::value_error(("Plan: dtype must be 'float32' or 'float64', got '" + dtype + "'.").c_str());
}

bool fuse_by_default() {
  const char* setting = std::getenv("DENSEKIT_FUSE");
  return setting == nullptr || std::string(setting) != "0";
}

void require_callable(nb::handle function, const char* what) {
  if (!nb::isinstance<nb::callable>(function))
    throw nb::type_error((std::string(what) + ": expected a callable.").c_str());
}

}  // namespace

Plan::Plan(const std::string& dtype, std::optional<bool> fuse)
    : is_double(is_float64(dtype)), fuse_(fuse.value_or(fuse_by_default())) {}

Graph& Plan::building() {
  if (engine) throw nb::value_error("The plan is finished; build a new one to change it.");
  return graph;
}

void Plan::compute_in(const std::string& dtype) {
  const std::string own = is_double ? "float64" : "float32";
  Precision precision = Precision::full;
  if (dtype == "bfloat16" && !is_double) precision = Precision::bfloat16;
  else if (dtype == "float16" && !is_double) precision = Precision::float16;
  else if (dtype != own)
    throw nb::value_error(("compute_in: a plan of dtype '" + own + "' cannot compute in '" + dtype + "'.").c_str());
  building().compute_in(precision);
}

std::vector<int> Plan::host(const std::vector<int>& inputs, const std::vector<index_t>& sizes,
                            const std::vector<int>& parameters, nb::object forward, nb::object backward) {
  require_callable(forward, "host forward");
  require_callable(backward, "host backward");
  std::vector<int> outputs = building().host(inputs, sizes, parameters);
  HostNode node{std::move(forward), std::move(backward), {}, sizes, parameters};
  for (int x : inputs) node.input_sizes.push_back(graph.values[static_cast<std::size_t>(x)].size);
  host_nodes.push_back(std::move(node));
  return outputs;
}

// Rank 0 is (1, 1), rank 1 a column, higher ranks a matrix of last axes.
int Plan::parameter(nb::object array, bool trainable, nb::object write_version) {
  building();
  require_dense(array, type_number(is_double), trainable, "parameter");
  if (!write_version.is_none()) {
    require_dense(write_version, NPY_INT64, true, "write_version");
    if (array_size(write_version) != 3)
      throw nb::value_error("write_version: expected an array of three elements: writers, writes, assigned.");
  }
  PyArrayObject* a = as_array(array);
  const int rank = PyArray_NDIM(a);
  index_t rows = 1, width = 1;
  if (rank >= 2) width = PyArray_DIM(a, rank - 1);
  for (int i = 0; i < (rank >= 2 ? rank - 1 : rank); ++i) rows *= PyArray_DIM(a, i);
  const int id = graph.parameter(array_data(array), rows, width, trainable);
  static_assert(sizeof(WriteVersion) == 3 * sizeof(int64_t) && std::atomic<int64_t>::is_always_lock_free);
  if (!write_version.is_none())
    graph.parameters.back().write_version = static_cast<WriteVersion*>(array_data(write_version));
  arrays.push_back(std::move(array));
  write_versions.push_back(std::move(write_version));
  slot_arrays_.emplace_back();
  return id;
}

void Plan::set_host_regularizer(int parameter, nb::object function) {
  require_callable(function, "set_host_regularizer");
  building().parameter_at(parameter).host_regularizer = true;
  host_regularizers[parameter] = std::move(function);
}

void Plan::set_host_constraint(int parameter, nb::object function) {
  require_callable(function, "set_host_constraint");
  building().parameter_at(parameter).host_constraint = true;
  host_constraints[parameter] = std::move(function);
}

int Plan::host_loss(int output, nb::object function, double weight, int mask) {
  require_callable(function, "host_loss");
  const int id = building().host_loss(output, weight, mask);
  host_losses[id] = std::move(function);
  return id;
}

void Plan::finalize() {
  building();
  // Without any input a plan is there to update its parameters alone.
  if (graph.outputs.empty() && !graph.inputs.empty()) throw nb::value_error("finalize: the plan has no output.");
  engine = make_engine(graph, is_double, fuse_);
}

void Plan::set_optimizer(const std::string& kind, const std::vector<double>& parameters, double weight_decay,
                         double clip_value, double clip_norm, double global_clip_norm, double ema_momentum,
                         int64_t ema_overwrite_frequency, int64_t accumulation_steps, nb::object product,
                         std::size_t index) {
  if (index > graph.optimizers.size()) throw nb::value_error("set_optimizer: optimizers are set one after the other.");
  Optimizer optimizer;
  optimizer.spec = optimizer_spec(kind, parameters);
  if (accumulation_steps < 1) throw nb::value_error("set_optimizer: accumulation_steps must be 1 or more.");
  if (ema_overwrite_frequency < 0) throw nb::value_error("set_optimizer: ema_overwrite_frequency must be 0 or more.");
  optimizer.where = Optimizer::Where::native;
  optimizer.spec.weight_decay = weight_decay;
  optimizer.spec.clip_value = clip_value;
  optimizer.spec.clip_norm = clip_norm;
  optimizer.spec.global_clip_norm = global_clip_norm;
  optimizer.spec.ema_momentum = ema_momentum;
  optimizer.ema_overwrite_frequency = ema_overwrite_frequency;
  optimizer.accumulation_steps = accumulation_steps;
  if (!product.is_none()) {
    require_dense(product, type_number(is_double), true, "product");
    if (array_size(product) != 1) throw nb::value_error("set_optimizer: product must have one element.");
    optimizer.product = array_data(product);
  }
  const auto change = [&] {
    graph.optimizers.resize(index + 1);  // the first one takes the place of all
    graph.optimizers[index] = optimizer;
  };
  if (engine) engine->optimizer_changes(change);
  else change();
  product_arrays_.resize(index + 1);
  product_arrays_[index] = std::move(product);
}

void* Plan::slot_data(nb::handle array, index_t size, const std::string& what) {
  require_dense(array, type_number(is_double), true, what);
  if (array_size(array) == size) return array_data(array);
  throw nb::value_error(
      (what + ": expected as many elements as the parameter asks for, " + std::to_string(size) + ".").c_str());
}

void Plan::set_slots(int id, const nb::list& slots, nb::object ema, nb::object accumulator, bool decay, int optimizer) {
  if (optimizer < 0 || optimizer >= static_cast<int>(graph.optimizers.size()))
    throw nb::value_error("set_slots: the plan has no such optimizer.");
  Parameter updated = graph.parameter_at(id);
  if (nb::len(slots) > 3) throw nb::value_error("set_slots: at most three slots.");
  std::vector<nb::object> kept;
  updated.n_slots = 0;
  updated.optimizer = optimizer;
  updated.factored = graph.optimizers[static_cast<std::size_t>(optimizer)].spec.kind == OptimizerKind::adafactor;
  const index_t all = updated.size();
  const index_t sizes[3] = {all, updated.factored ? updated.rows : all, updated.factored ? updated.width : all};
  for (nb::handle slot : slots) {
    updated.slots[updated.n_slots] = slot_data(slot, sizes[updated.n_slots], "slot");
    ++updated.n_slots;
    kept.push_back(nb::borrow(slot));
  }
  updated.ema = ema.is_none() ? nullptr : slot_data(ema, updated.size(), "moving average");
  updated.accumulator = accumulator.is_none() ? nullptr
                                              : slot_data(accumulator, updated.size(), "gradient accumulator");
  updated.decay = decay;
  kept.push_back(std::move(ema));
  kept.push_back(std::move(accumulator));
  const auto change = [&] { graph.parameter_at(id) = updated; };
  if (engine) engine->optimizer_changes(change);
  else change();
  slot_arrays_[static_cast<std::size_t>(id)] = std::move(kept);
}

void Plan::set_host_optimizer(nb::object function) {
  require_callable(function, "set_host_optimizer");
  const auto change = [&] {
    graph.optimizers.assign(1, Optimizer{});
    graph.optimizers[0].where = Optimizer::Where::host;
  };
  if (engine) engine->optimizer_changes(change);
  else change();
  host_optimizer = std::move(function);
}

void Plan::set_loss_scale(double fixed, nb::object scale, nb::object counter, int64_t growth_steps) {
  LossScale given;
  given.fixed = fixed;
  if (!scale.is_none()) {
    require_dense(scale, NPY_FLOAT, true, "scale");
    require_dense(counter, NPY_INT32, true, "counter");
    if (array_size(scale) != 1 || array_size(counter) != 1)
      throw nb::value_error("set_loss_scale: scale and counter must have one element.");
    given.scale = static_cast<float*>(array_data(scale));
    given.counter = static_cast<int32_t*>(array_data(counter));
    given.growth_steps = growth_steps;
  }
  if (engine) engine->optimizer_changes([&] { graph.loss_scale = given; });
  else graph.loss_scale = given;
  loss_scale_arrays_ = nb::make_tuple(scale, counter);
}

std::vector<std::string> Plan::describe() {
  std::vector<std::string> lines;
  const Program* program = engine ? &engine->training_program() : nullptr;
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    lines.push_back(graph.describe(static_cast<int>(i)));
    if (program != nullptr && program->ops[i].fused_loss) lines.back() += " + loss";
  }
  return lines;
}

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  int result = 0;
  nb::inst_ptr<Plan>(self)->for_each_callable([&](nb::object& o) {
    if (result == 0 && o.is_valid()) result = visit(o.ptr(), arg);
  });
  return result;
}

int clear(PyObject* self) {
  if (!nb::inst_ready(self)) return 0;
  nb::inst_ptr<Plan>(self)->for_each_callable([](nb::object& o) {
    if (o.is_valid()) o = nb::none();
  });
  return 0;
}

const PyType_Slot kSlots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)}, {Py_tp_clear, reinterpret_cast<void*>(clear)}, {0, nullptr}};

using Doubles = std::vector<double>;

void bind_building(nb::class_<Plan>& c) {
  c.def(
      "input", [](Plan& p, index_t size) { return p.building().input(size); }, nb::arg("size"),
      "A value fed by the caller; inputs are numbered in order.");
  c.def("compute_in", &Plan::compute_in, nb::arg("dtype"),
        "What ops added from now on round to: 'bfloat16', 'float16', or the plan's dtype.");
  c.def(
      "op",
      [](Plan& p, const std::string& kind, const std::vector<int>& inputs, const std::vector<int>& parameters,
         const std::vector<int>& state, std::map<std::string, std::string> names,
         std::map<std::string, std::vector<index_t>> integers, std::map<std::string, std::vector<double>> numbers,
         const std::map<std::string, nb::bytes>& bytes) {
        Attributes attributes{kind, std::move(names), std::move(integers), std::move(numbers)};
        for (const auto& [name, value] : bytes) {
          if (p.is_double) throw std::invalid_argument(kind + ": expected a plan of dtype 'float32', got 'float64'.");
          const auto* data = static_cast<const int8_t*>(value.data());
          attributes.bytes[name].assign(data, data + value.size());
        }
        return p.building().op(inputs, parameters, state, attributes);
      },
      nb::arg("kind"), nb::arg("inputs"), nb::arg("parameters"), nb::arg("state"), nb::arg("names"),
      nb::arg("integers"), nb::arg("numbers"), nb::arg("bytes") = std::map<std::string, nb::bytes>{},
      "An op of native/ops/table.inl, by its attributes; gives its outputs.");
  c.def(
      "host", &Plan::host, nb::arg("inputs"), nb::arg("sizes"), nb::arg("params"), nb::arg("forward"),
      nb::arg("backward"),
      nb::sig("def host(self, inputs: Sequence[int], sizes: Sequence[int], params: Sequence[int], "
              "forward: Callable[[bool, list[Array]], tuple[Sequence[Array], float]], "
              "backward: Callable[[list[Array]], tuple[Sequence[Array | None], Sequence[Array | None]]]) -> list[int]"),
      "A node computed by Python; returns one value for each of `sizes`.");
  c.def("output", [](Plan& p, int value) { p.building().output(value); }, nb::arg("value"), "Adds an output.");
  c.def(
      "loss",
      [](Plan& p, int output, const std::string& kind, const Doubles& params, index_t width, double weight,
         const std::string& reduction,
         int mask) { return p.building().loss(output, loss_spec(kind, params), width, weight, reduction, mask); },
      nb::arg("output_index"), nb::arg("kind"), nb::arg("params"), nb::arg("width"), nb::arg("loss_weight") = 1.0,
      nb::arg("reduction") = "sum_over_batch_size", nb::arg("mask") = -1,
      "A loss over the last axis of an output, or (width 0) over the batch; `mask` is a value.");
  c.def(
      "given_loss",
      [](Plan& p, int value, double weight, const std::string& reduction, int mask) {
        return p.building().given_loss(value, weight, reduction, mask);
      },
      nb::arg("value"), nb::arg("loss_weight") = 1.0, nb::arg("reduction") = "sum_over_batch_size",
      nb::arg("mask") = -1, "A loss whose rows are the elements of a value; it takes no target.");
  c.def("host_loss", &Plan::host_loss, nb::arg("output_index"), nb::arg("fn"), nb::arg("loss_weight") = 1.0,
        nb::arg("mask") = -1,
        nb::sig("def host_loss(self, output_index: int, fn: Callable[..., tuple[float, Array | None]], "
                "loss_weight: float = 1.0, mask: int = -1) -> int"),
        "fn(y_true, y_pred, weight, need_gradient[, mask]) -> (value, d y_pred).");
  c.def("finalize", &Plan::finalize, "Checks the graph, fuses, sizes the buffers. Nothing can be added afterwards.");
}

void bind_parameters(nb::class_<Plan>& c) {
  c.def("parameter", &Plan::parameter, nb::arg("array"), nb::arg("trainable"),
        nb::arg("write_version").none() = nb::none(),
        nb::sig("def parameter(self, array: Array, trainable: bool, write_version: Array | None = None) -> int"),
        "An array the plan reads and updates in place; the plan keeps a reference.\n\n"
        "`write_version` is int64 [runs at it, runs so far, assigned]: lets inference prepack.");
  c.def(
      "set_regularizer",
      [](Plan& p, int id, const std::string& kind, const Doubles& params) {
        p.building().parameter_at(id).regularizer = regularizer_spec(kind, params);
      },
      nb::arg("param"), nb::arg("kind"), nb::arg("params"), "A penalty on a parameter, part of every total loss.");
  c.def("set_host_regularizer", &Plan::set_host_regularizer, nb::arg("param"), nb::arg("fn"),
        nb::sig("def set_host_regularizer(self, param: int, fn: Callable[[], tuple[float, Array]]) -> None"),
        "A penalty computed by Python: fn() -> (value, gradient).");
  c.def(
      "set_constraint",
      [](Plan& p, int id, const std::string& kind, const Doubles& params) {
        p.building().parameter_at(id).constraint = constraint_spec(kind, params);
      },
      nb::arg("param"), nb::arg("kind"), nb::arg("params"), "A constraint that holds after every update.");
  c.def("set_host_constraint", &Plan::set_host_constraint, nb::arg("param"), nb::arg("fn"),
        nb::sig("def set_host_constraint(self, param: int, fn: Callable[[], object]) -> None"),
        "A constraint applied by Python: fn() changes the parameter's array.");
  c.def("set_optimizer", &Plan::set_optimizer, nb::arg("kind"), nb::arg("params"), nb::kw_only(),
        nb::arg("weight_decay") = 0.0, nb::arg("clip_value") = 0.0, nb::arg("clip_norm") = 0.0,
        nb::arg("global_clip_norm") = 0.0, nb::arg("ema_momentum") = -1.0, nb::arg("ema_overwrite_frequency") = 0,
        nb::arg("accumulation_steps") = 1, nb::arg("product").none() = nb::none(), nb::arg("index") = 0,
        nb::sig("def set_optimizer(self, kind: str, params: Sequence[float], *, weight_decay: float = 0.0, "
                "clip_value: float = 0.0, clip_norm: float = 0.0, global_clip_norm: float = 0.0, "
                "ema_momentum: float = -1.0, ema_overwrite_frequency: int = 0, accumulation_steps: int = 1, "
                "product: Array | None = None, index: int = 0) -> None"),
        "An update rule; index 0 may be set again and takes the place of all, others follow.\n\n"
        "ema_momentum < 0: no average; `product`: nadam's array.");
  c.def("set_slots", &Plan::set_slots, nb::arg("param"), nb::arg("slots"), nb::arg("ema").none() = nb::none(),
        nb::arg("accumulator").none() = nb::none(), nb::arg("decay") = true, nb::arg("optimizer") = 0,
        nb::sig("def set_slots(self, param: int, slots: list[Array], ema: Array | None = None, "
                "accumulator: Array | None = None, decay: bool = True, optimizer: int = 0) -> None"),
        "The optimizer's arrays for a parameter, updated in place.");
  c.def("set_loss_scale", &Plan::set_loss_scale, nb::arg("fixed"), nb::arg("scale").none() = nb::none(),
        nb::arg("counter").none() = nb::none(), nb::arg("growth_steps") = 0,
        nb::sig("def set_loss_scale(self, fixed: float, scale: Array | None = None, counter: Array | None = None, "
                "growth_steps: int = 0) -> None"),
        "Gradients are of so many times the loss; with `scale` and `counter`, written to, dynamic.");
  c.def("set_host_optimizer", &Plan::set_host_optimizer, nb::arg("fn"),
        nb::sig("def set_host_optimizer(self, fn: Callable[[int, float, list[Array]], object]) -> None"),
        "fn(iteration, learning_rate, gradients) updates; `iteration` counts the updates before.");
}

void bind_running(nb::class_<Plan>& c) {
  c.def("train", &Plan::train, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("index"),
        nb::arg("batch_size"), nb::arg("iterations"), nb::arg("learning_rates"), nb::arg("keys"), nb::arg("counters"),
        nb::arg("losses"), nb::arg("predictions"), nb::arg("seconds") = 0.0,
        nb::sig("def train(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], index: "
                "Array, "
                "batch_size: int, iterations: int | Sequence[int], learning_rates: Array, keys: Sequence[int], "
                "counters: Sequence[int], "
                "losses: Array, predictions: list[Array | None], seconds: float = 0.0) -> int"),
        "Trains on the rows `index`, in order, by batches; returns the steps done.");
  c.def("evaluate", &Plan::evaluate, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("index"),
        nb::arg("batch_size"), nb::arg("keys"), nb::arg("counters"), nb::arg("losses"), nb::arg("predictions"),
        nb::arg("seconds") = 0.0,
        nb::sig("def evaluate(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
                "index: Array, "
                "batch_size: int, keys: Sequence[int], counters: Sequence[int], losses: Array, "
                "predictions: list[Array | None], seconds: float = 0.0) -> int"),
        "Losses and predictions in inference mode; returns the number of batches done.");
  c.def("predict", &Plan::predict, nb::arg("inputs"), nb::arg("n"), nb::arg("outputs"),
        nb::sig("def predict(self, inputs: list[Array], n: int, outputs: list[Array]) -> None"),
        "Outputs of the first n rows; any number of threads at once. Host nodes see all n rows.");
  c.def("call", &Plan::call, nb::arg("x").none(), nb::sig("def call(self, x: object) -> Any"),
        "The output for a dense array of the plan's type and call shape; else NotImplemented.");
  c.def("set_call_shape", &Plan::set_call_shape, nb::arg("in_shape"), nb::arg("out_shape"),
        "Shapes without the batch axis of what `call` takes and gives.");
  c.def("gradients", &Plan::gradients, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("keys"),
        nb::arg("counters"), nb::arg("training"),
        nb::sig(
            "def gradients(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
            "keys: Sequence[int], counters: Sequence[int], training: bool) -> tuple[Array, list[Array], list[Array]]"),
        "(losses, d trainable parameters, d inputs) of all rows as one batch.");
  c.def("describe", &Plan::describe, "One line for each op, as fused.");
  c.def("flops_per_sample", &Plan::flops_per_sample, "Of the forward products; a multiply-add counts as two.");
  c.def_prop_ro("prepacked_bytes", &Plan::prepacked_bytes, "Memory that the prepacked weights of inference take now.");
  c.def_prop_ro("steps_done", &Plan::steps_done,
                "Complete steps of the latest train or evaluate, also when it raised.");
  c.def_prop_ro("steps_left_out", &Plan::steps_left_out, "Of them, those whose gradients were not finite.");
}

}  // namespace

void bind_plan(nb::module_& m) {
  nb::class_<Plan> c(m, "Plan", nb::type_slots(kSlots),
                     "A dense network as a flat list of ops, run without Python in between.");
  c.def(nb::init<const std::string&, std::optional<bool>>(), nb::arg("dtype"), nb::arg("fuse") = nb::none(),
        "`fuse`: softmax or sigmoid with its cross-entropy; None follows DENSEKIT_FUSE (on).");
  bind_building(c);
  bind_parameters(c);
  bind_running(c);
  bind_recording(m, c);
  bind_many(m, c);
}

}  // namespace densekit::bindings
