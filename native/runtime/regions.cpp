// A stage as regions of the threads. Mostly each takes rows of the batch through all ops. Of a dense op whose kernel no
// core's cache holds, or that lies in panels, each takes units for the whole batch, and in the backward inputs: so a
// thread reads a part of the weights alone. Zen 4, 2 threads, 1024-2048-2048-2048-10, batch 256, single steps: 79.4 ms when
// rows are shared out, 77.9 ms when units and inputs are. In panels, inputs instead of rows in the backward:
// 256-256-256-256-10, batch 32, 245 -> 222 us; 784-512-512-10, batch 128, 2.13 -> 2.08 ms.
#include <algorithm>
#include <stdexcept>

#include "engine.hpp"
#include "kernels/machine.hpp"
#include "ops/ops.hpp"

namespace densekit {
namespace {

// Work (in multiply-adds, forward and backward together) worth a thread of its own. A region costs its threads
// about 1 us for a barrier; at some 30 multiply-adds a nanosecond this is 10 us each.
constexpr double kWorkPerThread = 3e5;

// A thread's rows begin at an even one: dZ in bfloat16 is packed in pairs of rows (packed.hpp).
constexpr index_t kRowGrain = 2;

// Of large kernels: the largest share of the units over an equal one. With many threads whole panels do not share out evenly,
// and rows do.
constexpr double kMostUneven = 1.1;

// Up to so many rows of a batch each thread gathers for itself.
constexpr index_t kMostOwnRows = 1024;

constexpr index_t kInputGrain = 16;  // no two threads write to one line of a gradient, or nearly

}  // namespace

// A dense op whose kernel no core's cache holds.
template <class T>
bool TypedEngine<T>::is_large(const Op& op) {
  return op.kind == OpKind::dense &&
         op.dense().in_features * op.dense().out_features * static_cast<index_t>(sizeof(T)) > machine().l2;
}

template <class T>
void TypedEngine<T>::run_stage(Batch<T>& batch, PoolLease& pool, const Stage& stage) const {
  const Context<T>& c = batch.context;
  const double work = flops_ / 2 * (c.program->options.backward ? 2 : 1) * static_cast<double>(batch.rows);
  const auto wanted = static_cast<index_t>(work / kWorkPerThread);
  const index_t threads = std::max<index_t>(1, std::min<index_t>(pool.workers(), wanted));
  const index_t share = share_of(batch.rows, threads, kRowGrain);
  const auto parts = static_cast<int>((batch.rows + share - 1) / share);
  const auto run = [&](const Stage& part) {
    pool.run_workers(parts, parts > 1, [&](int worker) {
      const index_t row = worker * share;
      run_rows(batch, part, worker, row, std::min(share, batch.rows - row));
    });
  };
  const auto by_units = [&](int i) {
    const Op& op = c.op(i);
    if (op.kind == OpKind::dense && c.panels(op.dense().kernel) != nullptr) return true;
    if (parts == 1 || !is_large(op)) return false;
    const DenseSpec& s = op.dense();
    const auto units = static_cast<double>(share_of(s.out_features, pool.workers(), kUnitGrain) * pool.workers());
    return units <= kMostUneven * static_cast<double>(s.out_features);
  };
  Stage rest = stage;
  for (int i = stage.forward_begin; i < stage.forward_end; ++i) {
    if (!by_units(i)) continue;
    Stage before;
    before.gather = rest.gather && (graph_.inputs.size() > 1 || own_input(batch, i) < 0);
    before.forward_begin = rest.forward_begin;
    before.forward_end = i;
    if (before.gather || before.forward_begin < i) run(before);
    run_units(batch, pool, i);
    rest.gather = false;
    rest.forward_begin = i + 1;
  }
  for (int i = stage.backward_end; i-- > stage.backward_begin;) {
    if (!c.program_op(i).backward || parts == 1 || !by_units(i) || c.program_op(i).writes[0] == GradientWrite::none)
      continue;
    Stage before = rest;
    before.backward_begin = i + 1;
    before.dz = i;
    run(before);
    run_inputs(batch, pool, i);
    rest = Stage{};
    rest.backward_begin = stage.backward_begin;
    rest.backward_end = i;
  }
  run(rest);
  if (batch.bad_label.load(std::memory_order_relaxed)) {
    throw std::invalid_argument("A class label is outside 0..classes-1. Check the labels and the width of the output.");
  }
}

// Each thread computes some units for the whole batch: those of its panels, or an equal share.
template <class T>
void TypedEngine<T>::run_units(Batch<T>& batch, PoolLease& pool, int i) const {
  const Context<T>& c = batch.context;
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  const int input = own_input(batch, i);
  const int workers = pool.workers();
  pool.run_workers(workers, true, [&](int worker) {
    if (input >= 0) {
      const std::size_t at = static_cast<std::size_t>(worker) * graph_.ops.size() + static_cast<std::size_t>(i);
      T* x = batch.worker_inputs[at] = batch.worker_buffers[at].reserve(batch.rows * c.size(op.inputs[0]));
      // Each thread begins with other rows: those that another has fetched by then come from its cache, which is quicker
      // than memory. Zen 4, 784-128-64-10, batch 32: 99.7 us a step when both begin with the first row, 97.7 us so.
      const Source& source = batch.request->inputs[static_cast<std::size_t>(input)];
      const index_t begin = batch.rows * worker / workers;
      gather(*kernels_, source, batch.pick.from(begin), batch.rows - begin, x + begin * c.size(op.inputs[0]));
      gather(*kernels_, source, batch.pick, begin, x);
    }
    const Context<T> own = c.of_worker(worker);
    const std::vector<Panel<T>>* panels = c.panels(s.kernel);
    ops::DenseUnits<T> whole{0, 0, nullptr,
                             s.out_features};  // units in one piece: in bfloat16 the worker's panels are, too
    if (panels == nullptr) {
      const index_t share = share_of(s.out_features, workers, kUnitGrain);
      whole.unit = worker * share;
      whole.units = std::min(share, s.out_features - whole.unit);
      whole.kernel = c.dense_data(op, s.kernel) + whole.unit;
    } else {
      for (const Panel<T>& panel : *panels) {
        if (panel.worker != worker) continue;
        if (op.bfloat16()) whole = {whole.units > 0 ? whole.unit : panel.unit, whole.units + panel.units, nullptr, 0};
        else ops::dense_units(own, i, 0, batch.rows, {panel.unit, panel.units, panel.weights, panel.units});
      }
    }
    if (whole.units > 0) ops::dense_units(own, i, 0, batch.rows, whole);
  });
  ops::dense_activate(c, i, 0, batch.rows);
}

// Each thread computes the gradient of some inputs for the whole batch.
template <class T>
void TypedEngine<T>::run_inputs(Batch<T>& batch, PoolLease& pool, int i) const {
  const Context<T>& c = batch.context;
  const Op& op = c.op(i);
  const index_t inputs = op.dense().in_features,
                share = share_of(inputs, pool.workers(), op.bfloat16() ? kBfloat16Panel : kInputGrain);
  pool.run_workers(pool.workers(), true, [&](int worker) {
    ops::dense_backward_dx(c, i, 0, batch.rows, worker * share, std::min(inputs, (worker + 1) * share));
  });
  if (!op.bfloat16())
    round_gradient(c, op.inputs[0], 0, batch.rows);  // a product in bfloat16 has rounded what it stored
}

// The input of the graph that this op alone reads, where threads have buffers for it, or -1. Every thread gathers all its
// rows for itself: the rows others have gathered would cross between cores in the forward and again in the weight gradient.
template <class T>
int TypedEngine<T>::own_input(const Batch<T>& batch, int i) const {
  const Op& op = graph_.ops[static_cast<std::size_t>(i)];
  if (batch.worker_buffers.empty() || batch.rows > kMostOwnRows) return -1;
  const int v = op.inputs[0];
  const Value& value = graph_.values[static_cast<std::size_t>(v)];
  if (value.producer >= 0 || value.consumers.size() != 1) return -1;
  if (std::find(graph_.outputs.begin(), graph_.outputs.end(), v) != graph_.outputs.end()) return -1;
  return static_cast<int>(std::find(graph_.inputs.begin(), graph_.inputs.end(), v) - graph_.inputs.begin());
}

#define DENSEKIT_INSTANTIATE(T)                      \
  template bool TypedEngine<T>::is_large(const Op&); \
  template void TypedEngine<T>::run_stage(Batch<T>&, PoolLease&, const Stage&) const;
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
