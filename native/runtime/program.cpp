#include "program.hpp"

#include <algorithm>

namespace densekit {
namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

bool has_trainable(const Graph& graph, const Op& op) {
  const auto trainable = [&](int p) { return graph.parameters[at(p)].takes_gradient(); };
  return std::any_of(op.parameters.begin(), op.parameters.end(), trainable);
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
  for (const Loss& loss : graph.losses) leads_down[at(loss.value)] = true;
  for (std::size_t i = 0; program.options.seeds && i < graph.outputs.size(); ++i)
    leads_down[at(graph.outputs[i])] = true;
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
  const ActivationSpec* activation = nullptr;
  index_t width = 0;
  if (op.kind == OpKind::dense) {
    activation = &op.dense().activation;
    width = op.dense().out_features;
  }
  if (op.kind == OpKind::activation) {
    activation = &op.get<ActivateSpec>().activation;
    width = op.get<ActivateSpec>().width;
  }
  if (activation == nullptr) return false;
  if (graph.values[at(op.outputs[0])].consumers.size() != 0 || !loss.by_rows() || loss.given || loss.spec.p[0] != 0)
    return false;
  const bool row = loss.spec.kind == LossKind::categorical_crossentropy ||
                   loss.spec.kind == LossKind::sparse_categorical_crossentropy;
  if (activation->kind == ActivationKind::softmax) return row && loss.width == width;
  return activation->kind == ActivationKind::sigmoid && loss.spec.kind == LossKind::binary_crossentropy;
}

void fuse_losses(const Graph& graph, Program& program) {
  program.losses.resize(graph.losses.size());
  if (!program.options.losses || !program.options.fuse) return;
  for (std::size_t i = 0; i < graph.losses.size(); ++i) {
    const int value = graph.losses[i].value;
    const int producer = graph.values[at(value)].producer;
    int readers = 0;
    for (const Loss& other : graph.losses) readers += other.value == value;
    if (producer < 0 || readers != 1 || !is_pair(graph, graph.ops[at(producer)], graph.losses[i])) continue;
    program.ops[at(producer)].fused_loss = true;
    program.losses[i].fused_op = producer;
  }
}

// The first to write a gradient sets it, later ones add: losses, then ops from the last to the first.
void assign_writes(const Graph& graph, Program& program) {
  std::vector<bool> written(graph.values.size(), false);
  for (std::size_t i = 0; program.options.seeds && i < graph.outputs.size(); ++i) written[at(graph.outputs[i])] = true;
  const auto next_write = [&](int v) {
    if (!program.has_gradient[at(v)]) return GradientWrite::none;
    const GradientWrite write = written[at(v)] ? GradientWrite::add : GradientWrite::set;
    written[at(v)] = true;
    return write;
  };
  const auto write_losses = [&](auto wanted) {
    for (std::size_t i = 0; i < graph.losses.size(); ++i) {
      if (wanted(graph.losses[i])) program.losses[i].write = next_write(graph.losses[i].value);
    }
  };
  write_losses([](const Loss& loss) { return loss.by_rows(); });  // in the order they are computed
  write_losses([](const Loss& loss) { return loss.whole_batch; });
  write_losses([](const Loss& loss) { return loss.host; });
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
    if (op.kind == OpKind::dropout && program.options.alias_dropout && !op.always_draws) {
      program.alias[at(op.outputs[0])] = program.alias[at(op.inputs[0])];
    }
    if (op.kind != OpKind::dense) {
      p.saved = p.backward ? op.saved : 0;
      elements += p.saved;
      continue;
    }
    const DenseSpec& s = op.dense();
    const bool half = halves_width(s.activation.kind);
    p.keeps_pre = half || (p.backward && saved_for_backward(s.activation).pre && !p.fused_loss);
    p.own_dz = half && p.backward;
    if (s.activation.kind != ActivationKind::linear && !p.fused_loss) {
      const bool in_product = is_plain_relu(s.activation) && !p.keeps_pre;
      p.activates = in_product                            ? Activates::in_product
                    : takes_whole_rows(s.activation.kind) ? Activates::by_rows
                                                          : Activates::by_units;
    }
    if (p.keeps_pre) p.saved = s.rows_per_sample * s.out_features;
    elements += p.saved;
    if (p.own_dz) elements += s.rows_per_sample * s.out_features;
  }
  program.elements_per_sample = elements;
}

