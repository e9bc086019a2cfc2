// Chunks of batches: training, testing, and the gradients of one batch.
#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "engine.hpp"
#include "ops/ops.hpp"

namespace densekit {
namespace {

using Clock = std::chrono::steady_clock;

// A user's Ctrl-C is noticed this soon, at the end of a step.
constexpr auto kSignalPeriod = std::chrono::milliseconds(100);

// Moving weights costs about as much as a step gains from it.
constexpr index_t kMovingSteps = 4;
constexpr index_t kPanelledBytes = 64 << 10;      // smaller kernels gain less than one more barrier costs
constexpr index_t kAllPanels = index_t{1} << 29;  // a second copy of more is memory better left to others
// Every thread updates its copies: with many rows that costs more than weights which cross between the cores. Zen 4, a
// step of 100-100-100-10 with batch 32: 48 us in place, 42 in copies; 12 layers of 64 with batch 64: 225 us, 246.
constexpr index_t kCopiedRows = 48;

// Weights are with the threads for the life of the object, and back with the host after it, whatever ended the run.
template <class T>
class Visit {
 public:
  Visit(WeightStore<T>& store, Updater<T>& updater, const Graph& graph, Moves moves, PoolLease& pool)
      : store_(store), updater_(updater), graph_(graph), moves_(std::move(moves)), pool_(pool) {}
  ~Visit() {
    if (store_.workers() > 0) move(0);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  void threads(int workers) {
    const bool any = !moves_.in_panels.empty() || (workers > 1 && !moves_.in_copies.empty());
    if (workers != store_.workers() && (any || store_.workers() > 0)) move(any ? workers : 0);
  }

 private:
  void move(int workers) {
    store_.bring_back(pool_);
    updater_.cut(store_);  // in case there is no memory for what follows
    if (workers == 0) return;
    store_.bring_in(graph_, workers > 1 ? moves_ : Moves{moves_.in_panels, {}}, workers, pool_);
    updater_.cut(store_);
  }

  WeightStore<T>& store_;
  Updater<T>& updater_;
  const Graph& graph_;
  Moves moves_;
  PoolLease& pool_;
};

}  // namespace

template <class T>
TypedEngine<T>::TypedEngine(const Graph& graph, bool fuse) : graph_(graph) {
  const Implementation* implementation = active_implementation();
  if (implementation == nullptr) throw std::runtime_error(implementation_error());
  if constexpr (sizeof(T) == 4) kernels_ = implementation->f32;
  else kernels_ = implementation->f64;
  ProgramOptions options;
  options.fuse = fuse;
  options.losses = options.backward = true;
  train_ = make_program(graph, options);
  options.backward = false;
  options.alias_dropout = true;
  test_ = make_program(graph, options);
  options.losses = false;
  infer_ = make_program(graph, options);
  constants_.resize(graph.ops.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Op& op = graph.ops[i];
    constants_[i].assign(op.constants.begin(), op.constants.end());
    n_activities_ += op.kind == OpKind::activity;
    always_draws_ = always_draws_ || op.always_draws;
  }
  flops_ = static_cast<double>(graph.flops_per_sample());
  has_float16_ = RoundedWeights<T>::wanted(graph);
  train_block_ = block_rows(train_);
  infer_block_ = infer_rows();
  prepacked_.prepare(graph, infer_, kernels_);
  if (graph.formulas.graph) formula_plan_ = std::make_unique<FormulaPlan<T>>(graph);
  formulas_ = new_formulas();
}

template <class T>
void TypedEngine<T>::begin_change() {
  if (running_.exchange(true)) throw std::runtime_error("The plan is running; change its optimizer between runs.");
  prepared_ = false;
}

template <class T>
std::unique_ptr<FormulaRun<T>> TypedEngine<T>::new_formulas() const {
  return formula_plan_ ? std::make_unique<FormulaRun<T>>(*formula_plan_, *kernels_) : nullptr;
}

template <class T>
void TypedEngine<T>::end_change() {
  running_.store(false);
}

template <class T>
void TypedEngine<T>::begin_batch(Batch<T>& batch, index_t step) const {
  const Request& r = *batch.request;
  batch.first = step * r.batch_size;
  batch.rows = std::min(r.batch_size, r.n - batch.first);
  batch.pick = {r.index == nullptr ? nullptr : r.index + batch.first, batch.first};
  batch.extra_loss = 0;
  std::fill(batch.worker_inputs.begin(), batch.worker_inputs.end(),
            nullptr);  // this batch may be shared out in another way
  batch.context.batch = batch.rows;
  batch.context.activity_scale = batch.context.loss_scale / static_cast<T>(batch.rows);
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    const Loss& loss = graph_.losses[i];
    if (loss.host) continue;
    const bool weighted = r.weights[i].data != nullptr;
    const index_t n = loss.count(batch.rows);
    const T* weight = batch.workspace->loss(i).weight;
    batch.loss_spec[i] = loss.spec;
    if (takes_plus_minus_labels(loss.spec.kind)) {
      T* target = batch.workspace->loss(i).target;
      gather(*kernels_, r.targets[i], batch.pick, batch.rows, target);
      batch.loss_spec[i].p[0] = all_zero_one(n * loss.width, target);
    }
    if (weighted) {
      gather_weights(*kernels_, r.weights[i], batch.pick, batch.rows, loss.positions, batch.workspace->loss(i).weight);
    }
    double divisor = loss.reduction == Reduction::sum ? 1.0 : static_cast<double>(n);
    if (loss.reduction == Reduction::mean_with_sample_weight && weighted) {
      divisor = 0;
      for (index_t k = 0; k < n; ++k) divisor += weight[k];
      if (r.weights[i].elements != loss.positions) divisor /= static_cast<double>(loss.positions);  // one a sample
    }
    batch.loss_divisor[i] = divisor;
    batch.loss_scale[i] = divisor == 0 ? T(0) : static_cast<T>(loss.weight / divisor) * batch.context.loss_scale;
  }
}

// losses[0] the total, losses[1 + i] loss i; rows summed in their order.
template <class T>
void TypedEngine<T>::write_losses(Batch<T>& batch, double penalties, double* losses) const {
  double total = penalties + batch.extra_loss;
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    const Loss& loss = graph_.losses[i];
    double value = 0;
    if (loss.host) {
      value = batch.host_loss[i];
    } else {
      const LossBuffers<T>& b = batch.workspace->loss(i);
      const index_t n = loss.count(batch.rows);
      const bool weighted = is_weighted(batch, i);
      for (index_t k = 0; k < n; ++k) {
        value += weighted ? static_cast<double>(b.row_loss[k]) * b.weight[k] : static_cast<double>(b.row_loss[k]);
      }
      value = batch.loss_divisor[i] == 0 ? 0 : value / batch.loss_divisor[i];
    }
    total += loss.weight * value;
    losses[1 + i] = value;
  }
  const double* activity = batch.workspace->activity();
  double penalty = 0;
  for (index_t k = 0; k < batch.rows * n_activities_; ++k) penalty += activity[k];
  losses[0] = total + penalty / static_cast<double>(batch.rows);
}

