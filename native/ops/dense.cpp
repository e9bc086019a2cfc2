// Dense: Y = f(X W + b).  dZ = dY * f'(Z),  dX = dZ W^T  (dW = X^T dZ and db = sum dZ: runtime/update.cpp).
#include "ops/ops.hpp"

namespace densekit::ops {

namespace {

template <class T>
T* dense_z(const Context<T>& c, int i, index_t row) {
  const Op& op = c.op(i);
  return c.plan(i).keeps_pre ? c.frame.saved[i] + row * op.rows_per_sample * op.out_features
                             : c.value(op.outputs[0], row);
}

template <class T>
void activate_whole(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  T* y = c.value(op.outputs[0], row);
  c.kernels->activate(op.activation, rows * op.rows_per_sample, op.out_features, dense_z(c, i, row), y);
  round_to(*c.kernels, op.precision, rows * c.size(op.outputs[0]), y);
}

}  // namespace

template <class T>
void dense_units(const Context<T>& c, int i, index_t row, index_t rows, const DenseUnits<T>& part) {
  const Op& op = c.op(i);
  const index_t m = rows * op.rows_per_sample;
  T* z = dense_z(c, i, row) + part.unit;
  Gemm<T> g;
  g.m = m;
  g.n = part.units;
  g.k = op.in_features;
  g.a = c.dense_x(i) + row * c.size(op.inputs[0]);
  g.a_row = op.in_features;
  g.b = part.kernel;
  g.b_row = part.kernel_row;
  g.c = z;
  g.c_row = op.out_features;
  g.bias = op.bias >= 0 ? c.dense_data(op, op.bias) + part.unit : nullptr;
  g.relu = c.plan(i).activates == Activates::in_product;
  g.prefetch[0] = part.next;
  g.prefetch_size = part.next == nullptr ? 0 : op.in_features * part.units;
  const uint32_t* packed = c.packed == nullptr ? nullptr : c.packed->kernel(op.kernel, part.unit);
  run_product(*c.kernels, op.bfloat16(), g, packed);
  if (op.float16()) {
    if (part.units == op.out_features) round_to(*c.kernels, op.precision, m * part.units, z);
    else
      for (index_t r = 0; r < m; ++r) round_to(*c.kernels, op.precision, part.units, z + r * op.out_features);
  }
  if (c.plan(i).activates != Activates::by_units) return;
  if (part.units == op.out_features) return activate_whole(c, i, row, rows);
  T* y = c.value(op.outputs[0], row) + part.unit;
  for (index_t r = 0; r < m; ++r) {
    c.kernels->activate(op.activation, 1, part.units, z + r * op.out_features, y + r * op.out_features);
    round_to(*c.kernels, op.precision, part.units, y + r * op.out_features);
  }
}

template <class T>
void dense_panels(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last) {
  const std::vector<Panel<T>>& panels = *c.panels(c.op(i).kernel);
  for (std::size_t k = 0; k < panels.size(); ++k) {
    const Panel<T>& panel = panels[k];
    if (panel.unit < first || panel.unit >= last) continue;
    const bool more = k + 1 < panels.size() && panels[k + 1].unit < last && panels[k + 1].units == panel.units;
    dense_units(c, i, row, rows,
                {panel.unit, panel.units, panel.weights, panel.units, more ? panels[k + 1].weights : nullptr});
  }
}

template <class T>
void dense_activate(const Context<T>& c, int i, index_t row, index_t rows) {
  if (c.plan(i).activates == Activates::by_rows) activate_whole(c, i, row, rows);
}

template <class T>
void dense_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  if (c.panels(op.kernel) != nullptr) dense_panels(c, i, row, rows, 0, op.out_features);
  else dense_units(c, i, row, rows, {0, op.out_features, c.dense_data(op, op.kernel), op.out_features});
  dense_activate(c, i, row, rows);
}

template <class T>
void dense_backward_dz(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const ProgramOp& plan = c.plan(i);
  const index_t m = rows * op.rows_per_sample, first = row * op.rows_per_sample * op.out_features;
  T* dz = dense_dz(c, i) + first;
  if (op.activation.kind != ActivationKind::linear && !plan.fused_loss) {
    const T* z = plan.keeps_pre ? c.frame.saved[i] + first : nullptr;
    c.kernels->activate_backward(op.activation, m, op.out_features, z, c.value(op.outputs[0], row),
                                 c.gradient(op.outputs[0], row), dz);
    if (!is_plain_relu(op.activation)) round_to(*c.kernels, op.precision, m * op.out_features, dz);
  }
  if (c.packed != nullptr) {
    c.packed->pack_dz(i, dense_dz(c, i), c.batch * op.rows_per_sample, row * op.rows_per_sample,
                      row * op.rows_per_sample + m);
  }
}

template <class T>
void dense_backward_dx(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last) {
  const Op& op = c.op(i);
  const GradientWrite write = c.plan(i).writes[0];
  if (write == GradientWrite::none || first >= last) return;
  Gemm<T> g;
  g.m = rows * op.rows_per_sample;
  g.n = last - first;
  g.k = op.out_features;
  g.a = dense_dz(c, i) + row * op.rows_per_sample * op.out_features;
  g.a_row = op.out_features;
  g.b = c.dense_data(op, op.kernel) + first * op.out_features;
  g.b_row = 1;
  g.b_col = op.out_features;
  g.c = c.gradient(op.inputs[0], row) + first;
  g.c_row = op.in_features;
  g.accumulate = write == GradientWrite::add;
  if (op.bfloat16()) {
    return run_product(*c.kernels, true, g, c.packed == nullptr ? nullptr : c.packed->transposed(op.kernel, first));
  }
  const std::vector<Panel<T>>* panels = c.panels(op.kernel);
  if (panels == nullptr) return run_gemm(*c.kernels, g);
  // All panels of full width, then a narrower last one: the same chain over the units, cut in two.
  const Panel<T>& wide = panels->front();
  const Panel<T>& rest = panels->back();
  g.k = op.out_features / wide.units * wide.units;
  g.b = wide.weights + first * wide.units;
  g.b_col = wide.units;
  g.b_panel = wide.units;
  g.b_panel_stride = panels->size() > 1 ? (*panels)[1].weights - wide.weights : 0;
  run_gemm(*c.kernels, g);
  if (rest.units == wide.units) return;
  g.k = rest.units;
  g.a += rest.unit;
  g.b = rest.weights + first * rest.units;
  g.b_col = rest.units;
  g.b_panel = 0;
  g.accumulate = true;
  run_gemm(*c.kernels, g);
}

template <class T>
void dense_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  dense_backward_dz(c, i, row, rows);
  dense_backward_dx(c, i, row, rows, 0, c.op(i).in_features);
}

DENSEKIT_DEFINE_OP(dense, .forward = dense_forward<T>, .backward = dense_backward<T>)
#define DENSEKIT_INSTANTIATE(T)                                                                 \
  template void dense_units<T>(const Context<T>&, int, index_t, index_t, const DenseUnits<T>&); \
  template void dense_panels<T>(const Context<T>&, int, index_t, index_t, index_t, index_t);    \
  template void dense_activate<T>(const Context<T>&, int, index_t, index_t);                    \
  template void dense_backward_dz<T>(const Context<T>&, int, index_t, index_t);                 \
  template void dense_backward_dx<T>(const Context<T>&, int, index_t, index_t, index_t, index_t);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit::ops
