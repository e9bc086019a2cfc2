#include "program.hpp"

#include <algorithm>
#include <cstdint>

#include "buffer.hpp"

namespace densekit {
namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

bool has_trainable(const Graph& graph, const Op& op) {
  const auto trainable = [&](int p) { return p >= 0 && graph.parameters[at(p)].trainable; };
  if (trainable(op.kernel) || trainable(op.bias)) return true;
  for (int p : op.parameters) {
    if (trainable(p)) return true;
  }
  return false;
}

// A gradient is needed where it leads on to something wanted: upstream to a trainable parameter (or an input whose
// gradient was asked for) and downstream to a loss.
void find_gradients(const Graph& graph, Program& program) {
  const std::size_t n = graph.values.size();
  std::vector<bool> leads_up(n, false), leads_down(n, false);
  program.has_gradient.assign(n, false);
  if (!program.options.backward) return;
  if (program.options.input_gradients) {
    for (int v : graph.inputs) leads_up[at(v)] = true;
  }
  for (const Op& op : graph.ops) {
    bool up = has_trainable(graph, op);
    for (int x : op.inputs) up = up || leads_up[at(x)];
    for (int y : op.outputs) leads_up[at(y)] = up;
  }
  for (const Loss& loss : graph.losses) leads_down[at(graph.outputs[at(loss.output)])] = true;
  for (std::size_t i = graph.ops.size(); i-- > 0;) {
    const Op& op = graph.ops[i];
    // A host node may add a loss of its own.
    bool down = op.kind == OpKind::activity || op.kind == OpKind::host;
    for (int y : op.outputs) down = down || leads_down[at(y)];
    if (!down) continue;
    for (int x : op.inputs) leads_down[at(x)] = true;
  }
  for (std::size_t v = 0; v < n; ++v) program.has_gradient[v] = leads_up[v] && leads_down[v];
}

bool op_runs_backward(const Graph& graph, const Program& program, const Op& op) {
  bool wanted = has_trainable(graph, op);
  for (int x : op.inputs) wanted = wanted || program.has_gradient[at(x)];
  if (!wanted) return false;
  if (op.kind == OpKind::activity || op.kind == OpKind::host) return true;
  for (int y : op.outputs) {
    if (program.has_gradient[at(y)]) return true;
  }
  return false;
}

// softmax + (sparse) categorical and sigmoid + binary cross-entropy, of probabilities, when the activation is the last
// thing before the loss and nobody else reads its result.
bool is_pair(const Graph& graph, const Op& op, const Loss& loss) {
  if (op.kind != OpKind::dense && op.kind != OpKind::activation) return false;
  if (graph.values[at(op.outputs[0])].consumers.size() != 0 || loss.host || loss.spec.p[0] != 0) return false;
  const bool row = loss.spec.kind == LossKind::categorical_crossentropy ||
                   loss.spec.kind == LossKind::sparse_categorical_crossentropy;
  if (op.activation.kind == ActivationKind::softmax) return row && loss.width == op.width;
  return op.activation.kind == ActivationKind::sigmoid && loss.spec.kind == LossKind::binary_crossentropy;
}

void fuse_losses(const Graph& graph, Program& program) {
  program.losses.resize(graph.losses.size());
  if (!program.options.losses || !program.options.fuse) return;
  for (std::size_t i = 0; i < graph.losses.size(); ++i) {
    const int value = graph.outputs[at(graph.losses[i].output)];
    const int producer = graph.values[at(value)].producer;
    int readers = 0;
    for (const Loss& other : graph.losses) readers += graph.outputs[at(other.output)] == value;
    if (producer < 0 || readers != 1 || !is_pair(graph, graph.ops[at(producer)], graph.losses[i])) continue;
    program.ops[at(producer)].fused_loss = true;
    program.losses[i].fused_op = producer;
  }
}

// The first to write a gradient sets it, later ones add: losses in order, then ops from the last to the first.
void assign_writes(const Graph& graph, Program& program) {
  std::vector<bool> written(graph.values.size(), false);
  const auto next_write = [&](int v) {
    if (!program.has_gradient[at(v)]) return GradientWrite::none;
    const GradientWrite write = written[at(v)] ? GradientWrite::add : GradientWrite::set;
    written[at(v)] = true;
    return write;
  };
  for (bool host : {false, true}) {  // native losses are computed before the host's
    for (std::size_t i = 0; i < graph.losses.size(); ++i) {
      if (graph.losses[i].host != host) continue;
      program.losses[i].write = next_write(graph.outputs[at(graph.losses[i].output)]);
    }
  }
  for (std::size_t i = graph.ops.size(); i-- > 0;) {
    const Op& op = graph.ops[i];
    ProgramOp& p = program.ops[i];
    p.writes.assign(op.inputs.size(), GradientWrite::none);
    p.backward = op_runs_backward(graph, program, op);
    if (!p.backward) continue;
    for (std::size_t k = 0; k < op.inputs.size(); ++k) p.writes[k] = next_write(op.inputs[k]);
  }
}

void choose_buffers(const Graph& graph, Program& program) {
  program.alias.resize(graph.values.size());
  index_t elements = 0;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    program.alias[v] = static_cast<int>(v);
    elements += graph.values[v].size * (program.has_gradient[v] ? 2 : 1);
  }
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    ProgramOp& p = program.ops[i];
    if (op.kind == OpKind::dropout && program.options.alias_dropout) {
      program.alias[at(op.outputs[0])] = program.alias[at(op.inputs[0])];
    }
    if (op.kind != OpKind::dense) continue;
    const ActivationNeeds needs = activation_needs(op.activation);
    p.keeps_pre = needs.half_width || (p.backward && needs.pre && !p.fused_loss);
    p.own_dz = needs.half_width && p.backward;
    if (p.keeps_pre) elements += op.rows_per_sample * op.out_features;
    if (p.own_dz) elements += op.rows_per_sample * op.out_features;
  }
  program.elements_per_sample = elements;
}

