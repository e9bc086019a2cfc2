// A formula on its own: y = f(x), dx = dy * f'(x).
#include "ops/ops.hpp"

namespace densekit::ops {

template <class T>
void activation_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const index_t n = rows * c.size(op.inputs[0]);
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  if (c.plan(i).fused_loss || op.activation.kind == ActivationKind::linear) {
    std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));  // the loss turns it into probabilities
  } else {
    c.kernels->activate(op.activation, n / op.width, op.width, x, y);
  }
}

template <class T>
void activation_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const GradientWrite write = c.plan(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* dy = c.gradient(op.outputs[0], row);
  if (c.plan(i).fused_loss || op.activation.kind == ActivationKind::linear) {
    return pass_gradient(c, op.inputs[0], write, row, rows, dy);
  }
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->activate_backward(op.activation, rows * c.size(op.inputs[0]) / op.width, op.width,
                               c.value(op.inputs[0], row), c.value(op.outputs[0], row), dy, dx.data());
  dx.commit();
}

DENSEKIT_DEFINE_OP(activation, .forward = activation_forward<T>, .backward = activation_backward<T>)

}  // namespace densekit::ops
