// Every native op is a pair: forward over some rows of the batch, and the backward that takes the gradient of its
// outputs to its inputs. `i` is the op, `row` the first row, `rows` how many. Gradients of parameters are taken
// later, over the whole batch (runtime/update.cpp).
#pragma once
#include "runtime/context.hpp"

namespace densekit {

template <class T>
void forward(const Context<T>& c, int i, index_t row, index_t rows);
template <class T>
void backward(const Context<T>& c, int i, index_t row, index_t rows);

// Units and inputs of a dense op are shared out in multiples of this: full panels of the GEMM, whole ones of kBfloat16Panel.
constexpr index_t kUnitGrain = 64;

// Of n, for each lane, a multiple of `grain`; the last lanes may get less, or nothing.
constexpr index_t share_of(index_t n, index_t lanes, index_t grain) {
  return ((n + lanes - 1) / lanes + grain - 1) / grain * grain;
}

namespace ops {

#define DENSEKIT_OP(name)                                                      \
  template <class T>                                                           \
  void name##_forward(const Context<T>& c, int i, index_t row, index_t rows);  \
  template <class T>                                                           \
  void name##_backward(const Context<T>& c, int i, index_t row, index_t rows);

DENSEKIT_OP(dense)
DENSEKIT_OP(activation)
DENSEKIT_OP(dropout)
DENSEKIT_OP(affine)
DENSEKIT_OP(merge)
DENSEKIT_OP(concatenate)
DENSEKIT_OP(activity)
#undef DENSEKIT_OP

// At the end of an op's file: both element types.
#define DENSEKIT_INSTANTIATE_OP(name)                                              \
  template void name##_forward<float>(const Context<float>&, int, index_t, index_t);    \
  template void name##_forward<double>(const Context<double>&, int, index_t, index_t);  \
  template void name##_backward<float>(const Context<float>&, int, index_t, index_t);   \
  template void name##_backward<double>(const Context<double>&, int, index_t, index_t);

// Units [unit, unit + units) of a dense op, of a kernel part whose rows are `kernel_row` elements apart.
template <class T>
struct DenseUnits {
  index_t unit, units;
  const T* kernel;
  index_t kernel_row;
  const T* next = nullptr;  // as much again, fetched meanwhile
};

// The forward of these units alone. An activation that needs whole rows is left undone.
template <class T>
void dense_units(const Context<T>& c, int i, index_t row, index_t rows, const DenseUnits<T>& part);
// The forward of all rows' units [first, last) from the panels of the kernel that lie in between.
template <class T>
void dense_panels(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last);
// Activates all units, for an activation that needs whole rows.
template <class T>
void dense_activate(const Context<T>& c, int i, index_t row, index_t rows);
// The backward in two parts: dZ, which needs dY alone, and from dZ the gradient of the inputs [first, last).
template <class T>
void dense_backward_dz(const Context<T>& c, int i, index_t row, index_t rows);
template <class T>
void dense_backward_dx(const Context<T>& c, int i, index_t row, index_t rows, index_t first, index_t last);

}  // namespace ops

// The gradient of a dense op's pre-activation, after its backward ran: [rows * rows_per_sample, out_features].
template <class T>
T* dense_dz(const Context<T>& c, int i) {
  return c.plan(i).own_dz ? c.frame.dz[i] : c.frame.gradient[c.op(i).outputs[0]];
}

}  // namespace densekit
