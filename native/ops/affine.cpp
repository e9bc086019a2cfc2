// Affine with constants: y = x * scale + offset over the last axis, dx = dy * scale.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {

template <class T>
void affine_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<AffineSpec>();
  c.kernels->affine(rows * c.size(op.inputs[0]) / s.width, s.width, c.value(op.inputs[0], row), c.constant(i, 0),
                    s.n_scale, c.constant(i, s.n_scale), s.n_offset, c.value(op.outputs[0], row));
}

template <class T>
void affine_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<AffineSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T zero = 0;
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->affine(rows * c.size(op.inputs[0]) / s.width, s.width, c.gradient(op.outputs[0], row), c.constant(i, 0),
                    s.n_scale, &zero, 1, dx.data());
  dx.commit();
}

// integers: width. numbers: scale, offset, 1 or `width` each.
std::vector<index_t> affine_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  const std::vector<double>&scale = attributes.number_list("scale"), &offset = attributes.number_list("offset");
  const AffineSpec s{attributes.integer("width"), static_cast<index_t>(scale.size()),
                     static_cast<index_t>(offset.size())};
  require_divides(graph, op.inputs[0], s.width, attributes, "width");
  for (index_t n : {s.n_scale, s.n_offset}) {
    if (n != 1 && n != s.width)
      attributes.fail("scale and offset need 1 or " + std::to_string(s.width) + " elements, got " + std::to_string(n) +
                      ".");
  }
  op.constants = scale;
  op.constants.insert(op.constants.end(), offset.begin(), offset.end());
  op.spec = s;
  return {size_of(graph, op.inputs[0])};
}

DENSEKIT_DEFINE_OP(affine, .forward = affine_forward<T>, .backward = affine_backward<T>)

}  // namespace densekit::ops