// In panels: kernels of which, left in place, more would cross between the threads than of the values their units are
// computed from and into. Nothing where the host may look at weights during a run. The number of threads does not
// matter: penalties are summed panel by panel, and have the same bits on any number of them.
template <class T>
Moves TypedEngine<T>::find_moves(index_t batch_rows) const {
  const auto asks_host = [](const Parameter& p) { return p.host_regularizer || p.host_constraint; };
  Moves moves;
  if (train_.has_host || std::any_of(graph_.parameters.begin(), graph_.parameters.end(), asks_host)) return moves;
  std::vector<bool> seen(graph_.parameters.size(), false);
  index_t total = 0;
  const auto visit = [&](const Op& op, const DenseSpec& s, int id) {
    if (seen[static_cast<std::size_t>(id)] || !updater_.may_move(id)) return;
    if (has_float16_ && RoundedWeights<T>::has(graph_, id)) return;
    seen[static_cast<std::size_t>(id)] = true;
    const index_t rows = batch_rows * s.rows_per_sample;
    const index_t size = graph_.parameters[static_cast<std::size_t>(id)].size(),
                  bytes = size * static_cast<index_t>(sizeof(T));
    if (bytes < kPanelledBytes) {
      if (rows <= kCopiedRows && packed_.kernel(id, 0) == nullptr) moves.in_copies.push_back(id);
      return;
    }
    const bool own_rows = graph_.values[static_cast<std::size_t>(op.inputs[0])].producer < 0;
    const index_t crossing = rows * (s.out_features + (own_rows ? 0 : s.in_features));
    if (size < crossing || !updater_.may_lie_in_panels(id)) return;
    total += bytes;
    moves.in_panels.push_back(id);
  };
  for (const Op& op : graph_.ops) {
    if (op.kind != OpKind::dense) continue;
    for (int id : op.parameters) visit(op, op.dense(), id);
  }
  if (total > kAllPanels) moves.in_panels.clear();
  return moves;
}

