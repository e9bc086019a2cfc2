// Inference: nothing but the graph and the weights is shared, so any number of threads may run at once. Rows go
// through all ops in blocks that stay in the cache; each thread has its own block.
#include <algorithm>
#include <chrono>

#include "engine.hpp"
#include "ops/ops.hpp"

namespace densekit {
namespace {

constexpr double kInferPerThread = 1e6;  // multiply-adds worth a thread: about 30 us
// In a loop of calls the threads are still awake, and a barrier costs 0.3 us instead of 10. Zen 4, 2 threads, 10 rows of
// 784-128-64-10: 20 us on one, 12 on two; with a pause of 5 ms before each call 38 on one, 45 on two; 5 rows of
// 128-128-128-128-10: 5.1 and 3.5 us.
constexpr double kLoopPerThread = 1.25e5;
constexpr auto kLoopGap = ThreadPool::kSpin;
// Few rows are shared out by units: each thread reads its part of the weights alone. Zen 4, 2 threads, one row:
// 784-128-64-10 4.3 us on one, 3.6 on two, but 5.1 where the cores share no L3; 4 layers of 512 48, 27 and 32 us. So a
// loop of calls tries (thread_tuner.hpp), long enough for a thread to wake up.
constexpr int kWakingCalls = 40;
constexpr double kWorthCores = 1.08;  // the best of so many calls flatters the threads, whose barriers vary

// Up to so many rows, kernels that fill a cache of their own are shared out by units, too. By rows each thread would read
// them all; with more rows that is made up for by values that stay in the cache, and before that by threads that finish
// together. Zen 4, 2 threads, 64 rows: 1024-2048-2048-2048-10 6.08 ms by units, 6.24 by rows; 4096-300-300-7, whose units
// make uneven shares, 1.00 and 0.79 ms.
constexpr index_t kUnitRows = 128, kUnevenUnitRows = 32;
constexpr double kUneven = 1.005;    // the work of the longest shares over an equal share
constexpr double kUnitWork = 2.5e5;  // multiply-adds worth a barrier

// Address tables of the frame being run by this thread.
template <class T>
struct Tables {
  std::vector<T*> value, saved;
};

template <class T>
Tables<T>& tables() {
  static thread_local Tables<T> t;
  return t;
}

template <class T>
RoundedWeights<T>& rounded_of_thread() {
  static thread_local RoundedWeights<T> r;
  return r;
}

// Whether this call is one of a loop; what a thread costs it, in multiply-adds.
class CallPace {
 public:
  explicit CallPace(double work) : counts_(work >= 2 * kLoopPerThread) {
    if (!counts_) return;
    begin_ = Clock::now();
    in_loop_ = begin_ - latest_ < kLoopGap;
  }
  ~CallPace() {
    if (counts_) latest_ = Clock::now();
  }
  CallPace(const CallPace&) = delete;
  CallPace& operator=(const CallPace&) = delete;
  bool in_loop() const { return in_loop_; }
  double worth_a_thread() const { return in_loop_ ? kLoopPerThread : kInferPerThread; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  static thread_local Clock::time_point latest_;  // the end of this thread's latest call worth asking
  const bool counts_;
  bool in_loop_ = false;
  Clock::time_point begin_;
};

thread_local CallPace::Clock::time_point CallPace::latest_;

}  // namespace

// Formulas of weights for one call, whose memory and results serve later ones.
template <class T>
class TypedEngine<T>::FormulaLease {
 public:
  explicit FormulaLease(const TypedEngine& engine) : engine_(engine) {
    if (!engine.formula_plan_) return;
    {
      const std::lock_guard<std::mutex> lock(engine.inferring_);
      if (!engine.idle_formulas_.empty()) {
        run_ = std::move(engine.idle_formulas_.back());
        engine.idle_formulas_.pop_back();
      }
    }
    if (!run_) run_ = engine.new_formulas();
  }
  ~FormulaLease() {
    if (!run_) return;
    const std::lock_guard<std::mutex> lock(engine_.inferring_);
    engine_.idle_formulas_.push_back(std::move(run_));  // no more than calls at a time
  }
  FormulaLease(const FormulaLease&) = delete;
  FormulaLease& operator=(const FormulaLease&) = delete;
  T* const* latest() const { return run_ ? run_->latest() : nullptr; }

