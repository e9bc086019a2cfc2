// Normalization of each row of the last axis, then * gamma + beta.
#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {
namespace {

template <class T>
const T* data_of(const Context<T>& c, const Op& op, int position) {
  return position < 0 ? nullptr : c.data(op.parameter(position));
}

template <class T>
void normalization_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NormalizationSpec>();
  c.kernels->normalize(s.kind, rows * op.rows_per_sample, op.width, c.value(op.inputs[0], row), data_of(c, op, s.gamma),
                       data_of(c, op, s.beta), s.epsilon, c.value(op.outputs[0], row), c.saved(i, row));
}

template <class T>
void normalization_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NormalizationSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->normalize_backward(s.kind, rows * op.rows_per_sample, op.width, s.epsilon, c.value(op.inputs[0], row),
                                c.saved(i, row), data_of(c, op, s.gamma), c.gradient(op.outputs[0], row), dx.data());
  dx.commit();
}

template <class T>
void normalization_gradient(const Context<T>& c, int i, std::size_t which, index_t batch, ParameterRows, T* g,
                            bool accumulate) {
  const Op& op = c.op(i);
  const auto& s = op.get<NormalizationSpec>();
  const index_t rows = batch * op.rows_per_sample;
  const T* dy = c.gradient(op.outputs[0], 0);
  if (static_cast<int>(which) == s.beta) return c.kernels->column_sums(rows, op.width, dy, g, accumulate);
  c.kernels->normalize_gradient(rows, op.width, c.value(op.inputs[0], 0), c.saved(i, 0), dy, g, accumulate);
}

}  // namespace

// names: normalization. integers: width; gamma, beta: positions among the parameters, or -1. numbers: epsilon.
std::vector<index_t> normalization_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, op.parameters.size());
  NormalizationSpec s;
  s.kind = normalization_kind(attributes.name("normalization"));
  s.epsilon = attributes.number("epsilon");
  const index_t size = size_of(graph, op.inputs[0]);
  op.width = attributes.integer("width");
  require(op.width >= 1 && size % op.width == 0, attributes, "width must divide the size of the value.");
  s.gamma = optional_parameter(graph, op, attributes, "gamma", op.width);
  s.beta = optional_parameter(graph, op, attributes, "beta", op.width);
  op.rows_per_sample = size / op.width;
  op.saved = 2 * op.rows_per_sample;
  op.spec = s;
  return {size};
}

DENSEKIT_DEFINE_OP(normalization, .forward = normalization_forward<T>, .backward = normalization_backward<T>,
                   .parameter_gradient = normalization_gradient<T>)

}  // namespace densekit::ops
