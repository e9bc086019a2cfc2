// Sum, extremum, product or log-sum-exp along one axis of each sample.
#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {
namespace {

template <class T>
void reduce_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ReduceSpec>();
  c.kernels->reduce(s.kind, rows * s.outer, s.n, s.inner, static_cast<T>(s.scale), c.value(op.inputs[0], row),
                    c.value(op.outputs[0], row));
}

template <class T>
void reduce_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ReduceSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->reduce_backward(s.kind, rows * s.outer, s.n, s.inner, static_cast<T>(s.scale), c.value(op.inputs[0], row),
                             c.value(op.outputs[0], row), c.gradient(op.outputs[0], row), dx.data());
  dx.commit();
}

}  // namespace

// names: reduction. integers: outer, n, inner. numbers: scale, of a sum.
std::vector<index_t> reduce_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  ReduceSpec s;
  s.kind = reduction_kind(attributes.name("reduction"));
  s.outer = attributes.integer("outer"), s.n = attributes.integer("n"), s.inner = attributes.integer("inner");
  s.scale = attributes.number("scale");
  require(s.outer >= 0 && s.n >= 0 && s.inner >= 0 && s.outer * s.n * s.inner == size_of(graph, op.inputs[0]),
          attributes, "outer * n * inner must be the size of the value.");
  require(s.n > 0 || s.kind == ReductionKind::sum, attributes, "there is nothing to reduce.");
  op.spec = s;
  return {s.outer * s.inner};
}

DENSEKIT_DEFINE_OP(reduce, .forward = reduce_forward<T>, .backward = reduce_backward<T>)

}  // namespace densekit::ops
