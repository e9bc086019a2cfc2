// Positions that sort each row in ascending order, equals in their order and NaN last. Whole numbers have no gradient.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

template <class T>
void order_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  static thread_local std::vector<index_t> places;
  places.resize(static_cast<std::size_t>(op.width));
  for (index_t r = 0; r < rows * op.rows_per_sample; ++r, x += op.width, y += op.width) {
    std::iota(places.begin(), places.end(), index_t{0});
    std::stable_sort(places.begin(), places.end(),
                     [x](index_t a, index_t b) { return x[a] < x[b] || (std::isnan(x[b]) && !std::isnan(x[a])); });
    std::transform(places.begin(), places.end(), y, [](index_t place) { return static_cast<T>(place); });
  }
}

template <class T>
void order_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const int x = c.op(i).inputs[0];
  if (c.program_op(i).writes[0] == GradientWrite::set)
    std::memset(c.gradient(x, row), 0, static_cast<std::size_t>(rows * c.size(x)) * sizeof(T));
}

}  // namespace

// integers: width.
std::vector<index_t> order_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  op.width = attributes.integer("width");
  require_divides(graph, op.inputs[0], op.width, attributes, "width");
  const index_t size = size_of(graph, op.inputs[0]);
  op.rows_per_sample = size / op.width;
  return {size};
}

DENSEKIT_DEFINE_OP(order, .forward = order_forward<T>, .backward = order_backward<T>, .reads_parameters = false)

}  // namespace densekit::ops
