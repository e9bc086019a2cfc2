// One batch through the stages of a program: gather, forward, losses, backward to every value.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "engine.hpp"
#include "machine.hpp"
#include "ops/ops.hpp"

namespace densekit {
namespace {

// Work (in multiply-adds, forward and backward together) worth a thread of its own. A region costs its threads
// about 1 us to meet; at some 30 multiply-adds a nanosecond this is 10 us each.
constexpr double kWorkPerThread = 3e5;

// A thread's rows begin at an even one: dZ in bfloat16 is packed in pairs of rows (packed.hpp).
constexpr index_t kRowGrain = 2;

}  // namespace

// Rows taken through all ops at once, so that their activations stay in half of L2. Where the weights alone exceed
// it they would be read again for every block: then all rows go together.
template <class T>
index_t TypedEngine<T>::block_rows(const Program& program) const {
  const index_t half = machine().l2 / 2;
  index_t weights = 0;
  for (const Op& op : graph_.ops) {
    if (op.kind == OpKind::dense) weights += op.in_features * op.out_features * static_cast<index_t>(sizeof(T));
  }
  if (weights > half) return std::numeric_limits<index_t>::max() / 4;
  const index_t row = std::max<index_t>(1, program.elements_per_sample * static_cast<index_t>(sizeof(T)));
  return std::max<index_t>(16, half / row / 16 * 16);
}

template <class T>
void TypedEngine<T>::run_stages(Batch<T>& batch, PoolLease& pool, const FlushDenormals& flush) const {
  for (const Stage& stage : batch.context.program->stages) {
    if (stage.kind == Stage::Kind::rows) {
      run_stage(batch, pool, stage);
      continue;
    }
    if (stage.kind == Stage::Kind::batch_losses) batch_losses(batch);
    const CallerFloatMode mode(flush);
    if (stage.kind == Stage::Kind::host_forward) host_forward(batch, stage.op);
    else if (stage.kind == Stage::Kind::batch_losses) host_losses(batch);
    else host_backward(batch, stage.op);
  }
}

// Rows of the batch to each thread; but the forward of a dense op in panels takes all rows, some units to each thread.
template <class T>
void TypedEngine<T>::run_stage(Batch<T>& batch, PoolLease& pool, const Stage& stage) const {
  const Context<T>& c = batch.context;
  const double work = flops_ / 2 * (c.program->options.backward ? 2 : 1) * static_cast<double>(batch.rows);
  const auto wanted = static_cast<index_t>(work / kWorkPerThread);
  const index_t threads = std::max<index_t>(1, std::min<index_t>(pool.workers(), wanted));
  const index_t share = ((batch.rows + threads - 1) / threads + kRowGrain - 1) / kRowGrain * kRowGrain;
  const auto parts = static_cast<int>((batch.rows + share - 1) / share);
  const auto run = [&](const Stage& part) {
    pool.run_lanes(parts, parts > 1, [&](int lane) {
      const index_t row = lane * share;
      run_rows(batch, part, lane, row, std::min(share, batch.rows - row));
    });
  };
  Stage rest = stage;
  for (int i = stage.forward_begin; i < stage.forward_end; ++i) {
    if (c.op(i).kind != OpKind::dense || c.panels(c.op(i).kernel) == nullptr) continue;
    Stage before;
    before.gather = rest.gather && (graph_.inputs.size() > 1 || own_input(c, i) < 0);
    before.forward_begin = rest.forward_begin;
    before.forward_end = i;
    if (before.gather || before.forward_begin < i) run(before);
    run_units(batch, pool, i);
    rest.gather = false;
    rest.forward_begin = i + 1;
  }
  run(rest);
  if (batch.bad_label.load(std::memory_order_relaxed)) {
    throw std::invalid_argument("A class label is outside 0..classes-1. Check the labels and the width of the output.");
  }
}

template <class T>
void TypedEngine<T>::run_rows(Batch<T>& batch, const Stage& stage, int lane, index_t first, index_t total) const {
  const Context<T> c = batch.context.of_lane(lane);
  for (index_t done = 0; done < total; done += train_block_) {
    const index_t row = first + done, rows = std::min(train_block_, total - done);
    if (stage.gather) gather_inputs(batch, row, rows);
    for (int i = stage.forward_begin; i < stage.forward_end; ++i) forward(c, i, row, rows);
    if (stage.losses) {
      gather_targets(batch, row, rows);
      native_losses(batch, row, rows);
      write_predictions(batch, row, rows);
    }
    for (int i = stage.backward_end; i-- > stage.backward_begin;) {
      if (c.plan(i).backward) backward(c, i, row, rows);
    }
  }
}

// Each thread computes the units of its panels for the whole batch.
template <class T>
void TypedEngine<T>::run_units(Batch<T>& batch, PoolLease& pool, int i) const {
  const Context<T>& c = batch.context;
  const Op& op = c.op(i);
  const int input = own_input(c, i);
  pool.run_lanes(pool.workers(), true, [&](int lane) {
    if (input >= 0) {
      const std::size_t at = static_cast<std::size_t>(lane) * graph_.ops.size() + static_cast<std::size_t>(i);
      T* x = batch.lane_inputs[at] = batch.lane_buffers[at].reserve(batch.rows * c.size(op.inputs[0]));
      // Each thread begins with other rows: those that another has fetched by then come from its cache, which is quicker
      // than memory. Zen 4, 784-128-64-10, batch 32: 99.7 us a step when both begin with the first row, 97.7 us so.
      const Source& source = batch.request->inputs[static_cast<std::size_t>(input)];
      const index_t begin = batch.rows * lane / pool.workers();
      gather(*kernels_, source, batch.pick.from(begin), batch.rows - begin, x + begin * c.size(op.inputs[0]));
      gather(*kernels_, source, batch.pick, begin, x);
    }
    const Context<T> own = c.of_lane(lane);
    ops::DenseUnits<T> packed{-1, 0, nullptr, 0};  // in bfloat16 the lane's panels are one range: x is packed once
    for (const Panel<T>& panel : *c.panels(op.kernel)) {
      if (panel.lane != lane) continue;
      if (op.bfloat16) packed = {packed.unit < 0 ? panel.unit : packed.unit, packed.units + panel.units, nullptr, 0};
      else ops::dense_units(own, i, 0, batch.rows, {panel.unit, panel.units, panel.weights, panel.units});
    }
    if (packed.units > 0) ops::dense_units(own, i, 0, batch.rows, packed);
  });
  ops::dense_activate(c, i, 0, batch.rows);
}

// The input of the graph that this op in panels alone reads, or -1. Every thread gathers all its rows for itself: the
// rows others have gathered would cross between cores in the forward and again in the weight gradient.
template <class T>
int TypedEngine<T>::own_input(const Context<T>& c, int i) const {
  const int v = c.op(i).inputs[0];
  const Value& value = graph_.values[static_cast<std::size_t>(v)];
  if (value.producer >= 0 || value.consumers.size() != 1) return -1;
  if (std::find(graph_.outputs.begin(), graph_.outputs.end(), v) != graph_.outputs.end()) return -1;
  return static_cast<int>(std::find(graph_.inputs.begin(), graph_.inputs.end(), v) - graph_.inputs.begin());
}

template <class T>
void TypedEngine<T>::gather_inputs(Batch<T>& batch, index_t row, index_t rows) const {
  const Context<T>& c = batch.context;
  const RowPicker pick = batch.pick.from(row);
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    gather(*kernels_, batch.request->inputs[i], pick, rows, c.value(graph_.inputs[i], row));
  }
}

