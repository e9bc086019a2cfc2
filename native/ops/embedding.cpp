// Rows of a table, picked by the whole numbers of a value; a number outside of the table gives NaN.
#include <algorithm>
#include <limits>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// The row a number picks, or -1. Numbers from the end count backwards, as in NumPy.
template <class T>
index_t row_of(T number, index_t rows) {
  if (!(number >= static_cast<T>(-rows) && number < static_cast<T>(rows))) return -1;
  const auto row = static_cast<index_t>(number);
  return row < 0 ? row + rows : row;
}

template <class T>
void embedding_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const int table = op.parameters[0];
  const index_t entries = c.graph->parameters[static_cast<std::size_t>(table)].rows;
  const T* weights = c.data(table);
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  for (index_t k = 0; k < rows * op.rows_per_sample; ++k, y += op.width) {
    const index_t entry = row_of(x[k], entries);
    if (entry >= 0) std::memcpy(y, weights + entry * op.width, static_cast<std::size_t>(op.width) * sizeof(T));
    else std::fill(y, y + op.width, std::numeric_limits<T>::quiet_NaN());
  }
}

template <class T>
void embedding_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const int x = c.op(i).inputs[0];  // whole numbers have no gradient
  if (c.program_op(i).writes[0] == GradientWrite::set)
    std::memset(c.gradient(x, row), 0, static_cast<std::size_t>(rows * c.size(x)) * sizeof(T));
}

// Rows of the table that the batch does not pick stay 0; the others get their gradients in the order of the batch.
template <class T>
void embedding_gradient(const Context<T>& c, int i, std::size_t, index_t batch, ParameterRows part, T* g,
                        bool accumulate) {
  const Op& op = c.op(i);
  const index_t entries = c.graph->parameters[static_cast<std::size_t>(op.parameters[0])].rows;
  const T *x = c.value(op.inputs[0], 0), *dy = c.gradient(op.outputs[0], 0);
  if (!accumulate) std::memset(g, 0, static_cast<std::size_t>(part.rows * op.width) * sizeof(T));
  for (index_t k = 0; k < batch * op.rows_per_sample; ++k) {
    const index_t entry = row_of(x[k], entries) - part.first;
    if (entry < 0 || entry >= part.rows) continue;
    T* to = g + entry * op.width;
    c.kernels->add(op.width, to, dy + k * op.width, to);
  }
}

}  // namespace

std::vector<index_t> embedding_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 1);
  op.rows_per_sample = size_of(graph, op.inputs[0]);
  op.width = graph.parameters[static_cast<std::size_t>(op.parameters[0])].width;
  return {op.rows_per_sample * op.width};
}

DENSEKIT_DEFINE_OP(embedding, .forward = embedding_forward<T>, .backward = embedding_backward<T>,
                   .parameter_gradient = embedding_gradient<T>, .reads_parameters = false, .splits_gradient = true)

}  // namespace densekit::ops
