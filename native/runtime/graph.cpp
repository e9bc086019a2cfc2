#include "graph.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "names.hpp"
#include "ops/make.hpp"

namespace densekit {
namespace {

[[noreturn]] void fail(const std::string& sentence) { throw std::invalid_argument(sentence); }

std::string text(index_t n) { return std::to_string(n); }

// The name of what an op computes: its kind's, or that of its formula.
std::string op_name(const Op& op) {
  const auto pick = [](const std::vector<const char*>& names, auto kind) {
    return std::string(names[static_cast<std::size_t>(kind)]);
  };
  if (op.kind == OpKind::merge) return pick(merge_names(), op.get<MergeSpec>().kind);
  if (op.kind == OpKind::elementwise) return pick(elementwise_names(), op.get<ElementwiseSpec>().kind);
  if (op.kind == OpKind::reduce) return pick(reduction_names(), op.get<ReduceSpec>().kind);
  if (op.kind == OpKind::normalization) return pick(normalization_names(), op.get<NormalizationSpec>().kind);
  return kind_name(op.kind);
}

}  // namespace

bool is_plain_relu(const ActivationSpec& spec) {
  return spec.kind == ActivationKind::relu && spec.p[0] == 0 && std::isinf(spec.p[1]) && spec.p[1] > 0 &&
         spec.p[2] == 0;
}

void Graph::check_value(int id, const char* who) const {
  if (id < 0 || static_cast<std::size_t>(id) >= values.size()) {
    fail(std::string(who) + ": there is no value " + text(id) + "; values so far are 0.." +
         text(static_cast<index_t>(values.size()) - 1) + ".");
  }
}

int Graph::add_value(index_t size, int producer) {
  values.push_back({size, producer, producer >= 0 ? precision_ : Precision::full, {}});
  return static_cast<int>(values.size()) - 1;
}

// Appends an op with outputs of these sizes a sample.
std::vector<int> Graph::add_op(Op op, const std::vector<index_t>& sizes) {
  const int id = static_cast<int>(ops.size());
  if (op.kind != OpKind::host && op.kind != OpKind::activity) op.precision = precision_;
  for (int x : op.inputs) values[static_cast<std::size_t>(x)].consumers.push_back(id);
  for (index_t size : sizes) op.outputs.push_back(add_value(size, id));
  ops.push_back(std::move(op));
  return ops.back().outputs;
}

int Graph::input(index_t size) {
  if (size < 0) fail("input: size must be 0 or more, got " + text(size) + ".");
  const int value = add_value(size, -1);
  inputs.push_back(value);
  return value;
}

std::vector<int> Graph::op(const std::vector<int>& xs, const std::vector<int>& params, const std::vector<int>& state,
                           const Attributes& attributes) {
  for (int x : xs) check_value(x, attributes.op.c_str());
  for (const auto* list : {&params, &state}) {
    for (int p : *list) {
      if (p < 0 || static_cast<std::size_t>(p) >= parameters.size())
        fail(attributes.op + ": there is no parameter " + text(p) + ".");
    }
  }
  Op op;
  op.inputs = xs;
  op.parameters = params;
  op.state = state;
  const std::vector<index_t> sizes = make_op(*this, op, attributes);
  for (int p : state) parameters[static_cast<std::size_t>(p)].is_state = true;
  if (op.random_node >= 0) ++random_nodes;
  return add_op(std::move(op), sizes);
}

std::vector<int> Graph::host(const std::vector<int>& xs, const std::vector<index_t>& sizes,
                             const std::vector<int>& params) {
  for (int x : xs) check_value(x, "host");
  for (index_t size : sizes) {
    if (size < 0) fail("host: sizes must be 0 or more.");
  }
  for (int p : params) {
    if (p < 0 || static_cast<std::size_t>(p) >= parameters.size()) fail("host: there is no parameter " + text(p) + ".");
  }
  Op op;
  op.kind = OpKind::host;
  op.inputs = xs;
  op.parameters = params;
  op.host_node = host_nodes++;
  return add_op(std::move(op), sizes);
}

int Graph::parameter(void* data, index_t rows, index_t width, bool trainable) {
  if (data == nullptr && rows * width > 0) fail("parameter: the array has no memory.");
  Parameter p;
  p.data = data;
  p.rows = rows;
  p.width = width;
  p.trainable = trainable;
  parameters.push_back(p);
  return static_cast<int>(parameters.size()) - 1;
}

Parameter& Graph::parameter_at(int id) {
  if (id < 0 || static_cast<std::size_t>(id) >= parameters.size()) fail("There is no parameter " + text(id) + ".");
  return parameters[static_cast<std::size_t>(id)];
}

void Graph::compute_parameters(std::shared_ptr<const Graph> graph, const std::vector<int>& sources,
                               const std::vector<int>& results) {
  const auto size = [](const Graph& g, int value) { return g.values[static_cast<std::size_t>(value)].size; };
  if (formulas.graph != nullptr) fail("formulas: the plan has some; they are set once.");
  if (graph->inputs.size() != sources.size() || graph->outputs.size() != results.size())
    fail("formulas: expected a parameter for each input and each output.");
  if (graph->host_nodes > 0 || graph->random_nodes > 0 || !graph->parameters.empty())
    fail("formulas: they neither draw nor own parameters, and ask no host.");
  std::vector<bool> learns(graph->values.size(), false);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Parameter& p = parameter_at(sources[i]);
    if (p.size() != size(*graph, graph->inputs[i]))
      fail("formulas: input " + text(static_cast<index_t>(i)) + " is of another size.");
    learns[static_cast<std::size_t>(graph->inputs[i])] = p.trainable;
  }
  for (const Op& op : graph->ops) {
    if (op.scope != Scope::row || op.kind == OpKind::activity) fail("formulas: an op in them needs a batch.");
    bool any = false;
    for (int x : op.inputs) any = any || learns[static_cast<std::size_t>(x)];
    for (int y : op.outputs) learns[static_cast<std::size_t>(y)] = any;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Parameter& p = parameter_at(results[i]);
    if (p.trainable || p.is_result || p.size() != size(*graph, graph->outputs[i]))
      fail("formulas: result " + text(static_cast<index_t>(i)) + " is trainable, made already, or of another size.");
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    Parameter& p = parameter_at(results[i]);
    p.is_result = true;
    p.passes_gradient = learns[static_cast<std::size_t>(graph->outputs[i])];
  }
  formulas = {std::move(graph), sources, results};
}

