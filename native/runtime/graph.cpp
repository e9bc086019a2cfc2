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

bool is_row_linear(MergeKind kind) {
  return kind == MergeKind::add || kind == MergeKind::subtract || kind == MergeKind::average;
}

MergeKind merge_kind(const std::string& kind) {
  if (kind == "add") return MergeKind::add;
  if (kind == "subtract") return MergeKind::subtract;
  if (kind == "multiply") return MergeKind::multiply;
  if (kind == "average") return MergeKind::average;
  if (kind == "maximum") return MergeKind::maximum;
  if (kind == "minimum") return MergeKind::minimum;
  fail("Unknown merge '" + kind + "'. Choose from: add, subtract, multiply, average, maximum, minimum.");
}

const char* merge_name(MergeKind kind) {
  switch (kind) {
    case MergeKind::add: return "add";
    case MergeKind::subtract: return "subtract";
    case MergeKind::multiply: return "multiply";
    case MergeKind::average: return "average";
    case MergeKind::maximum: return "maximum";
    case MergeKind::minimum: return "minimum";
  }
  return "?";
}

std::string op_name(const Op& op) {
  switch (op.kind) {
    case OpKind::merge: return merge_name(op.merge);
    case OpKind::activity: return "activity_l1l2";
    case OpKind::elementwise: return elementwise_names()[static_cast<std::size_t>(op.get<ElementwiseSpec>().kind)];
    case OpKind::reduce: return reduction_names()[static_cast<std::size_t>(op.get<ReduceSpec>().kind)];
    case OpKind::normalization:
      return normalization_names()[static_cast<std::size_t>(op.get<NormalizationSpec>().kind)];
    default: return kind_name(op.kind);
  }
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

void Graph::check_parameter(int id, index_t rows, index_t width, const char* who) const {
  if (id < 0 || static_cast<std::size_t>(id) >= parameters.size()) {
    fail(std::string(who) + ": there is no parameter " + text(id) + ".");
  }
  const Parameter& p = parameters[static_cast<std::size_t>(id)];
  if (p.rows != rows || p.width != width) {
    fail(std::string(who) + ": expected parameter " + text(id) + " as (" + text(rows) + ", " + text(width) +
         "), got (" + text(p.rows) + ", " + text(p.width) + ").");
  }
}

int Graph::add_value(index_t size, int producer) {
  values.push_back({size, producer, producer >= 0 ? precision_ : Precision::full, {}});
  return static_cast<int>(values.size()) - 1;
}

// Appends an op; a size >= 0 gives it one output of that size.
int Graph::add_op(Op op, index_t size) {
  const int id = static_cast<int>(ops.size());
  if (op.kind != OpKind::host && op.kind != OpKind::activity) op.precision = precision_;
  for (int x : op.inputs) values[static_cast<std::size_t>(x)].consumers.push_back(id);
  int value = -1;
  if (size >= 0) op.outputs.push_back(value = add_value(size, id));
  ops.push_back(std::move(op));
  return value;
}

int Graph::input(index_t size) {
  if (size < 0) fail("input: size must be 0 or more, got " + text(size) + ".");
  const int value = add_value(size, -1);
  inputs.push_back(value);
  return value;
}

int Graph::dense(int x, int kernel, int bias, index_t in_features, index_t out_features,
                 const ActivationSpec& activation) {
  check_value(x, "dense");
  if (in_features < 1 || out_features < 1) fail("dense: in_features and out_features must be 1 or more.");
  const index_t size = values[static_cast<std::size_t>(x)].size;
  if (size % in_features != 0) {
    fail("dense: value " + text(x) + " has " + text(size) + " elements a sample, not a multiple of in_features " +
         text(in_features) + ".");
  }
  check_parameter(kernel, in_features, out_features, "dense kernel");
  if (bias != -1) check_parameter(bias, out_features, 1, "dense bias");
  const bool half = halves_width(activation.kind);
  if (half && out_features % 2 != 0)
    fail("dense: glu needs an even number of out_features, got " + text(out_features) + ".");
  Op op;
  op.kind = OpKind::dense;
  op.inputs = {x};
  op.activation = activation;
  op.kernel = kernel;
  op.bias = bias;
  op.in_features = in_features;
  op.out_features = out_features;
  op.rows_per_sample = size / in_features;
  op.width = out_features;
  const index_t rows = op.rows_per_sample;
  return add_op(std::move(op), rows * (half ? out_features / 2 : out_features));
}

int Graph::activation(int x, const ActivationSpec& spec, index_t width) {
  check_value(x, "activation");
  const index_t size = values[static_cast<std::size_t>(x)].size;
  if (width < 1 || size % width != 0) {
    fail("activation: width " + text(width) + " does not divide the " + text(size) + " elements of value " + text(x) +
         ".");
  }
  const bool half = halves_width(spec.kind);
  if (half && width % 2 != 0) fail("activation: glu needs an even width, got " + text(width) + ".");
  Op op;
  op.kind = OpKind::activation;
  op.inputs = {x};
  op.activation = spec;
  op.width = width;
  return add_op(std::move(op), half ? size / 2 : size);
}

int Graph::dropout(int x, double rate) {
  check_value(x, "dropout");
  if (!(rate >= 0 && rate <= 1)) fail("dropout: rate must be in 0..1, got " + std::to_string(rate) + ".");
  Op op;
  op.kind = OpKind::dropout;
  op.inputs = {x};
  op.rate = rate;
  op.random_node = random_nodes++;
  return add_op(std::move(op), values[static_cast<std::size_t>(x)].size);
}

int Graph::affine(int x, std::vector<double> scale, std::vector<double> offset, index_t width) {
  check_value(x, "affine");
  const index_t size = values[static_cast<std::size_t>(x)].size;
  if (width < 1 || size % width != 0) {
    fail("affine: width " + text(width) + " does not divide the " + text(size) + " elements of value " + text(x) + ".");
  }
  for (const auto* v : {&scale, &offset}) {
    const auto n = static_cast<index_t>(v->size());
    if (n != 1 && n != width)
      fail("affine: scale and offset need 1 or " + text(width) + " elements, got " + text(n) + ".");
  }
  Op op;
  op.kind = OpKind::affine;
  op.inputs = {x};
  op.scale = std::move(scale);
  op.offset = std::move(offset);
  op.width = width;
  return add_op(std::move(op), size);
}

int Graph::merge(const std::string& name, const std::vector<int>& xs) {
  const MergeKind kind = merge_kind(name);
  if (xs.empty()) fail("merge '" + name + "' needs at least one value.");
  for (int x : xs) check_value(x, "merge");
  const index_t size = values[static_cast<std::size_t>(xs[0])].size;
  for (int x : xs) {
    if (values[static_cast<std::size_t>(x)].size != size)
      fail("merge '" + name + "': all values must have equal sizes.");
  }
  if (kind == MergeKind::subtract && xs.size() != 2)
    fail("merge 'subtract' takes two values, got " + text(static_cast<index_t>(xs.size())) + ".");
  if (xs.size() == 1) return xs[0];
  Op op;
  op.kind = OpKind::merge;
  op.merge = kind;
  if (is_row_linear(kind)) {
    op.inputs = xs;
    return add_op(std::move(op), size);
  }
  // Products and extrema pairwise, left to right: the partial results are what their gradients need.
  int left = xs[0];
  for (std::size_t i = 1; i < xs.size(); ++i) {
    op.inputs = {left, xs[i]};
    left = add_op(op, size);
  }
  return left;
}

int Graph::concatenate(const std::vector<int>& xs, const std::vector<index_t>& inners) {
  if (xs.empty() || xs.size() != inners.size()) fail("concatenate: needs as many inners as values, and at least one.");
  index_t size = 0, turns = -1;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    check_value(xs[i], "concatenate");
    const index_t n = values[static_cast<std::size_t>(xs[i])].size;
    if (inners[i] < 0 || (inners[i] == 0 ? n != 0 : n % inners[i] != 0)) {
      fail("concatenate: inner " + text(inners[i]) + " does not divide the " + text(n) + " elements of value " +
           text(xs[i]) + ".");
    }
    if (inners[i] > 0) {
      if (turns >= 0 && n / inners[i] != turns)
        fail("concatenate: the values differ in the axes before the joined one.");
      turns = n / inners[i];
    }
    size += n;
  }
  Op op;
  op.kind = OpKind::concatenate;
  op.inputs = xs;
  op.inners = inners;
  return add_op(std::move(op), size);
}

