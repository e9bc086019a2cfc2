// The elements of a sample in other places: slices, transposes, repetitions, reversals, padding with zeros.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

template <class T>
void rearrange_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  for (index_t r = row; r < row + rows; ++r) {
    const T* x = c.value(op.inputs[0], r);
    T* y = c.value(op.outputs[0], r);
    for (const RearrangeSpec::Piece& piece : op.get<RearrangeSpec>().pieces) {
      if (piece.from < 0) std::memset(y, 0, static_cast<std::size_t>(piece.n) * sizeof(T));
      else if (piece.n == 1) *y = x[piece.from];
      else std::memcpy(y, x + piece.from, static_cast<std::size_t>(piece.n) * sizeof(T));
      y += piece.n;
    }
  }
}

template <class T>
void rearrange_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<RearrangeSpec>();
  const GradientWrite write = c.program_op(i).writes[0];
  if (write == GradientWrite::none) return;
  const int x = op.inputs[0];
  const bool sets = write == GradientWrite::set && s.covers;
  if (write == GradientWrite::set && !sets) {
    std::memset(c.gradient(x, row), 0, static_cast<std::size_t>(rows * c.size(x)) * sizeof(T));
  }
  for (index_t r = row; r < row + rows; ++r) {
    T* dx = c.gradient(x, r);
    const T* dy = c.gradient(op.outputs[0], r);
    for (const RearrangeSpec::Piece& piece : s.pieces) {
      if (piece.from >= 0) {
        T* to = dx + piece.from;
        if (sets) std::memcpy(to, dy, static_cast<std::size_t>(piece.n) * sizeof(T));
        else if (piece.n == 1) *to += *dy;
        else c.kernels->add(piece.n, to, dy, to);
      }
      dy += piece.n;
    }
  }
}

}  // namespace

// integers: positions, one for each element of the result, -1 for a zero.
std::vector<index_t> rearrange_make(const Graph& graph, Op& op, const Attributes& attributes) {
  require_counts(op, attributes, 1, 0);
  RearrangeSpec s;
  const index_t size = size_of(graph, op.inputs[0]);
  const auto& from = attributes.integer_list("positions");
  std::vector<bool> met(static_cast<std::size_t>(size), false);
  bool repeats = false;
  index_t used = 0;
  for (index_t at : from) {
    require(at >= -1 && at < size, attributes, "a position outside of the value.");
    if (at >= 0) {
      repeats = repeats || met[static_cast<std::size_t>(at)];
      met[static_cast<std::size_t>(at)] = true;
      ++used;
    }
    const bool goes_on = !s.pieces.empty() &&
                         (at < 0 ? s.pieces.back().from < 0
                                 : s.pieces.back().from >= 0 && at == s.pieces.back().from + s.pieces.back().n);
    if (goes_on) ++s.pieces.back().n;
    else s.pieces.push_back({at, 1});
  }
  s.covers = !repeats && used == size;
  op.spec = std::move(s);
  return {static_cast<index_t>(from.size())};
}

DENSEKIT_DEFINE_OP(rearrange, .forward = rearrange_forward<T>, .backward = rearrange_backward<T>)

}  // namespace densekit::ops
