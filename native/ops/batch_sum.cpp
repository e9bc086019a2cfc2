// The sum or the mean of a value over the batch, one number for each of its elements, given to every row: y = sum of x, dx =
// sum of dy. Both sums are taken in blocks of kBatchBlock rows, and the blocks added in order.
#include <algorithm>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// Below so many elements a pass over the batch is not worth a second thread.
constexpr index_t kParallelElements = 1 << 15;

// total = factor * the sum of all rows of x; `blocks` has room for one row of each block.
template <class T>
void sum_rows(const Context<T>& c, index_t batch, index_t size, const T* x, T factor, T* total, T* blocks,
              PoolLease& pool) {
  const index_t n = (batch + kBatchBlock - 1) / kBatchBlock;
  pool.run(static_cast<int>(n), batch * size > kParallelElements, [&](int block) {
    const index_t row = block * kBatchBlock;
    c.kernels->column_sums(std::min(kBatchBlock, batch - row), size, x + row * size, blocks + block * size, false);
  });
  std::fill_n(total, size, T(0));
  for (index_t block = 0; block < n; ++block) c.kernels->add(size, total, blocks + block * size, total);
  c.kernels->scale(size, total, factor, total);
}

template <class T>
T factor_of(const Op& op, index_t batch) {
  return op.get<BatchSumSpec>().mean ? T(1) / static_cast<T>(batch) : T(1);
}

template <class T>
void before_forward(const Context<T>& c, int i, index_t batch, PoolLease& pool) {
  const Op& op = c.op(i);
  T* kept = c.frame.batch[i];
  sum_rows(c, batch, op.width, c.value(op.inputs[0], 0), factor_of<T>(op, batch), kept, kept + 2 * op.width, pool);
}

template <class T>
void before_backward(const Context<T>& c, int i, index_t batch, PoolLease& pool) {
  const Op& op = c.op(i);
  T* kept = c.frame.batch[i];
  sum_rows(c, batch, op.width, c.gradient(op.outputs[0], 0), factor_of<T>(op, batch), kept + op.width,
           kept + 2 * op.width, pool);
}

template <class T>
void batch_sum_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  T* y = c.value(op.outputs[0], row);
  for (index_t r = 0; r < rows; ++r) std::copy_n(c.frame.batch[i], op.width, y + r * op.width);
}

template <class T>
void batch_sum_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* total = c.frame.batch[i] + op.width;
  T* dx = c.gradient(op.inputs[0], row);
  for (index_t r = 0; r < rows; ++r, dx += op.width) {
    if (write == GradientWrite::add) c.kernels->add(op.width, dx, total, dx);
    else std::copy_n(total, op.width, dx);
  }
}

}  // namespace

// integers: mean.
std::vector<index_t> batch_sum_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  op.spec = BatchSumSpec{attributes.flag("mean")};
  op.width = size_of(graph, op.inputs[0]);
  op.scope = Scope::batch;
  op.batch_elements = 2 * op.width;
  op.block_elements = op.width;
  return {op.width};
}

DENSEKIT_DEFINE_OP(batch_sum, .forward = batch_sum_forward<T>, .backward = batch_sum_backward<T>,
                   .reads_parameters = false, .before_forward = before_forward<T>,
                   .before_backward = before_backward<T>)

}  // namespace densekit::ops
