// Activity penalty: adds (l1 sum|x| + l2 sum x^2 + linear sum x) / batch to the total; dx += (l1 sign(x) + 2 l2 x + linear) / batch.
// What sums is not divided by the batch.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// Which of the plan's activity penalties this is.
template <class T>
index_t position(const Context<T>& c, int i) {
  index_t n = 0;
  for (int j = 0; j < i; ++j) n += c.op(j).kind == OpKind::activity;
  return n;
}

}  // namespace

template <class T>
void activity_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  if (c.activity == nullptr) return;  // inference
  const Op& op = c.op(i);
  const auto& s = op.get<ActivitySpec>();
  const index_t size = c.size(op.inputs[0]), at = position(c, i);
  for (index_t r = row; r < row + rows; ++r) {
    const T* x = c.value(op.inputs[0], r);
    double penalty = 0;
    if (s.l1 != 0) penalty += s.l1 * c.kernels->sum_of_magnitudes(size, x);
    if (s.l2 != 0) penalty += s.l2 * c.kernels->sum_of_squares(size, x);
    if (s.linear != 0) penalty += s.linear * c.kernels->sum(size, x);
    c.activity[r * c.n_activities + at] = s.sums ? penalty * static_cast<double>(c.batch) : penalty;
  }
}

template <class T>
void activity_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ActivitySpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const index_t n = rows * c.size(op.inputs[0]);
  T* dx = c.gradient(op.inputs[0], row);
  if (write == GradientWrite::set) std::memset(dx, 0, static_cast<std::size_t>(n) * sizeof(T));
  c.kernels->l1l2_backward(n, c.value(op.inputs[0], row), static_cast<T>(s.l1), static_cast<T>(s.l2), c.activity_scale,
                           dx);
  if (s.linear == 0) return;
  const T share = static_cast<T>(s.linear) * (s.sums ? c.loss_scale : c.activity_scale);
  const Operand<T> operands[] = {{dx, 1}, {&share, 0}};
  c.kernels->elementwise(ElementwiseKind::add, n, operands, dx);
}

// integers: sums. numbers: l1, l2, linear. No output.
std::vector<index_t> activity_make(const Graph&, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  op.spec = ActivitySpec{attributes.number("l1"), attributes.number("l2"), attributes.number("linear"),
                         attributes.flag("sums")};
  return {};
}

DENSEKIT_DEFINE_OP(activity, .forward = activity_forward<T>, .backward = activity_backward<T>)

}  // namespace densekit::ops
