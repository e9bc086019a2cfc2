// Elementwise merges. add, subtract and average take all their inputs at once; products and extrema come in pairs.
#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {
namespace {

template <class T>
T average_factor(const Op& op) {
  return op.get<MergeSpec>().kind == MergeKind::average ? T(1) / static_cast<T>(op.inputs.size()) : T(1);
}

}  // namespace

template <class T>
void merge_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const Kernels<T>& k = *c.kernels;
  const index_t n = rows * c.size(op.outputs[0]);
  const T *a = c.value(op.inputs[0], row), *b = c.value(op.inputs[1], row);
  T* y = c.value(op.outputs[0], row);
  switch (op.get<MergeSpec>().kind) {
    case MergeKind::subtract: return k.subtract(n, a, b, y);
    case MergeKind::multiply: return k.multiply(n, a, b, y);
    case MergeKind::maximum: return k.maximum(n, a, b, y);
    case MergeKind::minimum: return k.minimum(n, a, b, y);
    case MergeKind::add:
    case MergeKind::average: break;
  }
  k.add(n, a, b, y);
  for (std::size_t j = 2; j < op.inputs.size(); ++j) k.add(n, y, c.value(op.inputs[j], row), y);
  if (op.get<MergeSpec>().kind == MergeKind::average) k.scale(n, y, average_factor<T>(op), y);
}

namespace {

// The kernel adds; the first writer starts from zero.
template <class T>
T* started_gradient(const Context<T>& c, int value, GradientWrite write, index_t row, index_t rows) {
  if (write == GradientWrite::none) return nullptr;
  T* d = c.gradient(value, row);
  if (write == GradientWrite::set) std::memset(d, 0, static_cast<std::size_t>(rows * c.size(value)) * sizeof(T));
  return d;
}

template <class T>
void extremum_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const ProgramOp& how = c.program_op(i);
  const int a = op.inputs[0], b = op.inputs[1];
  const T* dy = c.gradient(op.outputs[0], row);
  if (a == b) {
    if (how.writes[0] != GradientWrite::none) pass_gradient(c, a, how.writes[0], row, rows, dy);
    return;
  }
  T* da = started_gradient(c, a, how.writes[0], row, rows);
  T* db = started_gradient(c, b, how.writes[1], row, rows);
  c.kernels->select_backward(rows * c.size(a), op.get<MergeSpec>().kind == MergeKind::maximum, c.value(a, row),
                             c.value(b, row), dy, da, db);
}

}  // namespace

template <class T>
void merge_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  if (op.get<MergeSpec>().kind == MergeKind::maximum || op.get<MergeSpec>().kind == MergeKind::minimum)
    return extremum_backward(c, i, row, rows);
  const ProgramOp& how = c.program_op(i);
  const T* dy = c.gradient(op.outputs[0], row);
  for (std::size_t j = 0; j < op.inputs.size(); ++j) {
    const int x = op.inputs[j];
    if (how.writes[j] == GradientWrite::none) continue;
    if (op.get<MergeSpec>().kind == MergeKind::multiply) {
      const GradientTarget<T> dx(c, x, how.writes[j], row, rows);
      c.kernels->multiply(rows * c.size(x), dy, c.value(op.inputs[1 - j], row), dx.data());
      dx.commit();
    } else {
      const T factor = op.get<MergeSpec>().kind == MergeKind::subtract && j == 1 ? T(-1) : average_factor<T>(op);
      pass_gradient(c, x, how.writes[j], row, rows, dy, factor);
    }
  }
}

// names: merge. Products and extrema take two values: their partial results are what their gradients need.
std::vector<index_t> merge_make(const Graph& graph, Op& op, const Attributes& attributes) {
  const MergeKind kind = merge_kind(attributes.name("merge"));
  require(op.inputs.size() >= 2, attributes, "needs at least two values.");
  require_counts(op, attributes, kind == MergeKind::add || kind == MergeKind::average ? op.inputs.size() : 2, 0);
  const index_t size = size_of(graph, op.inputs[0]);
  for (int x : op.inputs) require(size_of(graph, x) == size, attributes, "all values must have equal sizes.");
  op.spec = MergeSpec{kind};
  return {size};
}

DENSEKIT_DEFINE_OP(merge, .forward = merge_forward<T>, .backward = merge_backward<T>)

}  // namespace densekit::ops
