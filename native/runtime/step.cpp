// One batch through the stages of a program: gather, forward, losses, backward to every value.
#include "engine.hpp"
#include "kernels/machine.hpp"
#include "ops/ops.hpp"

namespace densekit {

// Rows taken through all ops at once, so that their activations stay in half of L2. Where the weights alone exceed
// it they would be read again for every block: then all rows go together.
template <class T>
index_t TypedEngine<T>::block_rows(const Program& program) const {
  const index_t half = machine().l2 / 2;
  index_t weights = 0;
  for (const Op& op : graph_.ops) {
    if (op.kind == OpKind::dense)
      weights += op.dense().in_features * op.dense().out_features * static_cast<index_t>(sizeof(T));
  }
  if (weights > half) return std::numeric_limits<index_t>::max() / 4;
  const index_t row = std::max<index_t>(1, program.elements_per_sample * static_cast<index_t>(sizeof(T)));
  return std::max<index_t>(16, half / row / 16 * 16);
}

template <class T>
void TypedEngine<T>::run_stages(Batch<T>& batch, PoolLease& pool, const FlushDenormals& flush, std::size_t begin,
                                std::size_t end) const {
  const std::vector<Stage>& stages = batch.context.program->stages;
  const Context<T>& c = batch.context;
  for (std::size_t i = begin; i < std::min(end, stages.size()); ++i) {
    const Stage& stage = stages[i];
    switch (stage.kind) {
      case Stage::Kind::rows: run_stage(batch, pool, stage); break;
      case Stage::Kind::seeds: break;  // whoever runs the stages stops here
      case Stage::Kind::before_forward:
        op_functions<T>(c.op(stage.op).kind).before_forward(c, stage.op, batch.rows, pool);
        break;
      case Stage::Kind::before_backward:
        op_functions<T>(c.op(stage.op).kind).before_backward(c, stage.op, batch.rows, pool);
        break;
      case Stage::Kind::loss_weights: mask_losses(batch); break;
      case Stage::Kind::batch_losses: {
        batch_losses(batch);
        const CallerFloatMode mode(flush);
        host_losses(batch);
        break;
      }
      case Stage::Kind::host_forward: {
        const CallerFloatMode mode(flush);
        host_forward(batch, stage.op);
        break;
      }
      case Stage::Kind::host_backward: {
        const CallerFloatMode mode(flush);
        host_backward(batch, stage.op);
        break;
      }
    }
  }
}

template <class T>
void TypedEngine<T>::run_rows(Batch<T>& batch, const Stage& stage, int worker, index_t first, index_t total) const {
  const Context<T> c = batch.context.of_worker(worker);
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
      if (c.program_op(i).backward) backward(c, i, row, rows);
    }
    if (stage.dz >= 0) ops::dense_backward_dz(c, stage.dz, row, rows);
  }
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
    if (!loss.has_target() || takes_plus_minus_labels(loss.spec.kind))
      continue;  // these labels were gathered by begin_batch, which looks at all
    const LossBuffers<T>& buffers = batch.workspace->loss(i);
    const Source& target = batch.request->targets[i];
    if (loss.sparse()) {
      const bool good = gather_labels(target, pick, rows, loss.width, loss.spec.p[1],
                                      buffers.labels + row * loss.positions);
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

// The weights of masked losses and what they are divided by: the mask may be computed by the plan, so that its sum is known
// once all rows are forward. A mean is that of the positions that count.
template <class T>
void TypedEngine<T>::mask_losses(Batch<T>& batch) const {
  for (std::size_t i = 0; i < graph_.losses.size(); ++i) {
    const Loss& loss = graph_.losses[i];
    if (loss.mask < 0 || loss.host) continue;
    const Source& source = batch.request->weights[i];
    const index_t n = loss.count(batch.rows), each = loss.positions / batch.context.size(loss.mask);
    const T* mask = batch.context.value(loss.mask, 0);
    T* weight = batch.workspace->loss(i).weight;
    double valid = 0, sum = 0;
    for (index_t k = 0; k < n; ++k) {
      const T counts = mask[k / each];
      weight[k] = source.data == nullptr ? counts : weight[k] * counts;
      valid += counts;
      sum += weight[k];
    }
    double divisor = 1;
    if (loss.reduction == Reduction::mean) divisor = valid;
    if (loss.reduction == Reduction::mean_with_sample_weight)
      divisor = source.data != nullptr && source.elements == loss.positions ? sum : sum / static_cast<double>(each);
    batch.loss_divisor[i] = divisor;
    batch.loss_scale[i] = divisor == 0 ? T(0) : static_cast<T>(loss.weight / divisor) * batch.context.loss_scale;
  }
}

template <class T>
void TypedEngine<T>::native_loss(Batch<T>& batch, std::size_t i, index_t row, index_t rows) const {
  const Context<T>& c = batch.context;
  const Loss& loss = graph_.losses[i];
  const ProgramLoss& how = c.program->losses[i];
  const LossBuffers<T>& b = batch.workspace->loss(i);
  const int v = loss.value;
  const index_t first = row * loss.positions, n = loss.count(rows),
                width = loss.whole_batch ? rows * loss.width : loss.width;
  const T* target = loss.sparse() || loss.given ? nullptr : b.target + first * loss.width;
  const int32_t* labels = loss.sparse() ? b.labels + first : nullptr;
  const T* weight = is_weighted(batch, i) ? b.weight + first : nullptr;
  T* y = c.value(v, row);
  T* row_loss = b.row_loss + first;
  const T scale = batch.loss_scale[i];
  if (loss.given) {
    std::memcpy(row_loss, y, static_cast<std::size_t>(n) * sizeof(T));
    if (how.write == GradientWrite::none) return;
    const GradientTarget<T> dy(c, v, how.write, row, rows);
    if (weight == nullptr) std::fill_n(dy.data(), n, scale);
    else kernels_->scale(n, weight, scale, dy.data());
    dy.commit();
    round_gradient(c, v, row, rows);
    return;
  }
  if (how.fused_op >= 0) {
    T* dz = how.write == GradientWrite::none ? nullptr : c.gradient(v, row);
    kernels_->loss_from_logits(batch.loss_spec[i], n, width, target, labels, y, weight, scale, row_loss, y, dz);
    round_to(*kernels_, graph_.values[static_cast<std::size_t>(v)].precision, n * width, y);
    if (dz != nullptr) round_gradient(c, v, row, rows);
    return;
  }
  if (how.write == GradientWrite::none) {
    kernels_->loss(batch.loss_spec[i], n, width, target, labels, y, weight, scale, row_loss, nullptr);
    return;
  }
  const GradientTarget<T> dy(c, v, how.write, row, rows);
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
    const int v = loss.value;
    const GradientWrite write = c.program->losses[i].write;
    const bool gradient = write != GradientWrite::none;
    const void* d = nullptr;
    batch.host_loss[i] = batch.request->host->loss(static_cast<int>(i), batch.pick.index, batch.rows, c.value(v, 0),
                                                   loss.mask < 0 ? nullptr : c.value(loss.mask, 0), gradient, &d);
    if (!gradient) continue;
    if (d != nullptr) {
      pass_gradient(c, v, write, 0, batch.rows, static_cast<const T*>(d), static_cast<T>(loss.weight) * c.loss_scale);
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
    const GradientWrite write = c.program_op(i).writes[k];
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

#define DENSEKIT_INSTANTIATE(T)                                                                                    \
  template index_t TypedEngine<T>::block_rows(const Program&) const;                                               \
  template void TypedEngine<T>::write_predictions(Batch<T>&, index_t, index_t) const;                              \
  template void TypedEngine<T>::run_stages(Batch<T>&, PoolLease&, const FlushDenormals&, std::size_t, std::size_t) \
      const;                                                                                                       \
  template void TypedEngine<T>::run_rows(Batch<T>&, const Stage&, int, index_t, index_t) const;
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
