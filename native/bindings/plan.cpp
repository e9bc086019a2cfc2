// Plan: building.
#include "plan.hpp"

#include <cstdlib>

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

}  // namespace densekit::bindings
