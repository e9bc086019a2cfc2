// Normalization of each column by the mean and variance of the batch, then * gamma + beta; or, of row scope, by those
// that training left in `mean` and `variance`. As in Keras y = x * scale + offset with scale = gamma / sqrt(variance +
// epsilon). Sums over the batch are taken in blocks of kBatchBlock rows, and the blocks added in order. With a mask, a
// second input, mean and variance are those of the rows that count, over their number + an epsilon of its own, as in Keras.
#include <algorithm>
#include <cmath>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

// Below so many elements a pass over the batch is not worth a second thread.
constexpr index_t kParallelElements = 1 << 15;

// What is kept of a batch, `width` elements each; then two numbers a column for each block.
template <class T>
struct Kept {
  T *mean, *variance, *factor, *scale, *offset;  // factor: 1 / sqrt(variance + epsilon)
  T *sum_dy, *sum_dy_normal;                     // over the batch: the gradients of beta and gamma
  T* share;                                      // one number: 1 / the rows that count
  T* blocks;
};
constexpr index_t kKept = 8;

template <class T>
Kept<T> kept_in(T* p, index_t width) {
  return {p,
          p + width,
          p + 2 * width,
          p + 3 * width,
          p + 4 * width,
          p + 5 * width,
          p + 6 * width,
          p + 7 * width,
          p + kKept * width};
}

template <class T>
const T* data_of(const Context<T>& c, const Op& op, int position) {
  return position < 0 ? nullptr : c.data(op.parameter(position));
}

// From mean and variance what the rows need.
template <class T>
void finish(const Context<T>& c, const Op& op, const T* mean, const T* variance, T* factor, T* scale, T* offset) {
  const auto& s = op.get<BatchNormalizationSpec>();
  const T *gamma = data_of(c, op, s.gamma), *beta = data_of(c, op, s.beta);
  for (index_t j = 0; j < op.width; ++j) {
    factor[j] = T(1) / std::sqrt(variance[j] + static_cast<T>(s.epsilon));
    scale[j] = gamma == nullptr ? factor[j] : gamma[j] * factor[j];
    offset[j] = (beta == nullptr ? T(0) : beta[j]) - mean[j] * scale[j];
  }
}

// The kept of this batch; of row scope what training left, in scratch.
template <class T>
Kept<T> kept(const Context<T>& c, int i) {
  const Op& op = c.op(i);
  if (op.scope == Scope::batch) return kept_in(c.frame.batch[i], op.width);
  Kept<T> k = kept_in(thread_scratch<T>().weight.reserve(kKept * op.width), op.width);
  const auto& s = op.get<BatchNormalizationSpec>();
  std::copy_n(data_of(c, op, s.mean), op.width, k.mean);
  std::copy_n(data_of(c, op, s.variance), op.width, k.variance);
  finish(c, op, k.mean, k.variance, k.factor, k.scale, k.offset);
  return k;
}

// body(block, first row, rows, its two rows of numbers) for each block of the batch, then both sums in the order of the blocks.
template <class T, class Body>
void sum_blocks(const Context<T>& c, int i, index_t batch, PoolLease& pool, T* first_sum, T* second_sum, Body body) {
  const Op& op = c.op(i);
  T* numbers = kept_in(c.frame.batch[i], op.width).blocks;
  const auto blocks = static_cast<int>((batch + kBatchBlock - 1) / kBatchBlock);
  pool.run(blocks, batch * c.size(op.inputs[0]) > kParallelElements, [&](int block) {
    const index_t row = block * kBatchBlock;
    T* own = numbers + 2 * block * op.width;
    body(row, std::min(kBatchBlock, batch - row), own, own + op.width);
  });
  for (T* sum : {first_sum, second_sum}) {
    if (sum == nullptr) continue;
    const T* from = numbers + (sum == second_sum ? op.width : 0);
    std::fill_n(sum, op.width, T(0));
    for (int block = 0; block < blocks; ++block) c.kernels->add(op.width, sum, from + 2 * block * op.width, sum);
  }
}

// Rows less the mean, in scratch, a few rows at a time: use(rows, them, how far from the first row).
template <class T, class Use>
void centred(const Context<T>& c, const Op& op, const T* x, index_t rows, const T* minus_mean, Use use) {
  const index_t piece = std::max<index_t>(1, 4096 / op.width);
  const T one = 1;
  T* scratch = thread_scratch<T>().block.reserve(piece * op.width);
  for (index_t done = 0; done < rows; done += piece) {
    const index_t n = std::min(piece, rows - done);
    c.kernels->affine(n, op.width, x + done * op.width, &one, 1, minus_mean, op.width, scratch);
    use(n, scratch, done);
  }
}

// Of a sample's rows, from `row` on, those that count; null: all.
template <class T>
const T* mask_of(const Context<T>& c, const Op& op, index_t row) {
  return op.inputs.size() == 2 ? c.value(op.inputs[1], row) : nullptr;
}

