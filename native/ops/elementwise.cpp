// y = f(a, b) or f(a, b, c), with broadcasting: operands are values, parameters and constants.
// d operand = dy * slope, summed over the axes along which it meets many elements.
#include <algorithm>

#include "ops/make.hpp"
#include "ops/ops.hpp"
#include "runtime/names.hpp"

namespace densekit::ops {
namespace {

using From = OperandSpec::From;

std::size_t operand_count(ElementwiseKind kind) { return kind == ElementwiseKind::where ? 3 : 2; }

// Axes along which every operand goes on as if they were one become one.
void merge_axes(ElementwiseSpec& s) {
  for (std::size_t axis = s.shape.size(); axis-- > 1;) {
    const bool one = s.shape[axis] == 1, outer_one = s.shape[axis - 1] == 1;
    bool merges = true;
    for (const OperandSpec& x : s.operands) {
      merges = merges && (one || outer_one || x.strides[axis - 1] == x.strides[axis] * s.shape[axis]);
    }
    if (!merges) continue;
    for (OperandSpec& x : s.operands) {
      if (one) x.strides[axis] = x.strides[axis - 1];
      x.strides.erase(x.strides.begin() + static_cast<std::ptrdiff_t>(axis - 1));
    }
    s.shape[axis] *= s.shape[axis - 1];
    s.shape.erase(s.shape.begin() + static_cast<std::ptrdiff_t>(axis - 1));
  }
}

// Elements of the operand that a sample reads.
index_t span(const ElementwiseSpec& s, const OperandSpec& x) {
  index_t last = 0;
  for (std::size_t axis = 0; axis < s.shape.size(); ++axis) last += (s.shape[axis] - 1) * x.strides[axis];
  return x.offset + last + 1;
}

template <class T>
struct Place {
  const T* data = nullptr;
  index_t per_sample = 0;  // how far apart two samples lie
};

template <class T>
Place<T> place_of(const Context<T>& c, int i, const OperandSpec& x) {
  const Op& op = c.op(i);
  switch (x.from) {
    case From::input: {
      const int v = op.inputs[static_cast<std::size_t>(x.at)];
      return {c.value(v, 0), c.size(v)};
    }
    case From::parameter: return {c.data(op.parameters[static_cast<std::size_t>(x.at)]), 0};
    case From::constant: return {c.constant(i, x.at), 0};
  }
  return {};
}

// The operands of some rows as runs along the last axis: run(offset of the first element in y, operands, offset of each
// in its array), in order. One run for all rows where every operand has an element of its own for each of y's.
template <class T, class Run>
void for_each_run(const Context<T>& c, int i, index_t row, index_t rows, Run run) {
  const Op& op = c.op(i);
  const auto& s = op.get<ElementwiseSpec>();
  const std::size_t n_operands = s.operands.size(), axes = s.shape.size();
  const index_t inner = s.shape.back(), size = c.size(op.outputs[0]);
  Place<T> places[3];
  Operand<T> operands[3];
  index_t offsets[3] = {0, 0, 0};
  bool flat = axes == 1;
  for (std::size_t k = 0; k < n_operands; ++k) {
    places[k] = place_of(c, i, s.operands[k]);
    operands[k].stride = s.operands[k].strides.back();
    const bool scalar = operands[k].stride == 0 && places[k].per_sample == 0;
    flat = flat && (scalar || (operands[k].stride == 1 && places[k].per_sample == size));
  }
  if (flat) {
    for (std::size_t k = 0; k < n_operands; ++k) {
      offsets[k] = s.operands[k].offset + row * places[k].per_sample;
      operands[k].data = places[k].data + offsets[k];
    }
    return run(row * size, rows * size, operands, offsets);
  }
  const index_t runs = inner == 0 ? 0 : size / inner;
  index_t at[8];
  for (index_t r = row; r < row + rows; ++r) {
    std::fill(std::begin(at), std::end(at), index_t{0});
    for (std::size_t k = 0; k < n_operands; ++k) offsets[k] = s.operands[k].offset + r * places[k].per_sample;
    for (index_t done = 0; done < runs; ++done) {
      for (std::size_t k = 0; k < n_operands; ++k) operands[k].data = places[k].data + offsets[k];
      run(r * size + done * inner, inner, operands, offsets);
      for (std::size_t axis = axes - 1; axis-- > 0;) {  // the next place, as an odometer turns
        const bool turns = ++at[axis] == s.shape[axis];
        for (std::size_t k = 0; k < n_operands; ++k) {
          offsets[k] += turns ? -(s.shape[axis] - 1) * s.operands[k].strides[axis] : s.operands[k].strides[axis];
        }
        if (!turns) break;
        at[axis] = 0;
      }
    }
  }
}

// d += the slopes of operand k over some rows, at offsets from `base`.
template <class T>
void add_slopes(const Context<T>& c, int i, std::size_t k, index_t row, index_t rows, T* d) {
  const Op& op = c.op(i);
  const auto& s = op.get<ElementwiseSpec>();
  const T* dy = c.gradient(op.outputs[0], 0);
  const bool one = s.operands[k].strides.back() == 0;
  for_each_run(c, i, row, rows, [&](index_t first, index_t n, const Operand<T>* operands, const index_t* offsets) {
    constexpr index_t kPiece = 4096;  // what `sum` takes at once
    for (index_t done = 0; done < n; done += kPiece) {
      const index_t piece = std::min(kPiece, n - done);
      Operand<T> part[3];
      for (std::size_t j = 0; j < s.operands.size(); ++j)
        part[j] = {operands[j].data + done * operands[j].stride, operands[j].stride};
      T* slopes = thread_scratch<T>().block.reserve(piece);
      T* wanted[3] = {nullptr, nullptr, nullptr};
      wanted[k] = slopes;
      c.kernels->elementwise_backward(s.kind, piece, part, dy + first + done, wanted);
      T* to = d + offsets[k] + (one ? 0 : done);
      if (one) *to += static_cast<T>(c.kernels->sum(piece, slopes));
      else c.kernels->add(piece, to, slopes, to);
    }
  });
}

bool is_flat(const ElementwiseSpec& s, const OperandSpec& x, index_t operand_size, index_t size) {
  return s.shape.size() == 1 && x.strides[0] == 1 && x.offset == 0 && operand_size == size;
}

template <class T>
void elementwise_forward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  T* y = c.value(op.outputs[0], 0);
  for_each_run(c, i, row, rows, [&](index_t first, index_t n, const Operand<T>* operands, const index_t*) {
    c.kernels->elementwise(op.get<ElementwiseSpec>().kind, n, operands, y + first);
  });
}

template <class T>
void elementwise_backward(const Context<T>& c, int i, index_t row, index_t rows) {
  const Op& op = c.op(i);
  const auto& s = op.get<ElementwiseSpec>();
  std::vector<bool> written(op.inputs.size(), false);
  for (std::size_t k = 0; k < s.operands.size(); ++k) {
    if (s.operands[k].from != From::input) continue;
    const auto position = static_cast<std::size_t>(s.operands[k].at);
    GradientWrite write = c.program_op(i).writes[position];
    if (write == GradientWrite::none) continue;
    if (written[position]) write = GradientWrite::add;  // one value may be several operands: x * x
    written[position] = true;
    const int x = op.inputs[position];
    T* dx = c.gradient(x, 0);
    if (write == GradientWrite::set && is_flat(s, s.operands[k], c.size(x), c.size(op.outputs[0]))) {
      T* wanted[3] = {nullptr, nullptr, nullptr};
      for_each_run(c, i, row, rows, [&](index_t first, index_t n, const Operand<T>* operands, const index_t*) {
        wanted[k] = dx + first;
        c.kernels->elementwise_backward(s.kind, n, operands, c.gradient(op.outputs[0], 0) + first, wanted);
      });
      continue;
    }
    if (write == GradientWrite::set)
      std::memset(c.gradient(x, row), 0, static_cast<std::size_t>(rows * c.size(x)) * sizeof(T));
    add_slopes(c, i, k, row, rows, dx);
  }
}

template <class T>
void elementwise_gradient(const Context<T>& c, int i, std::size_t which, index_t batch, ParameterRows, T* g,
                          bool accumulate) {
  const Op& op = c.op(i);
  const auto& s = op.get<ElementwiseSpec>();
  const index_t size = c.graph->parameters[static_cast<std::size_t>(op.parameters[which])].size();
  if (!accumulate) std::memset(g, 0, static_cast<std::size_t>(size) * sizeof(T));
  for (std::size_t k = 0; k < s.operands.size(); ++k) {
    if (s.operands[k].from == From::parameter && s.operands[k].at == static_cast<index_t>(which))
      add_slopes(c, i, k, 0, batch, g);
  }
}

}  // namespace

