#include "ops/ops.hpp"

namespace densekit {
namespace {

// Dense ops round while they store; in float16 not what they give back.
bool rounds_itself(const Op& op) { return op.kind == OpKind::dense; }

}  // namespace

template <class T>
const OpFunctions<T>& op_functions(OpKind kind) {
  static const OpFunctions<T> table[] = {
#define DENSEKIT_OP(name) ops::name##_functions<T>(),
#include "ops/table.inl"
#undef DENSEKIT_OP
      {}  // host: stages of its own
  };
  return table[static_cast<std::size_t>(kind)];
}

// What an op of lower precision gives is rounded, and so is the gradient of it.
template <class T>
void forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  op_functions<T>(op.kind).forward(c, i, row, rows);
  if (op.precision == Precision::full || rounds_itself(op)) return;
  if (op.kind == OpKind::dropout && !c.training) return;  // the identity, on a buffer that may be its input's
  for (int v : op.outputs) { round_to(*c.kernels, op.precision, rows * c.size(v), c.value(v, row)); }
}

template <class T>
void backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  op_functions<T>(op.kind).backward(c, i, row, rows);
  if (op.bfloat16() && rounds_itself(op)) return;
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    if (c.program_op(i).writes[k] != GradientWrite::none) round_gradient(c, op.inputs[k], row, rows);
  }
}

template const OpFunctions<float>& op_functions<float>(OpKind);
template const OpFunctions<double>& op_functions<double>(OpKind);
template void forward<float>(const Context<float>&, int, index_t, index_t);
template void forward<double>(const Context<double>&, int, index_t, index_t);
template void backward<float>(const Context<float>&, int, index_t, index_t);
template void backward<double>(const Context<double>&, int, index_t, index_t);

}  // namespace densekit