// Host nodes cut the op list into segments; the last forward segment, the losses and the first backward segment are
// one stage unless a host loss stands between them.
void make_stages(const Graph& graph, Program& program) {
  const int n = static_cast<int>(graph.ops.size());
  std::vector<Stage> backward;  // collected from the front, run from the back
  Stage segment;
  segment.gather = true;
  for (int i = 0; i < n; ++i) {
    if (graph.ops[at(i)].kind != OpKind::host) continue;
    program.has_host = true;
    segment.forward_end = i;
    program.stages.push_back(segment);
    Stage host;
    host.kind = Stage::Kind::host_forward;
    host.op = i;
    program.stages.push_back(host);
    Stage back;
    back.backward_begin = segment.forward_begin;
    back.backward_end = i;
    backward.push_back(back);
    host.kind = Stage::Kind::host_backward;
    if (program.ops[at(i)].backward) backward.push_back(host);
    segment = Stage{};
    segment.forward_begin = i + 1;
  }
  segment.forward_end = n;
  segment.losses = program.options.losses;
  Stage back;
  back.backward_begin = segment.forward_begin;
  back.backward_end = n;
  bool host_losses = false;
  for (const Loss& loss : graph.losses) host_losses = host_losses || loss.host;
  host_losses = host_losses && program.options.losses;
  if (program.options.backward && !host_losses) {
    segment.backward_begin = back.backward_begin;
    segment.backward_end = back.backward_end;
  }
  program.stages.push_back(segment);
  if (host_losses) {
    Stage stage;
    stage.kind = Stage::Kind::host_losses;
    program.stages.push_back(stage);
    program.has_host = true;
    if (program.options.backward) program.stages.push_back(back);
  }
  if (!program.options.backward) return;
  for (std::size_t i = backward.size(); i-- > 0;) program.stages.push_back(backward[i]);
}

// Weights nobody else reads stay in the cache of the core that updates them. That is possible where a core can do
// without the other's weights: a dense op whose input needs no gradient, its kernel used nowhere else, its update
// elementwise. Below this many weights the lines that cross cost less than the extra meeting.
constexpr index_t kUnitWeights = 1 << 13;

bool can_go_by_units(const Graph& graph, const Program& program, std::size_t i) {
  const Op& op = graph.ops[i];
  if (op.kind != OpKind::dense || !program.ops[i].backward || program.ops[i].writes[0] != GradientWrite::none) return false;
  const Parameter& kernel = graph.parameters[at(op.kernel)];
  if (!kernel.trainable || kernel.size() < kUnitWeights) return false;
  // A penalty is summed in blocks of rows, whoever updates them.
  if (kernel.regularizer.kind != RegularizerKind::none || kernel.host_regularizer) return false;
  int uses = 0;
  for (const Op& other : graph.ops) {
    uses += (other.kernel == op.kernel) + (other.bias == op.kernel);
    for (int p : other.parameters) uses += p == op.kernel;
  }
  return uses == 1;
}

void choose_units(const Graph& graph, Program& program) {
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    program.ops[i].by_units = can_go_by_units(graph, program, i);
    program.any_by_units = program.any_by_units || program.ops[i].by_units;
  }
  for (const Stage& stage : program.stages) {
    Stage rest = stage;
    for (int i = stage.forward_begin; stage.kind == Stage::Kind::rows && i < stage.forward_end; ++i) {
      if (!program.ops[at(i)].by_units) continue;
      Stage before;  // gathers and runs what comes first
      before.gather = rest.gather;
      before.resumes = rest.resumes;
      before.forward_begin = rest.forward_begin;
      before.forward_end = i;
      if (before.gather || before.forward_begin < i) program.shared_stages.push_back(before);
      Stage units;
      units.kind = Stage::Kind::units;
      units.op = i;
      program.shared_stages.push_back(units);
      rest.gather = false;
      rest.resumes = true;
      rest.forward_begin = i;
    }
    program.shared_stages.push_back(rest);
  }
}

}  // namespace

UnitRange unit_range(const void* weights, index_t item_size, index_t width, index_t part, index_t parts) {
  const index_t line = static_cast<index_t>(kAlignment) / item_size;
  const auto address = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(weights) % kAlignment);
  const index_t shift = width % line == 0 ? (static_cast<index_t>(kAlignment) - address) / item_size % line : 0;
  const auto cut = [&](index_t k) {
    if (k == 0) return index_t{0};
    if (k == parts) return width;
    return std::min(width, (width * k / parts + line / 2) / line * line + (shift > line / 2 ? shift - line : shift));
  };
  const index_t first = std::max<index_t>(0, cut(part));
  return {first, std::max<index_t>(0, cut(part + 1) - first)};
}

Program make_program(const Graph& graph, const ProgramOptions& options) {
  Program program;
  program.options = options;
  program.ops.resize(graph.ops.size());
  find_gradients(graph, program);
  fuse_losses(graph, program);
  assign_writes(graph, program);
  choose_buffers(graph, program);
  make_stages(graph, program);
  choose_units(graph, program);
  return program;
}

}  // namespace densekit
