// Affine with constants: y = x * scale + offset over the last axis, dx = dy * scale.
#include "ops/ops.hpp"

namespace densekit::ops {

template <class T>
void affine_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const std::vector<T>& constants = (*c.constants)[static_cast<std::size_t>(i)];
  const auto n_scale = static_cast<index_t>(op.scale.size()), n_offset = static_cast<index_t>(op.offset.size());
  c.kernels->affine(rows * c.size(op.inputs[0]) / op.width, op.width, c.value(op.inputs[0], row), constants.data(),
                    n_scale, constants.data() + n_scale, n_offset, c.value(op.outputs[0], row));
}

template <class T>
void affine_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const GradientWrite write = c.plan(i).writes[0];
  if (write == GradientWrite::none) return;
  const std::vector<T>& constants = (*c.constants)[static_cast<std::size_t>(i)];
  const T zero = 0;
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->affine(rows * c.size(op.inputs[0]) / op.width, op.width, c.gradient(op.outputs[0], row), constants.data(),
                    static_cast<index_t>(op.scale.size()), &zero, 1, dx.data());
  dx.commit();
}

DENSEKIT_DEFINE_OP(affine, .forward = affine_forward<T>, .backward = affine_backward<T>)

}  // namespace densekit::ops
