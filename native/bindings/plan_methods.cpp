// Plan's Python face: names of arguments, signatures and what they say.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "plan.hpp"
#include "runtime/names.hpp"

namespace densekit::bindings {
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
      "compute_parameters",
      [](Plan& p, const Plan& formulas, const std::vector<int>& sources, const std::vector<int>& results) {
        if (formulas.is_double != p.is_double) throw nb::value_error("compute_parameters: the plans differ in dtype.");
        p.building().compute_parameters(std::make_shared<Graph>(formulas.graph), sources, results);
      },
      nb::arg("formulas"), nb::arg("sources"), nb::arg("results"),
      "Parameters that a plan of one row makes: its outputs, of its inputs, once a step.");
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
        nb::arg("losses"), nb::arg("predictions"),
        nb::sig("def train(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], index: "
                "Array, "
                "batch_size: int, iterations: int | Sequence[int], learning_rates: Array, keys: Sequence[int], "
                "counters: Sequence[int], "
                "losses: Array, predictions: list[Array | None]) -> int"),
        "Trains on the rows `index`, in order, by batches; returns the steps done.");
  c.def("evaluate", &Plan::evaluate, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("index"),
        nb::arg("batch_size"), nb::arg("keys"), nb::arg("counters"), nb::arg("losses"), nb::arg("predictions"),
        nb::sig("def evaluate(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
                "index: Array, "
                "batch_size: int, keys: Sequence[int], counters: Sequence[int], losses: Array, "
                "predictions: list[Array | None]) -> int"),
        "Losses and predictions in inference mode; returns the number of batches done.");
  c.def("predict", &Plan::predict, nb::arg("inputs"), nb::arg("n"), nb::arg("outputs"),
        nb::arg("keys") = std::vector<uint64_t>(), nb::arg("counters") = std::vector<uint64_t>(),
        nb::sig("def predict(self, inputs: list[Array], n: int, outputs: list[Array], keys: Sequence[int] = ..., "
                "counters: Sequence[int] = ...) -> None"),
        "Outputs of the first n rows; any number of threads at once. Host nodes see all n rows.\n\n"
        "Keys and counters: of random nodes that draw in inference, too.");
  c.def("call", &Plan::call, nb::arg("x").none(), nb::sig("def call(self, x: object) -> Any"),
        "The output for a dense array of the plan's type and call shape; else NotImplemented.");
  c.def("set_call_shape", &Plan::set_call_shape, nb::arg("in_shape"), nb::arg("out_shape"),
        "Shapes without the batch axis of what `call` takes and gives.");
  c.def("flops_per_sample", &Plan::flops_per_sample, "Of the forward products; a multiply-add counts as two.");
  c.def_prop_ro("steps_left_out", &Plan::steps_left_out, "Steps of the latest train whose gradients were not finite.");
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
