// Dense: Y = f(X W + b).  dZ = dY * f'(Z),  dX = dZ W^T  (dW = X^T dZ and db = sum dZ: runtime/update.cpp).
#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {

namespace {

template <class T>
T* dense_z(const Context<T>& c, int i, index_t row) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  return c.program_op(i).keeps_pre ? c.frame.saved[i] + row * s.rows_per_sample * s.out_features
                                   : c.value(op.outputs[0], row);
}

template <class T>
void activate_whole(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  T* y = c.value(op.outputs[0], row);
  c.kernels->activate(s.activation, rows * s.rows_per_sample, s.out_features, dense_z(c, i, row), y);
  round_to(*c.kernels, op.precision, rows * c.size(op.outputs[0]), y);
}

}  // namespace

template <class T>
void dense_units(const Context<T>& c, int i, index_t row, index_t rows, const DenseUnits<T>& part) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  const index_t m = rows * s.rows_per_sample;
  T* z = dense_z(c, i, row) + part.unit;
  Gemm<T> g;
  g.m = m;
  g.n = part.units;
  g.k = s.in_features;
  g.a = c.dense_x(i) + row * c.size(op.inputs[0]);
  g.a_row = s.in_features;
  g.b = part.kernel;
  g.b_row = part.kernel_row;
  g.c = z;
  g.c_row = s.out_features;
  g.bias = s.bias >= 0 ? c.dense_data(op, s.bias) + part.unit : nullptr;
  g.relu = c.program_op(i).activates == Activates::in_product;
  g.prefetch[0] = part.next;
  g.prefetch_size = part.next == nullptr ? 0 : s.in_features * part.units;
  const uint32_t* packed = c.packed == nullptr ? nullptr : c.packed->kernel(s.kernel, part.unit);
  run_product(*c.kernels, op.bfloat16(), g, packed);
  if (op.float16()) {
    if (part.units == s.out_features) round_to(*c.kernels, op.precision, m * part.units, z);
    else
      for (index_t r = 0; r < m; ++r) round_to(*c.kernels, op.precision, part.units, z + r * s.out_features);
  }
  if (c.program_op(i).activates != Activates::by_units) return;
  if (part.units == s.out_features) return activate_whole(c, i, row, rows);
  T* y = c.value(op.outputs[0], row) + part.unit;
  for (index_t r = 0; r < m; ++r) {
    c.kernels->activate(s.activation, 1, part.units, z + r * s.out_features, y + r * s.out_features);
    round_to(*c.kernels, op.precision, part.units, y + r * s.out_features);
  }
}

template <class T>
void dense_panels(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last) {
  const std::vector<Panel<T>>& panels = *c.panels(c.op(i).dense().kernel);
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
  if (c.program_op(i).activates == Activates::by_rows) activate_whole(c, i, row, rows);
}

template <class T>
void dense_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  if (c.panels(s.kernel) != nullptr) dense_panels(c, i, row, rows, 0, s.out_features);
  else dense_units(c, i, row, rows, {0, s.out_features, c.dense_data(op, s.kernel), s.out_features});
  dense_activate(c, i, row, rows);
}

template <class T>
void dense_backward_dz(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  const ProgramOp& how = c.program_op(i);
  const index_t m = rows * s.rows_per_sample, first = row * s.rows_per_sample * s.out_features;
  T* dz = dense_dz(c, i) + first;
  if (s.activation.kind != ActivationKind::linear && !how.fused_loss) {
    const T* z = how.keeps_pre ? c.frame.saved[i] + first : nullptr;
    c.kernels->activate_backward(s.activation, m, s.out_features, z, c.value(op.outputs[0], row),
                                 c.gradient(op.outputs[0], row), dz);
    if (!is_plain_relu(s.activation)) round_to(*c.kernels, op.precision, m * s.out_features, dz);
  }
  if (c.packed != nullptr) {
    c.packed->pack_dz(i, dense_dz(c, i), c.batch * s.rows_per_sample, row * s.rows_per_sample,
                      row * s.rows_per_sample + m);
  }
}

template <class T>
void dense_backward_dx(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last) {
  const Op& op = c.op(i);
  const DenseSpec& s = op.dense();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none || first >= last) return;
  Gemm<T> g;
  g.m = rows * s.rows_per_sample;
  g.n = last - first;
  g.k = s.out_features;
  g.a = dense_dz(c, i) + row * s.rows_per_sample * s.out_features;
  g.a_row = s.out_features;
  g.b = c.dense_data(op, s.kernel) + first * s.out_features;
  g.b_row = 1;
  g.b_col = s.out_features;
  g.c = c.gradient(op.inputs[0], row) + first;
  g.c_row = s.in_features;
  g.accumulate = write == GradientWrite::add;
  if (op.bfloat16()) {
    return run_product(*c.kernels, true, g, c.packed == nullptr ? nullptr : c.packed->transposed(s.kernel, first));
  }
  const std::vector<Panel<T>>* panels = c.panels(s.kernel);
  if (panels == nullptr) return run_gemm(*c.kernels, g);
  // All panels of full width, then a narrower last one: the same chain over the units, cut in two.
  const Panel<T>& wide = panels->front();
  const Panel<T>& rest = panels->back();
  g.k = s.out_features / wide.units * wide.units;
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
  dense_backward_dx(c, i, row, rows, 0, c.op(i).dense().in_features);
}

// Parameters: kernel and, if there is one, bias. names: activation. integers: in_features, out_features. numbers:
// activation_parameters.
std::vector<index_t> dense_make(const Graph& graph, Op& op, const Attributes& attributes) {
  const bool has_bias = op.parameters.size() == 2;
  require_counts(op, attributes, 1, has_bias ? 2 : 1);
  DenseSpec s;
  s.in_features = attributes.integer("in_features");
  s.out_features = attributes.integer("out_features");
  require(s.in_features >= 1 && s.out_features >= 1, attributes, "in_features and out_features must be 1 or more.");
  const index_t size = size_of(graph, op.inputs[0]);
  if (size % s.in_features != 0) {
    attributes.fail("value " + std::to_string(op.inputs[0]) + " has " + std::to_string(size) +
                    " elements a sample, not a multiple of in_features " + std::to_string(s.in_features) + ".");
  }
  s.rows_per_sample = size / s.in_features;
  s.kernel = op.parameters[0];
  require_shape(graph, s.kernel, s.in_features, s.out_features, attributes, "kernel");
  if (has_bias) require_shape(graph, s.bias = op.parameters[1], s.out_features, 1, attributes, "bias");
  s.activation = activation_spec(attributes.name("activation"), attributes.number_list("activation_parameters"));
  const bool half = halves_width(s.activation.kind);
  require(!half || s.out_features % 2 == 0, attributes, "glu needs an even number of out_features.");
  const index_t width = half ? s.out_features / 2 : s.out_features, rows = s.rows_per_sample;
  op.spec = s;
  return {rows * width};
}

// Which parameters its backward reads depends on the run: engines know (runtime/record.cpp).
DENSEKIT_DEFINE_OP(dense, .forward = dense_forward<T>, .backward = dense_backward<T>, .reads_parameters = false)
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