// Host nodes and ops over the batch cut the op list into segments; the last forward segment, the losses and the first
// backward segment are one stage unless a loss that needs all rows stands between them, or a mask whose sum one needs first. A host node is in no segment; an
// op over the batch begins a forward segment, and ends a backward one.
void make_stages(const Graph& graph, Program& program) {
  const int n = static_cast<int>(graph.ops.size());
  std::vector<Stage> backward;  // collected from the front, run from the back
  Stage segment;
  segment.gather = true;
  int backward_begin = 0;
  for (int i = 0; i < n; ++i) {
    const bool on_host = graph.ops[at(i)].kind == OpKind::host;
    if (!on_host && graph.ops[at(i)].scope == Scope::row) continue;
    program.has_host = program.has_host || on_host;
    program.has_batch_ops = program.has_batch_ops || !on_host;
    segment.forward_end = i;
    program.stages.push_back(segment);
    Stage between;
    between.kind = on_host ? Stage::Kind::host_forward : Stage::Kind::before_forward;
    between.op = i;
    program.stages.push_back(between);
    Stage back;
    back.backward_begin = backward_begin;
    back.backward_end = on_host ? i : i + 1;
    backward.push_back(back);
    between.kind = on_host ? Stage::Kind::host_backward : Stage::Kind::before_backward;
    if (program.ops[at(i)].backward) backward.push_back(between);
    segment = Stage{};
    segment.forward_begin = on_host ? i + 1 : i;
    backward_begin = i + 1;
  }
  segment.forward_end = n;
  const auto has_mask = [](const Loss& loss) { return loss.mask >= 0; };
  if (program.options.losses && std::any_of(graph.losses.begin(), graph.losses.end(), has_mask)) {
    program.stages.push_back(segment);
    Stage weights;
    weights.kind = Stage::Kind::loss_weights;
    program.stages.push_back(weights);
    segment = Stage{};
    segment.forward_begin = segment.forward_end = n;
  }
  segment.losses = program.options.losses;
  Stage back;
  back.backward_begin = backward_begin;
  back.backward_end = n;
  bool batch_losses = false;
  for (const Loss& loss : graph.losses) {
    if (!program.options.losses || loss.by_rows()) continue;
    batch_losses = true;
    program.has_host = program.has_host || loss.host;
  }
  if (program.options.backward && !batch_losses && !program.options.seeds) {
    segment.backward_begin = back.backward_begin;
    segment.backward_end = back.backward_end;
  }
  program.stages.push_back(segment);
  if (batch_losses) {
    Stage stage;
    stage.kind = Stage::Kind::batch_losses;
    program.stages.push_back(stage);
    if (program.options.backward) program.stages.push_back(back);
  }
  if (program.options.seeds) {
    Stage stage;
    stage.kind = Stage::Kind::seeds;
    program.stages.push_back(stage);
    program.stages.push_back(back);
  }
  if (!program.options.backward) return;
  for (std::size_t i = backward.size(); i-- > 0;) program.stages.push_back(backward[i]);
}

}  // namespace

Program make_program(const Graph& graph, const ProgramOptions& options) {
  Program program;
  program.options = options;
  program.ops.resize(graph.ops.size());
  find_gradients(graph, program);
  fuse_losses(graph, program);
  assign_writes(graph, program);
  choose_buffers(graph, program);
  make_stages(graph, program);
  return program;
}

}  // namespace densekit