template <class T>
T number_that_count(const Context<T>& c, const Op& op, index_t batch) {
  const T* mask = mask_of(c, op, 0);
  const index_t rows = batch * op.rows_per_sample;
  if (mask == nullptr) return static_cast<T>(rows);
  index_t number = 0;
  for (index_t r = 0; r < rows; ++r) number += mask[r] != 0;
  return static_cast<T>(number) + static_cast<T>(op.constants[0]);
}

template <class T>
void before_forward(const Context<T>& c, int i, index_t batch, PoolLease& pool) {
  const Op& op = c.op(i);
  const auto& s = op.get<BatchNormalizationSpec>();
  const Kept<T> k = kept(c, i);
  if (!c.training) {
    std::copy_n(data_of(c, op, s.mean), op.width, k.mean);
    std::copy_n(data_of(c, op, s.variance), op.width, k.variance);
    return finish(c, op, k.mean, k.variance, k.factor, k.scale, k.offset);
  }
  const T share = *k.share = T(1) / number_that_count(c, op, batch);
  T* no_sum = nullptr;
  sum_blocks(c, i, batch, pool, k.mean, no_sum, [&](index_t row, index_t rows, T* sum, T*) {
    const T *x = c.value(op.inputs[0], row), *mask = mask_of(c, op, row);
    if (mask == nullptr) return c.kernels->column_sums(rows * op.rows_per_sample, op.width, x, sum, false);
    std::fill_n(sum, op.width, T(0));
    for (index_t r = 0; r < rows * op.rows_per_sample; ++r) {
      if (mask[r] != 0) c.kernels->add(op.width, sum, x + r * op.width, sum);
    }
  });
  c.kernels->scale(op.width, k.mean, share, k.mean);
  c.kernels->scale(op.width, k.mean, T(-1), k.offset);
  sum_blocks(c, i, batch, pool, k.variance, no_sum, [&](index_t row, index_t rows, T* sum, T*) {
    const T* mask = mask_of(c, op, row);
    centred(c, op, c.value(op.inputs[0], row), rows * op.rows_per_sample, k.offset, [&](index_t n, T* d, index_t done) {
      for (index_t r = 0; mask != nullptr && r < n; ++r) {
        if (mask[done + r] == 0) std::fill_n(d + r * op.width, op.width, T(0));
      }
      c.kernels->column_dots(n, op.width, d, d, sum, done > 0);
    });
  });
  c.kernels->scale(op.width, k.variance, share, k.variance);
  finish(c, op, k.mean, k.variance, k.factor, k.scale, k.offset);
}

template <class T>
void batch_normalization_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const Kept<T> k = kept(c, i);
  c.kernels->affine(rows * op.rows_per_sample, op.width, c.value(op.inputs[0], row), k.scale, op.width, k.offset,
                    op.width, c.value(op.outputs[0], row));
}

// d beta = sum of dy, d gamma = sum of dy * normalized x.
template <class T>
void before_backward(const Context<T>& c, int i, index_t batch, PoolLease& pool) {
  const Op& op = c.op(i);
  const Kept<T> k = kept(c, i);
  T* minus_mean = k.blocks + 2 * op.width * ((batch + kBatchBlock - 1) / kBatchBlock);
  c.kernels->scale(op.width, k.mean, T(-1), minus_mean);
  sum_blocks(c, i, batch, pool, k.sum_dy, k.sum_dy_normal, [&](index_t row, index_t rows, T* sum, T* product) {
    const T* dy = c.gradient(op.outputs[0], row);
    c.kernels->column_sums(rows * op.rows_per_sample, op.width, dy, sum, false);
    centred(c, op, c.value(op.inputs[0], row), rows * op.rows_per_sample, minus_mean,
            [&](index_t n, T* d, index_t done) {
              c.kernels->column_dots(n, op.width, d, dy + done * op.width, product, done > 0);
            });
  });
  c.kernels->multiply(op.width, k.sum_dy_normal, k.factor, k.sum_dy_normal);
  // dx = scale * (dy - mean of dy - normalized x * mean of dy * normalized x), as dy * scale + x * a + b: see below.
}

template <class T>
void batch_normalization_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const GradientWrite write = c.program_op(i).writes[0];
  if (op.inputs.size() == 2 && c.program_op(i).writes[1] == GradientWrite::set) {  // truths have no gradient
    std::memset(c.gradient(op.inputs[1], row), 0, static_cast<std::size_t>(rows * c.size(op.inputs[1])) * sizeof(T));
  }
  if (write == GradientWrite::none) return;
  const Kept<T> k = kept(c, i);
  const index_t n = rows * op.rows_per_sample, w = op.width;
  const T zero = 0;
  const GradientTarget<T> dx(c, op.inputs[0], write, row, rows);
  if (op.scope == Scope::row || !c.training) {
    c.kernels->affine(n, w, c.gradient(op.outputs[0], row), k.scale, w, &zero, 1, dx.data());
    return dx.commit();
  }
  const T share = *k.share;
  // What counts is not quite centred: the mean is of the sum over the number and an epsilon.
  const T off = op.inputs.size() == 2 ? static_cast<T>(op.constants[0]) * share : T(0);
  const T* mask = mask_of(c, op, row);
  T* numbers = thread_scratch<T>().weight.reserve(3 * w);
  T *slope = numbers, *level = numbers + w, *scaled = numbers + 2 * w;
  for (index_t j = 0; j < w; ++j) {
    slope[j] = -k.scale[j] * k.factor[j] * k.sum_dy_normal[j] * share;
    level[j] = -k.scale[j] * k.sum_dy[j] * share - slope[j] * k.mean[j] * (T(1) + off);
  }
  // Row by row, so that the second product is added while the first is at hand.
  const T *dy = c.gradient(op.outputs[0], row), *x = c.value(op.inputs[0], row);
  T* to = dx.data();
  for (index_t r = 0; r < n; ++r, dy += w, x += w, to += w) {
    c.kernels->multiply(w, dy, k.scale, to);
    if (mask != nullptr && mask[r] == 0) continue;
    c.kernels->affine(1, w, x, slope, w, level, w, scaled);
    c.kernels->add(w, to, scaled, to);
  }
  dx.commit();
}

