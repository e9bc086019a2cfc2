// Elements of the last axis by whole numbers of another value, row by row; one outside of the axis gives NaN.
#include <limits>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// The element a number picks, or -1. Numbers from the end count backwards, as in NumPy.
template <class T>
index_t element_of(T number, index_t width) {
  if (!(number >= static_cast<T>(-width) && number < static_cast<T>(width))) return -1;
  const auto element = static_cast<index_t>(number);
  return element < 0 ? element + width : element;
}

// Calls each(row of x, which result) for all results of some samples, in order.
template <class T, class Each>
void for_each_result(const Context<T>& c, int i, index_t rows, Each each) {
  const Op& op = c.op(i);
  const index_t picks = c.size(op.outputs[0]) / op.rows_per_sample;
  for (index_t k = 0; k < rows * op.rows_per_sample; ++k) {
    for (index_t m = 0; m < picks; ++m) each(k * op.width, k * picks + m);
  }
}

template <class T>
void pick_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const T *x = c.value(op.inputs[0], row), *numbers = c.value(op.inputs[1], row);
  T* y = c.value(op.outputs[0], row);
  for_each_result(c, i, rows, [&](index_t first, index_t k) {
    const index_t element = element_of(numbers[k], op.width);
    y[k] = element < 0 ? std::numeric_limits<T>::quiet_NaN() : x[first + element];
  });
}

template <class T>
void pick_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  for (std::size_t k = 0; k < 2; ++k) {  // whole numbers have no gradient
    if (c.program_op(i).writes[k] != GradientWrite::set) continue;
    std::memset(c.gradient(op.inputs[k], row), 0, static_cast<std::size_t>(rows * c.size(op.inputs[k])) * sizeof(T));
  }
  if (c.program_op(i).writes[0] == GradientWrite::none) return;
  const T *numbers = c.value(op.inputs[1], row), *dy = c.gradient(op.outputs[0], row);
  T* dx = c.gradient(op.inputs[0], row);
  for_each_result(c, i, rows, [&](index_t first, index_t k) {
    const index_t element = element_of(numbers[k], op.width);
    if (element >= 0) dx[first + element] += dy[k];
  });
}

}  // namespace

// integers: width, of the axis that is picked from.
std::vector<index_t> pick_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 2, 0);
  op.width = attributes.integer("width");
  const index_t size = size_of(graph, op.inputs[0]), picks = size_of(graph, op.inputs[1]);
  require(op.width >= 1 && size % op.width == 0, attributes, "width must divide the size of the value.");
  op.rows_per_sample = size / op.width;
  require(op.rows_per_sample >= 1 && picks % op.rows_per_sample == 0, attributes,
          "there must be equally many numbers for each row.");
  return {picks};
}

DENSEKIT_DEFINE_OP(pick, .forward = pick_forward<T>, .backward = pick_backward<T>)

}  // namespace densekit::ops
