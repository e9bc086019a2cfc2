// Gaussian noise while training: y = x + stddev * n or x * (1 + stddev * n). n is a function of (key, counter, element), so
// the backward makes it anew.
#include <algorithm>

#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

constexpr index_t kPiece = 1024;

// use(first element, how many, their noise) for all elements of the rows.
template <class T, class Use>
void for_noise(const Context<T>& c, int i, index_t row, index_t rows, Use use) {
  const Op& op = c.op(i);
  const index_t size = c.size(op.outputs[0]), n = rows * size;
  alignas(64) T noise[kPiece];
  for (index_t done = 0; done < n; done += kPiece) {
    const index_t piece = std::min(kPiece, n - done);
    c.kernels->gaussian(piece, c.keys[op.random_node], c.counters[op.random_node],
                        static_cast<uint64_t>(row * size + done), noise);
    use(done, piece, noise);
  }
}

template <class T>
void noise_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NoiseSpec>();
  const T* x = c.value(op.inputs[0], row);
  T* y = c.value(op.outputs[0], row);
  std::memcpy(y, x, static_cast<std::size_t>(rows * c.size(op.inputs[0])) * sizeof(T));
  if (!c.training) return;
  for_noise(c, i, row, rows, [&](index_t first, index_t n, T* noise) {
    if (s.multiplies) c.kernels->multiply(n, noise, x + first, noise);
    c.kernels->add_scaled(n, noise, static_cast<T>(s.stddev), y + first);
  });
}

template <class T>
void noise_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<NoiseSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const T* dy = c.gradient(op.outputs[0], row);
  pass_gradient(c, op.inputs[0], write, row, rows, dy);
  if (!c.training || !s.multiplies) return;
  T* dx = c.gradient(op.inputs[0], row);
  for_noise(c, i, row, rows, [&](index_t first, index_t n, T* noise) {
    c.kernels->multiply(n, noise, dy + first, noise);
    c.kernels->add_scaled(n, noise, static_cast<T>(s.stddev), dx + first);
  });
}

}  // namespace

// integers: multiplies. numbers: stddev.
std::vector<index_t> noise_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  const NoiseSpec s{attributes.number("stddev"), attributes.flag("multiplies")};
  require(s.stddev >= 0, attributes, "stddev must be 0 or more.");
  op.spec = s;
  op.random_node = graph.random_nodes;
  return {size_of(graph, op.inputs[0])};
}

DENSEKIT_DEFINE_OP(noise, .forward = noise_forward<T>, .backward = noise_backward<T>)

}  // namespace densekit::ops
