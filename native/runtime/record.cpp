// A batch run forward, kept until gradients of its outputs are known, and taken back; and updates by gradients of others.
#include <cstring>

#include "engine.hpp"
#include "ops/ops.hpp"

namespace densekit {

// The memory of one recorded batch. Weights that its backward reads are copied: they may have changed by then.
template <class T>
struct TypedRecording final : Recording {
  Request request;
  Workspace<T> workspace;
  Batch<T> batch;
  Buffer<T> copies;
  std::vector<T*> weights;  // per parameter: its copy, or null
  RoundedWeights<T> rounded;
  std::unique_ptr<FormulaRun<T>> formulas;
  bool input_gradients = false;
};

// Where a batch waits for the gradients of the outputs.
template <class T>
std::size_t TypedEngine<T>::turning_point(const Program& program) {
  std::size_t i = 0;
  while (program.stages[i].kind != Stage::Kind::seeds) ++i;
  return i;
}

template <class T>
const Program& TypedEngine<T>::recorded_program(bool input_gradients) {
  std::unique_ptr<Program>& program = recorded_[input_gradients ? 1 : 0];
  if (!program) {
    ProgramOptions options;
    options.backward = options.seeds = true;
    options.input_gradients = input_gradients;
    program = std::make_unique<Program>(make_program(graph_, options));
  }
  return *program;
}

template <class T>
void TypedEngine<T>::copy_weights(TypedRecording<T>& r, const Program& program) const {
  index_t total = 0;
  const auto each = [&](auto visit) {
    std::vector<bool> seen(graph_.parameters.size(), false);
    for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
      const Op& op = graph_.ops[i];
      if (!program.ops[i].backward || op.kind == OpKind::host) continue;
      const auto keep = [&](int id) {
        if (seen[static_cast<std::size_t>(id)]) return;
        seen[static_cast<std::size_t>(id)] = true;
        visit(static_cast<std::size_t>(id));
      };
      if (op.kind == OpKind::dense && program.has_gradient[static_cast<std::size_t>(op.inputs[0])])
        keep(op.dense().kernel);
      if (op_functions<T>(op.kind).reads_parameters) {
        for (int id : op.parameters) keep(id);
      }
    }
  };
  each([&](std::size_t p) { total += padded<T>(graph_.parameters[p].size()); });
  T* to = r.copies.reserve(total);
  r.weights.assign(graph_.parameters.size(), nullptr);
  each([&](std::size_t p) {
    const Parameter& parameter = graph_.parameters[p];
    std::memcpy(to, r.batch.context.data(static_cast<int>(p)), static_cast<std::size_t>(parameter.size()) * sizeof(T));
    r.weights[p] = to;
    to += padded<T>(parameter.size());
  });
}

template <class T>
std::unique_ptr<Recording> TypedEngine<T>::record(Request request, bool input_gradients, bool training) {
  FlushDenormals flush;
  std::unique_ptr<TypedRecording<T>> r;
  const Program* program = nullptr;
  {
    const std::lock_guard<std::mutex> lock(recording_);
    program = &recorded_program(input_gradients);
    auto& idle = idle_[input_gradients ? 1 : 0];
    if (!idle.empty()) {
      r.reset(static_cast<TypedRecording<T>*>(idle.back().release()));
      idle.pop_back();
    }
  }
  if (!r) r = std::make_unique<TypedRecording<T>>();
  r->input_gradients = input_gradients;
  r->request = std::move(request);
  r->workspace.prepare(graph_, *program, r->request.n);
  start(r->batch, r->request, *program, r->workspace, training);
  begin_batch(r->batch, 0);
  r->batch.context.counters = r->request.counters.data();
  if (!r->formulas) r->formulas = new_formulas();
  r->batch.context.own_weights = r->formulas ? r->formulas->forward(false) : nullptr;
  r->batch.context.formulas = r->formulas.get();
  copy_weights(*r, *program);
  if (has_float16_) r->batch.context.rounded = r->rounded.round(graph_, *kernels_);
  PoolLease pool(flops_ * static_cast<double>(r->request.n) > kSplitFlops);
  run_stages(r->batch, pool, flush, 0, turning_point(*program));
  write_predictions(r->batch, 0, r->batch.rows);
  if (training) write_state(r->batch);
  return r;
}

