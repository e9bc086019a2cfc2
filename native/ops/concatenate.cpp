// Concatenate: each input in turn gives `inner` contiguous elements, until all are used up.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// Calls copy(offset in y, j, offset in x_j, elements) for every contiguous piece of the rows.
template <class T, class Copy>
void for_each_piece(const Context<T>& c, const Op& op, index_t rows, Copy copy) {
  const std::vector<index_t>& inners = op.get<ConcatenateSpec>().inners;
  index_t stride = 0, turns = 0;
  for (std::size_t j = 0; j < op.inputs.size(); ++j) {
    stride += inners[j];
    if (inners[j] > 0) turns = rows * c.size(op.inputs[j]) / inners[j];
  }
  index_t first = 0;
  for (std::size_t j = 0; j < op.inputs.size(); ++j) {
    const index_t inner = inners[j];
    for (index_t t = 0; inner > 0 && t < turns; ++t) copy(t * stride + first, j, t * inner, inner);
    first += inner;
  }
}

}  // namespace

template <class T>
void concatenate_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  T* y = c.value(op.outputs[0], row);
  for_each_piece(c, op, rows, [&](index_t to, std::size_t j, index_t from, index_t n) {
    std::memcpy(y + to, c.value(op.inputs[j], row) + from, static_cast<std::size_t>(n) * sizeof(T));
  });
}

template <class T>
void concatenate_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const ProgramOp& how = c.program_op(i);
  const T* dy = c.gradient(op.outputs[0], row);
  for_each_piece(c, op, rows, [&](index_t from, std::size_t j, index_t to, index_t n) {
    if (how.writes[j] == GradientWrite::none) return;
    T* dx = c.gradient(op.inputs[j], row) + to;
    if (how.writes[j] == GradientWrite::add) {
      c.kernels->add(n, dx, dy + from, dx);
    } else {
      std::memcpy(dx, dy + from, static_cast<std::size_t>(n) * sizeof(T));
    }
  });
}

// integers: inners, one an input.
std::vector<index_t> concatenate_make(const Graph& graph, Op& op, const Attributes& attributes) {
  const std::vector<index_t>& inners = attributes.integer_list("inners");
  require(!op.inputs.empty() && op.inputs.size() == inners.size(), attributes,
          "needs as many inners as values, and at least one.");
  require_counts(op, attributes, inners.size(), 0);
  index_t size = 0, turns = -1;
  for (std::size_t j = 0; j < inners.size(); ++j) {
    const index_t n = size_of(graph, op.inputs[j]);
    require(inners[j] >= 0 && (inners[j] > 0 || n == 0), attributes,
            "an inner must be 1 or more, 0 only for no elements.");
    if (inners[j] > 0) {
      require_divides(graph, op.inputs[j], inners[j], attributes, "inner");
      require(turns < 0 || n / inners[j] == turns, attributes, "the values differ in the axes before the joined one.");
      turns = n / inners[j];
    }
    size += n;
  }
  op.spec = ConcatenateSpec{inners};
  return {size};
}

DENSEKIT_DEFINE_OP(concatenate, .forward = concatenate_forward<T>, .backward = concatenate_backward<T>)

}  // namespace densekit::ops
