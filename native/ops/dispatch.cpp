#include "ops/ops.hpp"

namespace densekit {
namespace {

template <class T>
void run_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  switch (c.op(i).kind) {
    case OpKind::dense: return ops::dense_forward(c, i, row, rows);
    case OpKind::activation: return ops::activation_forward(c, i, row, rows);
    case OpKind::dropout: return ops::dropout_forward(c, i, row, rows);
    case OpKind::affine: return ops::affine_forward(c, i, row, rows);
    case OpKind::concatenate: return ops::concatenate_forward(c, i, row, rows);
    case OpKind::activity: return ops::activity_forward(c, i, row, rows);
    case OpKind::host: return;  // a stage of its own
    default: return ops::merge_forward(c, i, row, rows);
  }
}

template <class T>
void run_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  switch (c.op(i).kind) {
    case OpKind::dense: return ops::dense_backward(c, i, row, rows);
    case OpKind::activation: return ops::activation_backward(c, i, row, rows);
    case OpKind::dropout: return ops::dropout_backward(c, i, row, rows);
    case OpKind::affine: return ops::affine_backward(c, i, row, rows);
    case OpKind::concatenate: return ops::concatenate_backward(c, i, row, rows);
    case OpKind::activity: return ops::activity_backward(c, i, row, rows);
    case OpKind::host: return;
    default: return ops::merge_backward(c, i, row, rows);
  }
}

}  // namespace

// What an op in bfloat16 gives is rounded, and so is the gradient of it; dense ops round while they store.
template <class T>
void forward(const Context<T>& c, int i, index_t row, index_t rows) {
  run_forward(c, i, row, rows);
  const Op& op = c.op(i);
  if (!op.bfloat16 || op.kind == OpKind::dense) return;
  if (op.kind == OpKind::dropout && !c.training) return;  // the identity, on a buffer that may be its input's
  for (int v : op.outputs) {
    T* y = c.value(v, row);
    c.kernels->bfloat16_round(rows * c.size(v), y, y);
  }
}

template <class T>
void backward(const Context<T>& c, int i, index_t row, index_t rows) {
  run_backward(c, i, row, rows);
  const Op& op = c.op(i);
  if (op.bfloat16 && op.kind == OpKind::dense) return;
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    if (c.plan(i).writes[k] != GradientWrite::none) round_gradient(c, op.inputs[k], row, rows);
  }
}

template void forward<float>(const Context<float>&, int, index_t, index_t);
template void forward<double>(const Context<double>&, int, index_t, index_t);
template void backward<float>(const Context<float>&, int, index_t, index_t);
template void backward<double>(const Context<double>&, int, index_t, index_t);

}  // namespace densekit