template <class T>
void batch_normalization_gradient(const Context<T>& c, int i, std::size_t which, index_t batch, ParameterRows, T* g,
                                  bool accumulate) {
  const Op& op = c.op(i);
  const auto& s = op.get<BatchNormalizationSpec>();
  const index_t w = op.width;
  const bool is_beta = static_cast<int>(which) == s.beta;
  if (op.scope == Scope::batch) {
    const Kept<T> k = kept(c, i);
    const T* sum = is_beta ? k.sum_dy : k.sum_dy_normal;
    if (accumulate) c.kernels->add(w, g, sum, g);
    else std::copy_n(sum, w, g);
    return;
  }
  const index_t rows = batch * op.rows_per_sample;
  const T *dy = c.gradient(op.outputs[0], 0), *x = c.value(op.inputs[0], 0);
  if (is_beta) return c.kernels->column_sums(rows, w, dy, g, accumulate);
  const T *mean = data_of(c, op, s.mean), *variance = data_of(c, op, s.variance);
  for (index_t j = 0; j < w; ++j) {
    const T factor = T(1) / std::sqrt(variance[j] + static_cast<T>(s.epsilon));
    T sum = 0;
    for (index_t r = 0; r < rows; ++r) sum += dy[r * w + j] * (x[r * w + j] - mean[j]);
    g[j] = accumulate ? g[j] + sum * factor : sum * factor;
  }
}

template <class T>
void write_state(const Context<T>& c, int i, index_t) {
  const Op& op = c.op(i);
  const auto& s = op.get<BatchNormalizationSpec>();
  if (op.scope == Scope::row || !c.training) return;
  const Kept<T> k = kept(c, i);
  const T keep = static_cast<T>(s.momentum), take = static_cast<T>(1 - s.momentum);
  const auto follow = [&](int position, const T* latest) {
    T* moving = static_cast<T*>(c.graph->parameters[static_cast<std::size_t>(op.parameter(position))].data);
    c.kernels->scale(op.width, moving, keep, moving);
    c.kernels->add_scaled(op.width, latest, take, moving);
  };
  follow(s.mean, k.mean);
  follow(s.variance, k.variance);
}

}  // namespace

// Inputs: the value and, if not all rows count, a mask of them. integers: width, by_batch; gamma, beta, mean, variance:
// positions among the parameters. numbers: epsilon, momentum, with a mask count_epsilon. State: mean and variance.
std::vector<index_t> batch_normalization_make(const Graph& graph, Op& op, const Attributes& attributes) {
  const bool masked = op.inputs.size() == 2;
  require_counts(op, attributes, masked ? 2 : 1, op.parameters.size());
  BatchNormalizationSpec s;
  s.epsilon = attributes.number("epsilon");
  s.momentum = attributes.number("momentum");
  const index_t size = size_of(graph, op.inputs[0]);
  op.width = attributes.integer("width");
  require(op.width >= 1 && size % op.width == 0, attributes, "width must divide the size of the value.");
  s.gamma = optional_parameter(graph, op, attributes, "gamma", op.width);
  s.beta = optional_parameter(graph, op, attributes, "beta", op.width);
  s.mean = optional_parameter(graph, op, attributes, "mean", op.width);
  s.variance = optional_parameter(graph, op, attributes, "variance", op.width);
  require(s.mean >= 0 && s.variance >= 0, attributes, "needs the moving mean and variance.");
  op.rows_per_sample = size / op.width;
  if (masked) {
    require(size_of(graph, op.inputs[1]) == op.rows_per_sample, attributes, "the mask needs one element a row.");
    op.constants = {attributes.number("count_epsilon")};
  }
  op.spec = s;
  if (attributes.flag("by_batch")) {
    op.scope = Scope::batch;
    op.batch_elements = (kKept + 1) * op.width;
    op.block_elements = 2 * op.width;
  }
  return {size};
}

DENSEKIT_DEFINE_OP(batch_normalization, .forward = batch_normalization_forward<T>,
                   .backward = batch_normalization_backward<T>, .parameter_gradient = batch_normalization_gradient<T>,
                   .before_forward = before_forward<T>, .before_backward = before_backward<T>,
                   .write_state = write_state<T>)

}  // namespace densekit::ops