// names: formula. integers: shape; origin, at, offsets: of each operand; strides, for all operands in turn. numbers:
// constants.
std::vector<index_t> elementwise_make(const Graph& graph, Op& op, const Attributes& attributes) {
  ElementwiseSpec s;
  s.kind = elementwise_kind(attributes.name("formula"));
  s.shape = attributes.integer_list("shape");
  op.constants = attributes.number_list("constants");
  const auto &from = attributes.integer_list("origin"), &at = attributes.integer_list("at"),
             &offsets = attributes.integer_list("offsets"), &strides = attributes.integer_list("strides");
  const std::size_t n = operand_count(s.kind), axes = s.shape.size();
  require(from.size() == n && at.size() == n && offsets.size() == n && strides.size() == n * axes, attributes,
          "operands and formula differ in number.");
  require(axes >= 1 && axes <= 8, attributes, "takes 1 to 8 axes.");
  index_t size = 1;
  for (index_t length : s.shape) {
    require(length >= 0, attributes, "lengths of axes must be 0 or more.");
    size *= length;
  }
  for (std::size_t k = 0; k < n; ++k) {
    require(from[k] >= 0 && from[k] <= 2 && at[k] >= 0 && offsets[k] >= 0, attributes,
            "an operand is a value, a parameter or a constant.");
    OperandSpec x;
    x.from = static_cast<From>(from[k]);
    x.at = at[k];
    x.offset = offsets[k];
    x.strides.assign(strides.begin() + static_cast<std::ptrdiff_t>(k * axes),
                     strides.begin() + static_cast<std::ptrdiff_t>((k + 1) * axes));
    s.operands.push_back(x);
    index_t room = 0;
    if (x.from == From::input) {
      require(at[k] < static_cast<index_t>(op.inputs.size()), attributes, "an operand is a value that is not there.");
      room = size_of(graph, op.inputs[static_cast<std::size_t>(at[k])]);
    } else if (x.from == From::parameter) {
      require(at[k] < static_cast<index_t>(op.parameters.size()), attributes,
              "an operand is a parameter that is not there.");
      room = parameter_size(graph, op.parameters[static_cast<std::size_t>(at[k])]);
    } else {
      room = static_cast<index_t>(op.constants.size()) - at[k];
    }
    for (index_t stride : x.strides) require(stride >= 0, attributes, "strides must be 0 or more.");
    require(size == 0 || span(s, x) <= room, attributes, "an operand is smaller than its strides say.");
  }
  merge_axes(s);
  for (OperandSpec& x : s.operands) {  // all of a value, of one element: as good as dense
    const bool all = x.from == From::input && size_of(graph, op.inputs[static_cast<std::size_t>(x.at)]) == size;
    if (all && s.shape.size() == 1) x.strides[0] = 1;
  }
  bool unit = true;  // a last axis along which an operand is neither dense nor one number becomes one of length 1
  for (const OperandSpec& x : s.operands) unit = unit && x.strides.back() <= 1;
  if (!unit) {
    s.shape.push_back(1);
    for (OperandSpec& x : s.operands) x.strides.push_back(0);
    require(s.shape.size() <= 8, attributes, "takes at most 8 axes.");
  }
  op.spec = s;
  return {size};
}

DENSEKIT_DEFINE_OP(elementwise, .forward = elementwise_forward<T>, .backward = elementwise_backward<T>,
                   .parameter_gradient = elementwise_gradient<T>)

}  // namespace densekit::ops