 private:
  const TypedEngine& engine_;
  std::unique_ptr<FormulaRun<T>> run_;
};

template <class T>
void TypedEngine<T>::infer_block(const Source* inputs, index_t first, index_t rows, void* const* outputs,
                                 Prepacked* prepacked, const Weights& weights, PoolLease* by_units) const {
  Tables<T>& t = tables<T>();
  if (t.value.size() < graph_.values.size()) t.value.resize(graph_.values.size());
  if (t.saved.size() < graph_.ops.size()) t.saved.resize(graph_.ops.size());
  T* arena = thread_scratch<T>().frame.reserve(infer_elements_ * ((rows + 15) / 16 * 16));
  Workspace<T>::lay_out(graph_, infer_, rows, arena, t.value.data(), t.saved.data());
  Context<T> c;
  c.kernels = kernels_;
  c.graph = &graph_;
  c.program = &infer_;
  c.constants = &constants_;
  c.rounded = weights.rounded;
  c.own_weights = weights.made;
  if (prepacked != nullptr) c.moved = &prepacked->panels, c.packed = &prepacked->packed;
  c.frame.value = t.value.data();
  c.frame.saved = t.saved.data();
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    const int v = graph_.inputs[i];
    if (is_direct<T>(inputs[i]))
      place(c, v, reinterpret_cast<T*>(const_cast<char*>(inputs[i].data)) + first * c.size(v));
    else gather(*kernels_, inputs[i], RowPicker{nullptr, first}, rows, c.value(v, 0));
  }
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    if (direct_output_[i]) place(c, graph_.outputs[i], static_cast<T*>(outputs[i]) + first * c.size(graph_.outputs[i]));
  }
  for (int op = 0; op < static_cast<int>(graph_.ops.size()); ++op) {
    if (by_units != nullptr && c.op(op).kind == OpKind::dense) infer_units(c, op, rows, *by_units);
    else forward(c, op, 0, rows);
  }
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    if (direct_output_[i]) continue;
    const index_t size = c.size(graph_.outputs[i]);
    std::memcpy(static_cast<T*>(outputs[i]) + first * size, c.value(graph_.outputs[i], 0),
                static_cast<std::size_t>(rows * size) * sizeof(T));
  }
}

// The most rows that are shared out by units.
template <class T>
index_t TypedEngine<T>::unit_rows(int workers) const {
  double all = 0, longest = 0;
  for (const Op& op : graph_.ops) {
    if (op.kind != OpKind::dense) continue;
    const DenseSpec& s = op.dense();
    all += static_cast<double>(s.in_features * s.out_features);
    longest += static_cast<double>(s.in_features *
                                   std::min(s.out_features, share_of(s.out_features, workers, kUnitGrain)) * workers);
  }
  return longest > kUneven * all ? kUnevenUnitRows : kUnitRows;
}

template <class T>
void TypedEngine<T>::infer_units(const Context<T>& c, int i, index_t rows, PoolLease& pool) const {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  const double work = static_cast<double>(std::max(kFewRows, rows * s.rows_per_sample) * s.in_features) *
                      static_cast<double>(s.out_features);
  const int workers = work < kUnitWork ? 1 : pool.workers();
  const index_t share = share_of(s.out_features, workers, kUnitGrain);
  const bool in_panels = c.panels(s.kernel) != nullptr;
  pool.run_workers(workers, workers > 1, [&](int worker) {
    const index_t unit = worker * share, units = std::min(share, s.out_features - unit);
    if (units <= 0) return;
    if (in_panels) ops::dense_panels(c, i, 0, rows, unit, unit + units);
    else ops::dense_units(c, i, 0, rows, {unit, units, c.dense_data(op, s.kernel) + unit, s.out_features});
  });
  ops::dense_activate(c, i, 0, rows);
}

// The value, and those that share its buffer, live at `address`.
template <class T>
void TypedEngine<T>::place(Context<T>& c, int v, T* address) const {
  c.frame.value[v] = address;
  if (!any_alias_) return;
  for (std::size_t other = 0; other < graph_.values.size(); ++other) {
    if (infer_.alias[other] == v) c.frame.value[other] = address;
  }
}

template <class T>
index_t TypedEngine<T>::infer_rows() {
  direct_output_.assign(graph_.outputs.size(), false);
  for (std::size_t v = 0; v < graph_.values.size(); ++v)
    any_alias_ = any_alias_ || infer_.alias[v] != static_cast<int>(v);
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const auto v = static_cast<std::size_t>(graph_.outputs[i]);
    bool direct = graph_.values[v].producer >= 0 && infer_.alias[v] == static_cast<int>(v);
    for (std::size_t j = 0; j < i; ++j) direct = direct && graph_.outputs[j] != graph_.outputs[i];
    direct_output_[i] = direct;
  }
  has_large_kernel_ = std::any_of(graph_.ops.begin(), graph_.ops.end(), is_large);
  few_rows_tuners_.assign(kFewRows, ThreadTuner(kWakingCalls, kWorthCores));
  infer_elements_ = (Workspace<T>::frame_elements(graph_, infer_, 16) + 15) / 16;
  return std::min<index_t>(block_rows(infer_), 1024);
}