template <class T>
void TypedEngine<T>::gather_targets(Batch<T>& batch, index_t row, index_t rows) const {
  const RowPicker pick = batch.pick.from(row);
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    const Loss& loss = graph_.losses[i];
    if (loss.host || takes_signs(loss.spec.kind)) continue;  // signs were gathered by begin_batch, which looks at all
    const LossBuffers<T>& buffers = batch.workspace->loss(i);
    const Source& target = batch.request->targets[i];
    if (loss.sparse()) {
      const bool good = gather_labels(target, pick, rows, loss.width, loss.spec.p[1], buffers.labels + row * loss.positions);
      if (!good) batch.bad_label.store(true, std::memory_order_relaxed);
    } else {
      gather(*kernels_, target, pick, rows, buffers.target + row * loss.positions * loss.width);
    }
  }
}

template <class T>
void TypedEngine<T>::native_losses(Batch<T>& batch, index_t row, index_t rows) const {
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    if (graph_.losses[i].by_rows()) native_loss(batch, i, row, rows);
  }
}

// The losses that take the whole batch for one row.
template <class T>
void TypedEngine<T>::batch_losses(Batch<T>& batch) const {
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    if (graph_.losses[i].whole_batch) native_loss(batch, i, 0, batch.rows);
  }
}

template <class T>
void TypedEngine<T>::native_loss(Batch<T>& batch, std::size_t i, index_t row, index_t rows) const {
  const Context<T>& c = batch.context;
  const Loss& loss = graph_.losses[i];
  const ProgramLoss& plan = c.program->losses[i];
  const LossBuffers<T>& b = batch.workspace->loss(i);
  const int v = graph_.outputs[static_cast<std::size_t>(loss.output)];
  const index_t first = row * loss.positions, n = loss.count(rows), width = loss.whole_batch ? rows * loss.width : loss.width;
  const T* target = loss.sparse() ? nullptr : b.target + first * loss.width;
  const int32_t* labels = loss.sparse() ? b.labels + first : nullptr;
  const T* weight = batch.request->weights[i].data != nullptr ? b.weight + first : nullptr;
  T* y = c.value(v, row);
  T* row_loss = b.row_loss + first;
  const T scale = batch.loss_scale[i];
  if (plan.fused_op >= 0) {
    T* dz = plan.write == GradientWrite::none ? nullptr : c.gradient(v, row);
    kernels_->loss_from_logits(batch.loss_spec[i], n, width, target, labels, y, weight, scale, row_loss, y, dz);
    if (graph_.values[static_cast<std::size_t>(v)].bfloat16) kernels_->bfloat16_round(n * width, y, y);
    if (dz != nullptr) round_gradient(c, v, row, rows);
    return;
  }
  if (plan.write == GradientWrite::none) {
    kernels_->loss(batch.loss_spec[i], n, width, target, labels, y, weight, scale, row_loss, nullptr);
    return;
  }
  const GradientTarget<T> dy(c, v, plan.write, row, rows);
  kernels_->loss(batch.loss_spec[i], n, width, target, labels, y, weight, scale, row_loss, dy.data());
  dy.commit();
  round_gradient(c, v, row, rows);
}

