// Dense: Y = f(X W + b).  dZ = dY * f'(Z),  dX = dZ W^T  (dW = X^T dZ and db = sum dZ: runtime/update.cpp).
#include "ops/ops.hpp"

namespace densekit::ops {

template <class T>
void dense_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const ProgramOp& plan = c.plan(i);
  const index_t m = rows * op.rows_per_sample;
  T* y = c.value(op.outputs[0], row);
  T* z = plan.keeps_pre ? c.frame.pre[i] + row * op.rows_per_sample * op.out_features : y;
  const bool linear = op.activation.kind == ActivationKind::linear || plan.fused_loss;
  const bool relu = !plan.keeps_pre && is_plain_relu(op.activation);
  Gemm<T> g;
  g.m = m;
  g.n = op.out_features;
  g.k = op.in_features;
  g.a = c.value(op.inputs[0], row);
  g.a_row = op.in_features;
  g.b = c.data(op.kernel);
  g.b_row = op.out_features;
  g.c = z;
  g.c_row = op.out_features;
  g.bias = op.bias >= 0 ? c.data(op.bias) : nullptr;
  g.relu = relu;
  run_gemm(*c.kernels, g);
  if (!linear && !relu) c.kernels->activate(op.activation, m, op.out_features, z, y);
}

template <class T>
void dense_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const ProgramOp& plan = c.plan(i);
  const index_t m = rows * op.rows_per_sample, first = row * op.rows_per_sample * op.out_features;
  T* dz = dense_dz(c, i) + first;
  if (op.activation.kind != ActivationKind::linear && !plan.fused_loss) {
    const T* z = plan.keeps_pre ? c.frame.pre[i] + first : nullptr;
    c.kernels->activate_backward(op.activation, m, op.out_features, z, c.value(op.outputs[0], row),
                                 c.gradient(op.outputs[0], row), dz);
  }
  if (plan.writes[0] == GradientWrite::none) return;
  Gemm<T> g;
  g.m = m;
  g.n = op.in_features;
  g.k = op.out_features;
  g.a = dz;
  g.a_row = op.out_features;
  g.b = c.data(op.kernel);
  g.b_row = 1;
  g.b_col = op.out_features;
  g.c = c.gradient(op.inputs[0], row);
  g.c_row = op.in_features;
  g.accumulate = plan.writes[0] == GradientWrite::add;
  run_gemm(*c.kernels, g);
}

DENSEKIT_INSTANTIATE_OP(dense)

}  // namespace densekit::ops