template <class T>
void TypedEngine<T>::infer(const Source* inputs, index_t n, void* const* outputs) const {
  FlushDenormals flush;
  const std::shared_ptr<Prepacked> prepacked = prepacked_.latest();
  const FormulaLease formulas(*this);
  const Weights weights{has_float16_ ? rounded_of_thread<T>().round(graph_, *kernels_) : nullptr, formulas.latest()};
  const double work = flops_ / 2 * static_cast<double>(std::max(n, kFewRows));
  const CallPace pace(work);
  if (work < 2 * pace.worth_a_thread()) {
    for (index_t row = 0; row < n; row += infer_block_) {
      infer_block(inputs, row, std::min(infer_block_, n - row), outputs, prepacked.get(), weights, nullptr);
    }
    return;
  }
  PoolLease pool;
  if (pool.workers() > 1 && has_large_kernel_ && n <= std::min(infer_block_, unit_rows(pool.workers()))) {
    return infer_block(inputs, 0, n, outputs, prepacked.get(), weights, &pool);
  }
  if (pool.workers() > 1 && n <= kFewRows) {
    if (!pace.in_loop()) return infer_block(inputs, 0, n, outputs, prepacked.get(), weights, &pool);
    ThreadTuner& tuner = few_rows_tuners_[static_cast<std::size_t>(n - 1)];  // it is ours as long as the pool is
    const int threads = tuner.next(pool.workers(), n);
    if (threads > 1) pool.limit(threads);
    infer_block(inputs, 0, n, outputs, prepacked.get(), weights, threads > 1 ? &pool : nullptr);
    return tuner.record(pace.seconds(), n);
  }
  // Equal parts, none larger than a block, as many for each thread.
  const index_t workers = std::max<index_t>(
      1, std::min<index_t>(pool.workers(), static_cast<index_t>(work / pace.worth_a_thread())));
  const index_t rounds = (n + workers * infer_block_ - 1) / (workers * infer_block_);
  const index_t share = (n + workers * rounds - 1) / (workers * rounds);
  const index_t parts = (n + share - 1) / share;
  pool.run(static_cast<int>(parts), workers > 1, [&](int part) {
    infer_block(inputs, part * share, std::min(share, n - part * share), outputs, prepacked.get(), weights, nullptr);
  });
}

// Host nodes see all rows at once, and draws are of the rows of a call: the caller decides how many.
template <class T>
void TypedEngine<T>::infer_with_host(const std::vector<Source>& inputs, index_t n, const std::vector<void*>& outputs,
                                     Host* host, Draws draws) const {
  FlushDenormals flush;
  Workspace<T> workspace;
  workspace.prepare(graph_, infer_, n);
  Request request;
  request.inputs = inputs;
  request.n = n;
  request.batch_size = n;
  request.targets.resize(graph_.losses.size());
  request.weights.resize(graph_.losses.size());
  request.host = host;
  request.keys = std::move(draws.keys);
  request.counters = std::move(draws.counters);
  Batch<T> batch;
  start(batch, request, infer_, workspace, false);
  if (has_float16_) batch.context.rounded = rounded_of_thread<T>().round(graph_, *kernels_);
  const FormulaLease formulas(*this);
  batch.context.own_weights = formulas.latest();
  batch.context.activity = nullptr;
  batch.rows = n;
  PoolLease pool;
  run_stages(batch, pool, flush);
  request.predictions = outputs;
  write_predictions(batch, 0, n);
}

template <class T>
void TypedEngine<T>::predict(const std::vector<Source>& inputs, index_t n, const std::vector<void*>& outputs,
                             Host* host, Draws draws) {
  if (n == 0) return;
  if (infer_.has_host || infer_.has_batch_ops || always_draws_)
    infer_with_host(inputs, n, outputs, host, std::move(draws));
  else infer(inputs.data(), n, outputs.data());
}

template <class T>
void TypedEngine<T>::call(const void* x, index_t n, void* y) {
  Source source;
  source.data = static_cast<const char*>(x);
  source.rows = n;
  source.elements = graph_.values[static_cast<std::size_t>(graph_.inputs[0])].size;
  source.row_stride = source.elements * static_cast<index_t>(sizeof(T));
  source.item_size = sizeof(T);
  source.type = type_char<T>();
  infer(&source, n, &y);
}

#define DENSEKIT_INSTANTIATE(T)                                                                                        \
  template index_t TypedEngine<T>::infer_rows();                                                                       \
  template void TypedEngine<T>::predict(const std::vector<Source>&, index_t, const std::vector<void*>&, Host*, Draws); \
  template void TypedEngine<T>::call(const void*, index_t, void*);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