template <class T>
index_t TypedEngine<T>::run_chunk(const Request& request, const Program& program, Workspace<T>& workspace,
                                  ThreadTuner& tuner) {
  const bool training = program.options.backward;
  RunGuard guard(running_);
  if (training) graph_.check_trainable();
  const WriteGuard writing(graph_, training);
  if (!prepared_) updater_.prepare(graph_, kernels_);
  prepared_ = true;
  FlushDenormals flush;
  auto last_signal = Clock::now(), last_step = last_signal;
  steps_done_ = steps_left_out_ = 0;
  const index_t rows = std::min(request.batch_size, request.n);
  workspace.prepare(graph_, program, rows);
  Batch<T> batch;
  start(batch, request, program, workspace, training);
  const index_t steps = (request.n + request.batch_size - 1) / request.batch_size;
  const double flops = flops_ * 3 * static_cast<double>(rows);
  PoolLease pool(flops > kSplitFlops || updater_.elements() > kSplitElements);
  packed_.prepare(graph_, program, kernels_, rows);
  packed_.pack_kernels(moved_, pool);
  Visit<T> visit(moved_, updater_, graph_, training && steps >= kMovingSteps ? find_moves(rows) : Moves{}, pool);
  const int most = pool.workers();
  batch.context.packed = &packed_;
  batch.context.formulas = formulas_.get();
  const double penalties = training ? 0 : updater_.penalties(request.host, flush);
  batch.worker_buffers = std::vector<Buffer<T>>(static_cast<std::size_t>(most) * graph_.ops.size());
  batch.worker_inputs.assign(batch.worker_buffers.size(), nullptr);
  batch.context.moved = &moved_;
  batch.context.worker_inputs = batch.worker_inputs.data();
  std::vector<uint64_t> counters = request.counters;
  batch.context.counters = counters.data();
  std::vector<int64_t> iterations = request.iterations;
  std::vector<double> rates(iterations.size());
  while (steps_done_ < steps) {
    const index_t s = steps_done_;
    if (training) batch.context.loss_scale = static_cast<T>(graph_.loss_scale.now());
    begin_batch(batch, s);
    if (formulas_ && (training || s == 0)) formulas_->forward(true);
    if (has_float16_) batch.context.rounded = rounded_.round(graph_, *kernels_);
    pool.limit(tuner.next(most, rows));
    visit.threads(pool.workers());
    run_stages(batch, pool, flush);
    double step_penalties = penalties;
    if (training) {
      const index_t made = s - steps_left_out_;
      for (std::size_t i = 0; i < iterations.size(); ++i) {
        iterations[i] = request.iterations[i] + made;
        rates[i] = request.learning_rates[static_cast<index_t>(i) * steps + made];
      }
      UpdateStep update{iterations.data(), rates.data(), batch.rows, request.host, &flush, &batch.host_gradients};
      update.loss_scale = batch.context.loss_scale;
      bool left_out = false;
      step_penalties = updater_.update(batch.context, update, pool, &left_out);
      if (left_out) ++steps_left_out_;
      write_state(batch);
    }
    write_losses(batch, step_penalties, request.losses + s * static_cast<index_t>(1 + graph_.losses.size()));
    for (const Op& op : graph_.ops) {
      if (op.random_node >= 0)
        counters[static_cast<std::size_t>(op.random_node)] += static_cast<uint64_t>(op.draws_a_step);
    }
    ++steps_done_;
    const auto now = Clock::now();
    tuner.record(std::chrono::duration<double>(now - last_step).count(), batch.rows);
    last_step = now;
    if (now - last_signal > kSignalPeriod && request.host != nullptr) {
      last_signal = now;
      const CallerFloatMode mode(flush);
      request.host->check_signals();
    }
  }
  return steps_done_;
}