template <class T>
void TypedEngine<T>::write_predictions(Batch<T>& batch, index_t row, index_t rows) const {
  for (std::size_t i = 0; i < batch.request->predictions.size(); ++i) {
    auto* to = static_cast<T*>(batch.request->predictions[i]);
    if (to == nullptr) continue;
    const int v = graph_.outputs[i];
    const index_t size = batch.context.size(v);
    std::memcpy(to + (batch.first + row) * size, batch.context.value(v, row),
                static_cast<std::size_t>(rows * size) * sizeof(T));
  }
}

template <class T>
void TypedEngine<T>::host_losses(Batch<T>& batch) const {
  const Context<T>& c = batch.context;
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    const Loss& loss = graph_.losses[i];
    if (!loss.host) continue;
    const int v = graph_.outputs[static_cast<std::size_t>(loss.output)];
    const GradientWrite write = c.program->losses[i].write;
    const bool gradient = write != GradientWrite::none;
    const void* d = nullptr;
    batch.host_loss[i] = batch.request->host->loss(static_cast<int>(i), batch.pick.index, batch.rows, c.value(v, 0),
                                                   gradient, &d);
    if (!gradient) continue;
    if (d != nullptr) {
      pass_gradient(c, v, write, 0, batch.rows, static_cast<const T*>(d), static_cast<T>(loss.weight));
    } else if (write == GradientWrite::set) {
      std::memset(c.gradient(v, 0), 0, static_cast<std::size_t>(batch.rows * c.size(v)) * sizeof(T));
    }
    round_gradient(c, v, 0, batch.rows);
  }
}

template <class T>
void TypedEngine<T>::host_forward(Batch<T>& batch, int i) const {
  const Context<T>& c = batch.context;
  const Op& op = c.op(i);
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (int x : op.inputs) inputs.push_back(c.value(x, 0));
  for (int y : op.outputs) outputs.push_back(c.value(y, 0));
  batch.extra_loss += batch.request->host->forward(op.host_node, c.training, batch.rows, inputs, outputs);
}

template <class T>
void TypedEngine<T>::host_backward(Batch<T>& batch, int i) const {
  const Context<T>& c = batch.context;
  const Op& op = c.op(i);
  std::vector<const void*> d_outputs;
  for (int y : op.outputs) d_outputs.push_back(c.frame.gradient[y]);  // null: nothing downstream wants it
  HostGradients& got = batch.host_gradients[static_cast<std::size_t>(op.host_node)];
  got = batch.request->host->backward(op.host_node, batch.rows, d_outputs);
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    const GradientWrite write = c.plan(i).writes[k];
    const int x = op.inputs[k];
    if (write == GradientWrite::none) continue;
    if (got.inputs[k] != nullptr) {
      pass_gradient(c, x, write, 0, batch.rows, static_cast<const T*>(got.inputs[k]));
      round_gradient(c, x, 0, batch.rows);
    } else if (write == GradientWrite::set) {
      std::memset(c.gradient(x, 0), 0, static_cast<std::size_t>(batch.rows * c.size(x)) * sizeof(T));
    }
  }
}

#define DENSEKIT_INSTANTIATE(T)                                                                              \
  template index_t TypedEngine<T>::block_rows(const Program&) const;                                         \
  template void TypedEngine<T>::write_predictions(Batch<T>&, index_t, index_t) const;                        \
  template void TypedEngine<T>::run_stages(Batch<T>&, PoolLease&, const FlushDenormals&) const;
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