void Graph::activity_l1l2(int x, double l1, double l2) {
  check_value(x, "activity_l1l2");
  Op op;
  op.kind = OpKind::activity;
  op.inputs = {x};
  op.l1 = l1;
  op.l2 = l2;
  add_op(std::move(op), -1);
}

void Graph::added_loss(int x, double factor, bool sums) {
  check_value(x, "added_loss");
  Op op;
  op.kind = OpKind::activity;
  op.inputs = {x};
  op.linear = factor;
  op.sums = sums;
  add_op(std::move(op), -1);
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
  const int id = static_cast<int>(ops.size());
  add_op(std::move(op), -1);
  for (index_t size : sizes) {
    const int value = add_value(size, id);
    ops.back().outputs.push_back(value);
  }
  return ops.back().outputs;
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
  const int id = static_cast<int>(ops.size());
  add_op(std::move(op), -1);
  for (index_t size : sizes) {
    const int value = add_value(size, id);
    ops.back().outputs.push_back(value);
  }
  return ops.back().outputs;
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

int64_t Graph::flops_per_sample() const {
  int64_t flops = 0;
  for (const Op& op : ops) {
    if (op.kind == OpKind::dense || op.kind == OpKind::dense_int8)
      flops += 2 * op.rows_per_sample * op.in_features * op.out_features;
    if (op.kind != OpKind::product) continue;
    const auto& p = op.get<ProductSpec>();
    flops += 2 * p.batches * p.m * p.k * p.n;
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
  if (op.kernel >= 0) line += ", p" + text(op.kernel);
  if (op.bias >= 0) line += ", p" + text(op.bias);
  for (int p : op.parameters) line += ", p" + text(p);
  line += ")";
  if (op.kind == OpKind::dense) line += " " + text(op.in_features) + " -> " + text(op.out_features);
  if (op.kind == OpKind::dense || op.kind == OpKind::activation) {
    line += std::string(" ") + activation_names()[static_cast<std::size_t>(op.activation.kind)].name;
  }
  if (op.bfloat16()) line += " bfloat16";
  if (op.float16()) line += " float16";
  if (op.kind == OpKind::dropout) line += " rate " + std::to_string(op.rate);
  return line;
}

}  // namespace densekit
