// A formula on its own: y = f(x), dx = dy * f'(x).
#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {

template <class T>
void activation_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ActivateSpec>();
  const index_t n = rows * c.size(op.inputs[0]);
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  if (c.program_op(i).fused_loss || s.activation.kind == ActivationKind::linear) {
    std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));  // the loss turns it into probabilities
  } else {
    c.kernels->activate(s.activation, n / s.width, s.width, x, y);
  }
}

template <class T>
void activation_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ActivateSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* dy = c.gradient(op.outputs[0], row);
  if (c.program_op(i).fused_loss || s.activation.kind == ActivationKind::linear) {
    return pass_gradient(c, op.inputs[0], write, row, rows, dy);
  }
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->activate_backward(s.activation, rows * c.size(op.inputs[0]) / s.width, s.width, c.value(op.inputs[0], row),
                               c.value(op.outputs[0], row), dy, dx.data());
  dx.commit();
}

// names: activation. integers: width. numbers: activation_parameters.
std::vector<index_t> activation_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  const ActivateSpec s{activation_spec(attributes.name("activation"), attributes.number_list("activation_parameters")),
                       attributes.integer("width")};
  require_divides(graph, op.inputs[0], s.width, attributes, "width");
  const bool half = halves_width(s.activation.kind);
  require(!half || s.width % 2 == 0, attributes, "glu needs an even width.");
  op.spec = s;
  const index_t size = size_of(graph, op.inputs[0]);
  return {half ? size / 2 : size};
}

DENSEKIT_DEFINE_OP(activation, .forward = activation_forward<T>, .backward = activation_backward<T>)

}  // namespace densekit::ops