void Graph::output(int value) {
  check_value(value, "output");
  outputs.push_back(value);
}

int Graph::output_value(int position) const {
  if (position < 0 || static_cast<std::size_t>(position) >= outputs.size()) {
    fail("loss: there is no output " + text(position) + "; call output() first.");
  }
  return outputs[static_cast<std::size_t>(position)];
}

int Graph::add_loss(Loss loss, const std::string& reduction) {
  if (reduction == "sum_over_batch_size" || reduction == "mean") loss.reduction = Reduction::mean;
  else if (reduction == "sum") loss.reduction = Reduction::sum;
  else if (reduction == "mean_with_sample_weight") loss.reduction = Reduction::mean_with_sample_weight;
  else fail("Unknown reduction '" + reduction + "'. Choose from: sum_over_batch_size, sum, mean_with_sample_weight.");
  if (loss.mask >= 0) {
    check_value(loss.mask, "loss");
    const index_t size = values[static_cast<std::size_t>(loss.mask)].size;
    if (loss.whole_batch) fail("loss: one for the whole batch takes no mask.");
    if (!loss.host && (size < 1 || loss.positions % size != 0)) {
      fail("loss: a mask of " + text(size) + " elements does not fit " + text(loss.positions) + " positions.");
    }
  }
  losses.push_back(loss);
  return static_cast<int>(losses.size()) - 1;
}

int Graph::loss(int position, const LossSpec& spec, index_t width, double weight, const std::string& reduction,
                int mask) {
  const int value = output_value(position);
  const index_t size = values[static_cast<std::size_t>(value)].size;
  const bool whole_batch = width == 0;
  if (whole_batch && (takes_labels(spec.kind) || takes_plus_minus_labels(spec.kind)))
    fail("loss: this kind is taken row by row; give a width.");
  if (width < 0 || (!whole_batch && size % width != 0)) {
    fail("loss: width " + text(width) + " does not divide the " + text(size) + " elements of output " + text(position) +
         ".");
  }
  Loss loss;
  loss.value = value;
  loss.mask = mask;
  loss.spec = spec;
  loss.whole_batch = whole_batch;
  loss.width = whole_batch ? size : width;
  loss.positions = whole_batch ? 1 : size / width;
  loss.weight = weight;
  return add_loss(loss, reduction);
}

int Graph::given_loss(int value, double weight, const std::string& reduction, int mask) {
  check_value(value, "loss");
  Loss loss;
  loss.value = value;
  loss.mask = mask;
  loss.given = true;
  loss.positions = values[static_cast<std::size_t>(value)].size;
  loss.weight = weight;
  return add_loss(loss, reduction);
}

int Graph::host_loss(int position, double weight, int mask) {
  Loss loss;
  loss.value = output_value(position);
  loss.mask = mask;
  loss.host = true;
  loss.weight = weight;
  return add_loss(loss, "sum");
}

