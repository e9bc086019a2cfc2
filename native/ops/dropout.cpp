// Dropout: y = x * mask / (1 - rate). The mask is a function of (key, counter, element), so the backward makes it anew.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {

template <class T>
void dropout_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const index_t size = c.size(op.inputs[0]), n = rows * size;
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  if (x == y) return;  // shares its input's buffer: inference
  if (!c.training && !op.always_draws) {
    std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    c.kernels->dropout(n, x, y, op.get<DropoutSpec>().rate, c.keys[op.random_node], c.counters[op.random_node],
                       static_cast<uint64_t>(row * size));
  }
}

template <class T>
void dropout_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const index_t size = c.size(op.inputs[0]);
  const T* dy = c.gradient(op.outputs[0], row);
  if (!c.training && !op.always_draws) return pass_gradient(c, op.inputs[0], write, row, rows, dy);
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  c.kernels->dropout(rows * size, dy, dx.data(), op.get<DropoutSpec>().rate, c.keys[op.random_node],
                     c.counters[op.random_node], static_cast<uint64_t>(row * size));
  dx.commit();
}

// numbers: rate. integers: always, draws_a_step.
std::vector<index_t> dropout_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  const double rate = attributes.number("rate");
  if (!(rate >= 0 && rate <= 1)) attributes.fail("rate must be in 0..1, got " + std::to_string(rate) + ".");
  op.spec = DropoutSpec{rate};
  make_random(graph, op, attributes);
  return {size_of(graph, op.inputs[0])};
}

DENSEKIT_DEFINE_OP(dropout, .forward = dropout_forward<T>, .backward = dropout_backward<T>)

}  // namespace densekit::ops
