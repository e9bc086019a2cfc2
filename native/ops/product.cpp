// Products of two matrices of each sample: C = A B, dA = dC B^T, dB = A^T dC.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// X[i, j] of a matrix that is rows x columns, or stored as its transpose.
struct Layout {
  index_t row, column;
};
Layout layout(index_t rows, index_t columns, bool transposed) {
  return transposed ? Layout{1, rows} : Layout{columns, 1};
}

// One dimension of a Gemm's operand must be dense; where both are 1 either will do.
template <class T>
void run(const Context<T>& c, index_t m, index_t n, index_t k, const T* a, Layout la, const T* b, Layout lb, T* to,
         index_t to_row, bool accumulate) {
  Gemm<T> g;
  g.m = m, g.n = n, g.k = k;
  g.a = a, g.a_row = la.row, g.a_col = la.column;
  g.b = b, g.b_row = lb.row, g.b_col = lb.column;
  g.c = to, g.c_row = to_row;
  g.accumulate = accumulate;
  run_product(*c.kernels, false, g, nullptr);
}

template <class T>
void product_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ProductSpec>();
  for (index_t r = row; r < row + rows; ++r) {
    const T *a = c.value(op.inputs[0], r), *b = c.value(op.inputs[1], r);
    T* y = c.value(op.outputs[0], r);
    for (index_t entry = 0; entry < s.batches; ++entry) {
      run(c, s.m, s.n, s.k, a, layout(s.m, s.k, s.a_transposed), b, layout(s.k, s.n, s.b_transposed), y, s.n, false);
      if (!s.a_shared) a += s.m * s.k;
      if (!s.b_shared) b += s.k * s.n;
      y += s.m * s.n;
    }
  }
}

template <class T>
void product_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ProductSpec>();
  const Layout la = layout(s.m, s.k, s.a_transposed), lb = layout(s.k, s.n, s.b_transposed),
               lc = layout(s.m, s.n, false);
  const auto transposed = [](Layout l) { return Layout{l.column, l.row}; };
  const GradientWrite wa = c.program_op(i).writes[0], wb = c.program_op(i).writes[1];
  for (index_t r = row; r < row + rows; ++r) {
    for (index_t entry = 0; entry < s.batches; ++entry) {
      const index_t at_a = s.a_shared ? 0 : entry * s.m * s.k, at_b = s.b_shared ? 0 : entry * s.k * s.n;
      const T* d = c.gradient(op.outputs[0], r) + entry * s.m * s.n;
      if (wa != GradientWrite::none) {
        const T* b = c.value(op.inputs[1], r) + at_b;
        T* to = c.gradient(op.inputs[0], r) + at_a;
        const bool adds = wa == GradientWrite::add || (s.a_shared && entry > 0);
        // dA[m, k] = dC B^T; of a stored transpose its transpose, B dC^T.
        if (s.a_transposed) run(c, s.k, s.m, s.n, b, lb, d, transposed(lc), to, s.m, adds);
        else run(c, s.m, s.k, s.n, d, lc, b, transposed(lb), to, s.k, adds);
      }
      if (wb != GradientWrite::none) {
        const T* a = c.value(op.inputs[0], r) + at_a;
        T* to = c.gradient(op.inputs[1], r) + at_b;
        const bool adds = wb == GradientWrite::add || (s.b_shared && entry > 0);
        if (s.b_transposed) run(c, s.n, s.k, s.m, d, transposed(lc), a, la, to, s.k, adds);
        else run(c, s.k, s.n, s.m, a, transposed(la), d, lc, to, s.n, adds);
      }
    }
  }
}

}  // namespace

// integers: batches, m, k, n, a_transposed, b_transposed, a_shared, b_shared.
std::vector<index_t> product_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 2, 0);
  ProductSpec s;
  s.batches = attributes.integer("batches");
  s.m = attributes.integer("m"), s.k = attributes.integer("k"), s.n = attributes.integer("n");
  s.a_transposed = attributes.flag("a_transposed"), s.b_transposed = attributes.flag("b_transposed");
  s.a_shared = attributes.flag("a_shared"), s.b_shared = attributes.flag("b_shared");
  require(s.batches >= 0 && s.m >= 0 && s.k >= 0 && s.n >= 0, attributes, "sizes must be 0 or more.");
  require(size_of(graph, op.inputs[0]) == (s.a_shared ? 1 : s.batches) * s.m * s.k, attributes,
          "the first value is not of batches * m * k elements.");
  require(size_of(graph, op.inputs[1]) == (s.b_shared ? 1 : s.batches) * s.k * s.n, attributes,
          "the second value is not of batches * k * n elements.");
  op.spec = s;
  return {s.batches * s.m * s.n};
}

DENSEKIT_DEFINE_OP(product, .forward = product_forward<T>, .backward = product_backward<T>)

}  // namespace densekit::ops
