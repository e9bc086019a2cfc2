// Products with matrices that lie in a parameter, one for each entry of a sample: Y_e = X_e W_e, dX_e = dY_e W_e^T,
// dW_e = X_e^T dY_e. A matrix may lie there as its transpose.
#include <algorithm>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// X, Y of entry e: where row 0 begins in a sample, how many rows are equally far apart, and how far.
struct Rows {
  index_t runs, count, run_step, row_step;
};

// Rows of entry e of all samples as one run if they are equally far apart: with one entry, or one row each.
Rows rows_of(const WeightProductSpec& s, index_t samples, index_t columns) {
  const auto entries = static_cast<index_t>(s.offsets.size());
  if (entries == 1) return {1, samples * s.m, 0, columns};
  if (s.m == 1) return {1, samples, 0, entries * columns};
  return {samples, s.m, entries * s.m * columns, columns};
}

template <class T>
void run(const Context<T>& c, const Gemm<T>& g) {
  run_product(*c.kernels, false, g, nullptr);
}

// One side of the product: where an entry's rows begin in a sample, and how many columns they have.
struct Side {
  index_t step, columns;
};
Side side_of_x(const WeightProductSpec& s) { return {s.m * s.k, s.k}; }
Side side_of_y(const WeightProductSpec& s) { return {s.m * s.n, s.n}; }

// Rows of one side times the matrices, whose elements are `w_row` and `w_column` apart, make rows of the other side.
template <class T>
void multiply(const Context<T>& c, const Op& op, index_t rows, const T* from, Side a, index_t w_row, index_t w_column,
              T* to, Side b, bool accumulate) {
  const auto& s = op.get<WeightProductSpec>();
  const T* w = c.data(op.parameters[0]);
  const Rows from_rows = rows_of(s, rows, a.columns), to_rows = rows_of(s, rows, b.columns);
  Gemm<T> g;
  g.m = from_rows.count, g.n = b.columns, g.k = a.columns;
  g.a_row = from_rows.row_step, g.a_col = 1;
  g.b_row = w_row, g.b_col = w_column;
  g.c_row = to_rows.row_step;
  g.accumulate = accumulate;
  for (std::size_t e = 0; e < s.offsets.size(); ++e) {
    const auto entry = static_cast<index_t>(e);
    g.b = w + s.offsets[e];
    for (index_t r = 0; r < from_rows.runs; ++r) {
      g.a = from + entry * a.step + r * from_rows.run_step, g.c = to + entry * b.step + r * to_rows.run_step;
      run(c, g);
    }
  }
}

template <class T>
void weight_product_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<WeightProductSpec>();
  multiply(c, op, rows, c.value(op.inputs[0], row), side_of_x(s), s.k_stride, s.n_stride, c.value(op.outputs[0], row),
           side_of_y(s), false);
}

template <class T>
void weight_product_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<WeightProductSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* dy = c.gradient(op.outputs[0], row);
  multiply(c, op, rows, dy, side_of_y(s), s.n_stride, s.k_stride, c.gradient(op.inputs[0], row), side_of_x(s),
           write == GradientWrite::add);
}

// Stored as its transpose, the matrix gets the transpose of its gradient, dY^T X.
template <class T>
void weight_product_gradient(const Context<T>& c, int i, std::size_t, index_t batch, ParameterRows, T* gradient,
                             bool accumulate) {
  const Op& op = c.op(i);
  const auto& s = op.get<WeightProductSpec>();
  const index_t size = c.graph->parameters[static_cast<std::size_t>(op.parameters[0])].size();
  if (!accumulate) std::memset(gradient, 0, static_cast<std::size_t>(size) * sizeof(T));
  const T *x = c.value(op.inputs[0], 0), *dy = c.gradient(op.outputs[0], 0);
  const Rows of_x = rows_of(s, batch, s.k), of_y = rows_of(s, batch, s.n);
  const bool transposed = s.n_stride != 1;
  Gemm<T> g;
  g.m = transposed ? s.n : s.k, g.n = transposed ? s.k : s.n, g.k = of_x.count;
  g.a_row = 1, g.a_col = transposed ? of_y.row_step : of_x.row_step;
  g.b_row = transposed ? of_x.row_step : of_y.row_step, g.b_col = 1;
  g.c_row = transposed ? s.n_stride : s.k_stride;
  g.accumulate = true;
  for (std::size_t e = 0; e < s.offsets.size(); ++e) {
    const auto entry = static_cast<index_t>(e);
    g.c = gradient + s.offsets[e];
    for (index_t r = 0; r < of_x.runs; ++r) {
      const T* from_x = x + entry * side_of_x(s).step + r * of_x.run_step;
      const T* from_y = dy + entry * side_of_y(s).step + r * of_y.run_step;
      g.a = transposed ? from_y : from_x, g.b = transposed ? from_x : from_y;
      run(c, g);
    }
  }
}

}  // namespace

// integers: offsets, m, k, n, k_stride, n_stride.
std::vector<index_t> weight_product_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 1);
  WeightProductSpec s;
  s.offsets = attributes.integer_list("offsets");
  s.m = attributes.integer("m"), s.k = attributes.integer("k"), s.n = attributes.integer("n");
  s.k_stride = attributes.integer("k_stride"), s.n_stride = attributes.integer("n_stride");
  require(!s.offsets.empty() && s.m >= 1 && s.k >= 1 && s.n >= 1, attributes, "sizes must be 1 or more.");
  require(std::min(s.k_stride, s.n_stride) == 1, attributes, "one of the strides must be 1.");
  const auto entries = static_cast<index_t>(s.offsets.size());
  const index_t last = (s.k - 1) * s.k_stride + (s.n - 1) * s.n_stride, room = parameter_size(graph, op.parameters[0]);
  for (index_t offset : s.offsets)
    require(offset >= 0 && offset + last < room, attributes, "a matrix lies outside of the parameter.");
  require(size_of(graph, op.inputs[0]) == entries * s.m * s.k, attributes,
          "the value is not of entries * m * k elements.");
  const index_t size = entries * s.m * s.n;
  op.spec = s;
  return {size};
}

DENSEKIT_DEFINE_OP(weight_product, .forward = weight_product_forward<T>, .backward = weight_product_backward<T>,
                   .parameter_gradient = weight_product_gradient<T>)

}  // namespace densekit::ops