namespace {

// How many slots a parameter needs; -1: any of some.
int slots_needed(const OptimizerSpec& s, const Parameter& p) {
  switch (s.kind) {
    case OptimizerKind::sgd: return s.p[0] != 0 ? 1 : 0;
    case OptimizerKind::rmsprop: return 1 + (s.p[1] > 0 ? 1 : 0) + (s.p[3] != 0 ? 1 : 0);
    case OptimizerKind::adam: return 2 + (s.p[3] != 0 ? 1 : 0);
    case OptimizerKind::adagrad:
    case OptimizerKind::lion: return 1;
    case OptimizerKind::adadelta:
    case OptimizerKind::adamax:
    case OptimizerKind::nadam:
    case OptimizerKind::ftrl:
    case OptimizerKind::lamb:
    case OptimizerKind::schedule_free: return 2;
    case OptimizerKind::adafactor: return p.n_slots == 3 ? 3 : 1;  // a vector has no rows and columns
    case OptimizerKind::muon: return p.n_slots == 1 ? 1 : 2;       // a matrix, or what takes adam's step
    case OptimizerKind::count: break;
  }
  return 0;
}

}  // namespace

void Graph::check_trainable() const {
  for (const Optimizer& optimizer : optimizers) {
    if (optimizer.where == Optimizer::Where::none) fail("train: the plan has no optimizer; call set_optimizer first.");
    if (optimizer.where == Optimizer::Where::host) return;
    if (optimizer.spec.kind == OptimizerKind::nadam && optimizer.product == nullptr)
      fail("train: nadam needs an array for its product.");
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& p = parameters[i];
    if (!p.trainable) continue;
    const std::string who = "train: parameter " + text(static_cast<index_t>(i));
    if (p.optimizer >= static_cast<int>(optimizers.size())) fail(who + " has an optimizer that is not there.");
    const Optimizer& optimizer = optimizers[static_cast<std::size_t>(p.optimizer)];
    const OptimizerSpec& s = optimizer.spec;
    const int needed = slots_needed(s, p);
    if (p.n_slots != needed) fail(who + " needs " + text(needed) + " optimizer slots, got " + text(p.n_slots) + ".");
    if (p.factored != (s.kind == OptimizerKind::adafactor))
      fail(who + " has slots of another optimizer; call set_slots again.");
    if (s.ema_momentum >= 0 && p.ema == nullptr) fail(who + " needs an array for its moving average.");
    if (optimizer.accumulation_steps > 1 && p.accumulator == nullptr)
      fail(who + " needs an array to accumulate gradients.");
  }
}

bool Graph::always_draws() const {
  for (const Op& op : ops) {
    if (op.always_draws) return true;
  }
  return false;
}

int64_t Graph::flops_per_sample() const {
  int64_t flops = 0;
  for (const Op& op : ops) {
    if (op.kind == OpKind::dense) {
      const DenseSpec& s = op.dense();
      flops += 2 * s.rows_per_sample * s.in_features * s.out_features;
    }
    if (op.kind == OpKind::dense_int8) {
      const auto& s = op.get<Int8Spec>();
      flops += 2 * op.rows_per_sample * s.in_features * s.out_features;
    }
    if (op.kind == OpKind::product) {
      const auto& s = op.get<ProductSpec>();
      flops += 2 * s.batches * s.m * s.k * s.n;
    }
    if (op.kind == OpKind::weight_product) {
      const auto& s = op.get<WeightProductSpec>();
      flops += 2 * static_cast<index_t>(s.offsets.size()) * s.m * s.k * s.n;
    }
  }
  return flops;
}

std::string Graph::describe(int id) const {
  const Op& op = ops[static_cast<std::size_t>(id)];
  std::string line;
  for (int v : op.outputs) line += (line.empty() ? "v" : ", v") + text(v);
  if (!line.empty()) line += " = ";
  line += op_name(op) + "(";
  for (std::size_t i = 0; i < op.inputs.size(); ++i) line += (i ? ", v" : "v") + text(op.inputs[i]);
  for (int p : op.parameters) line += ", p" + text(p);
  line += ")";
  const auto activation = [](const ActivationSpec& f) {
    return std::string(" ") + activation_names()[static_cast<std::size_t>(f.kind)].name;
  };
  if (op.kind == OpKind::dense) {
    const DenseSpec& s = op.dense();
    line += " " + text(s.in_features) + " -> " + text(s.out_features) + activation(s.activation);
  }
  if (op.kind == OpKind::activation) line += activation(op.get<ActivateSpec>().activation);
  if (op.bfloat16()) line += " bfloat16";
  if (op.float16()) line += " float16";
  if (op.kind == OpKind::dropout) line += " rate " + std::to_string(op.get<DropoutSpec>().rate);
  return line;
}

}  // namespace densekit