// State follows a step that is done, as the weights do.
template <class T>
void TypedEngine<T>::write_state(const Batch<T>& batch) const {
  for (std::size_t i = 0; i < graph_.ops.size(); ++i) {
    const Op& op = graph_.ops[i];
    if (!op.state.empty()) op_functions<T>(op.kind).write_state(batch.context, static_cast<int>(i), batch.rows);
  }
}

template <class T>
void TypedEngine<T>::start(Batch<T>& batch, const Request& request, const Program& program, Workspace<T>& workspace,
                           bool training) const {
  batch.request = &request;
  batch.workspace = &workspace;
  batch.loss_spec.resize(graph_.losses.size());
  batch.loss_scale.assign(graph_.losses.size(), T(0));
  batch.loss_divisor.assign(graph_.losses.size(), 1.0);
  batch.host_loss.assign(graph_.losses.size(), 0.0);
  batch.host_gradients.resize(static_cast<std::size_t>(graph_.host_nodes));
  Context<T>& c = batch.context;
  c.kernels = kernels_;
  c.graph = &graph_;
  c.program = &program;
  c.constants = &constants_;
  c.frame = workspace.frame();
  c.training = training;
  c.activity = workspace.activity();
  c.n_activities = n_activities_;
  c.keys = request.keys.data();
  c.counters = request.counters.data();
}

template <class T>
index_t TypedEngine<T>::train(const Request& request) {
  return run_chunk(request, train_, train_space_, train_tuner_);
}

template <class T>
index_t TypedEngine<T>::evaluate(const Request& request) {
  return run_chunk(request, test_, test_space_, test_tuner_);
}

template <class T>
void TypedEngine<T>::gradients(const Request& request, const GradientRequest& wanted) {
  RunGuard guard(running_);
  FlushDenormals flush;
  ProgramOptions options = train_.options;
  options.input_gradients = true;
  const Program program = make_program(graph_, options);
  Workspace<T> workspace;
  workspace.prepare(graph_, program, request.n);
  Updater<T> updater;
  updater.prepare(graph_, kernels_);
  Batch<T> batch;
  start(batch, request, program, workspace, wanted.training);
  begin_batch(batch, 0);
  const std::unique_ptr<FormulaRun<T>> formulas = new_formulas();
  if (formulas) formulas->forward(true);
  batch.context.formulas = formulas.get();
  if (has_float16_) batch.context.rounded = rounded_.round(graph_, *kernels_);
  PoolLease pool;
  run_stages(batch, pool, flush);
  std::vector<T*> parameters;
  for (void* p : wanted.parameters) parameters.push_back(static_cast<T*>(p));
  const UpdateStep step{nullptr, nullptr, batch.rows, request.host, &flush, &batch.host_gradients};
  write_losses(batch, updater.gradients(batch.context, step, parameters), request.losses);
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const int v = graph_.inputs[i];
    const auto bytes = static_cast<std::size_t>(batch.rows * batch.context.size(v)) * sizeof(T);
    if (program.has_gradient[static_cast<std::size_t>(v)])
      std::memcpy(wanted.inputs[i], batch.context.gradient(v, 0), bytes);
    else std::memset(wanted.inputs[i], 0, bytes);
  }
}

std::unique_ptr<Engine> make_engine(const Graph& graph, bool is_double, bool fuse) {
  if (is_double) return std::make_unique<TypedEngine<double>>(graph, fuse);
  return std::make_unique<TypedEngine<float>>(graph, fuse);
}

template class TypedEngine<float>;
template class TypedEngine<double>;

}  // namespace densekit
