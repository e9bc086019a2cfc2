// Every native op is a pair at least: forward over some rows of the batch, and the backward that takes the gradient of its
// outputs to its inputs. `i` is the op, `row` the first row, `rows` how many. Gradients of parameters are taken
// later, over the whole batch (runtime/update.cpp).
#pragma once
#include "runtime/context.hpp"
#include "runtime/thread_pool.hpp"

namespace densekit {

template <class T>
void forward(const Context<T>& c, int i, index_t row, index_t rows);
template <class T>
void backward(const Context<T>& c, int i, index_t row, index_t rows);

// Units and inputs of a dense op are shared out in multiples of this: full panels of the GEMM, whole ones of kBfloat16Panel.
constexpr index_t kUnitGrain = 64;

// Of n, for each worker, a multiple of `grain`; the last workers may get less, or nothing.
constexpr index_t share_of(index_t n, index_t workers, index_t grain) {
  return ((n + workers - 1) / workers + grain - 1) / grain * grain;
}

// Some rows of a parameter, whole ones.
struct ParameterRows {
  index_t first, rows;
};

// What is said of an op in its file.
template <class T>
struct OpFunctions {
  using Rows = void (*)(const Context<T>&, int i, index_t row, index_t rows);
  using Batch = void (*)(const Context<T>&, int i, index_t batch, PoolLease& pool);
  Rows forward = nullptr, backward = nullptr;
  // g (+)= the gradient, over the whole batch, of these rows of op.parameters[which]. The sum goes through the batch in order.
  void (*parameter_gradient)(const Context<T>&, int i, std::size_t which, index_t batch, ParameterRows part, T* g,
                             bool accumulate) = nullptr;
  bool reads_parameters = true;  // in its backward or the gradients of parameters
  bool splits_gradient = false;  // takes parts of a parameter; else it is asked for all rows at once
  // Of Scope::batch: what comes before its forward and its backward, with all rows at hand.
  Batch before_forward = nullptr, before_backward = nullptr;
  void (*write_state)(const Context<T>&, int i, index_t batch) = nullptr;  // of op.state
};

template <class T>
const OpFunctions<T>& op_functions(OpKind kind);

namespace ops {

#define DENSEKIT_OP(name) \
  template <class T>      \
  OpFunctions<T> name##_functions();
#include "ops/table.inl"
#undef DENSEKIT_OP

// At the end of an op's file: its functions, for both element types, e.g. DENSEKIT_DEFINE_OP(dense, .forward =
// dense_forward<T>, .backward = dense_backward<T>).
#define DENSEKIT_DEFINE_OP(name, ...)             \
  template <class T>                              \
  OpFunctions<T> name##_functions() {             \
    return {__VA_ARGS__};                         \
  }                                               \
  template OpFunctions<float> name##_functions(); \
  template OpFunctions<double> name##_functions();

// Units [unit, unit + units) of a dense op, of a kernel part whose rows are `kernel_row` elements apart.
template <class T>
struct DenseUnits {
  index_t unit, units;
  const T* kernel;
  index_t kernel_row;
  const T* next = nullptr;  // as much again, prefetched meanwhile
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
  return c.program_op(i).own_dz ? c.frame.dz[i] : c.frame.gradient[c.op(i).outputs[0]];
}

}  // namespace densekit