template <class T>
void TypedEngine<T>::pull_back(Recording& recording, const std::vector<const void*>& d_outputs,
                               const GradientRequest& wanted) {
  FlushDenormals flush;
  auto& r = static_cast<TypedRecording<T>&>(recording);
  Batch<T>& batch = r.batch;
  const Program& program = *batch.context.program;
  std::vector<bool> written(graph_.values.size(), false);
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const int v = graph_.outputs[i];
    if (!program.has_gradient[static_cast<std::size_t>(v)]) continue;
    const bool first = !written[static_cast<std::size_t>(v)];
    written[static_cast<std::size_t>(v)] = true;
    if (d_outputs[i] != nullptr) {
      pass_gradient(batch.context, v, first ? GradientWrite::set : GradientWrite::add, 0, batch.rows,
                    static_cast<const T*>(d_outputs[i]));
    } else if (first) {
      std::memset(batch.context.gradient(v, 0), 0,
                  static_cast<std::size_t>(batch.rows * batch.context.size(v)) * sizeof(T));
    }
    round_gradient(batch.context, v, 0, batch.rows);
  }
  batch.context.own_weights = r.weights.data();
  PoolLease pool(2 * flops_ * static_cast<double>(batch.rows) > kSplitFlops);
  run_stages(batch, pool, flush, turning_point(program) + 1, program.stages.size());
  const std::lock_guard<std::mutex> lock(recording_);
  if (!gradients_prepared_) gradient_updater_.prepare(graph_, kernels_);
  gradients_prepared_ = true;
  std::vector<T*> parameters;
  for (void* p : wanted.parameters) parameters.push_back(static_cast<T*>(p));
  const UpdateStep step{nullptr, nullptr, batch.rows, nullptr, &flush, &batch.host_gradients};
  gradient_updater_.gradients(batch.context, step, parameters);
  batch.context.own_weights = nullptr;
  for (std::size_t i = 0; i < wanted.inputs.size(); ++i) {
    const int v = graph_.inputs[i];
    const auto bytes = static_cast<std::size_t>(batch.rows * batch.context.size(v)) * sizeof(T);
    if (program.has_gradient[static_cast<std::size_t>(v)])
      std::memcpy(wanted.inputs[i], batch.context.gradient(v, 0), bytes);
    else std::memset(wanted.inputs[i], 0, bytes);
  }
}

template <class T>
void TypedEngine<T>::give_back(std::unique_ptr<Recording> recording) {
  auto* r = static_cast<TypedRecording<T>*>(recording.get());
  const std::lock_guard<std::mutex> lock(recording_);
  auto& idle = idle_[r->input_gradients ? 1 : 0];
  if (idle.size() < kIdleRecordings) idle.push_back(std::move(recording));
}

template <class T>
void TypedEngine<T>::apply(const std::vector<const void*>& gradients, int64_t iteration, double learning_rate,
                           Host* host) {
  const RunGuard guard(running_);
  graph_.check_trainable();
  const WriteGuard writing(graph_, true);
  if (!prepared_) updater_.prepare(graph_, kernels_);
  prepared_ = true;
  FlushDenormals flush;
  PoolLease pool(updater_.elements() > kSplitElements);
  Context<T> context;
  context.kernels = kernels_;
  context.graph = &graph_;
  context.program = &train_;
  UpdateStep step{&iteration, &learning_rate, 0, host, &flush, nullptr};
  step.given = &gradients;
  updater_.update(context, step, pool, nullptr);
}

#define DENSEKIT_INSTANTIATE(T)                                                                                 \
  template std::unique_ptr<Recording> TypedEngine<T>::record(Request, bool, bool);                              \
  template void TypedEngine<T>::pull_back(Recording&, const std::vector<const void*>&, const GradientRequest&); \
  template void TypedEngine<T>::give_back(std::unique_ptr<Recording>);                                          \
  template void TypedEngine<T>::apply(const std::vector<const void*>&, int64_t, double, Host*);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
