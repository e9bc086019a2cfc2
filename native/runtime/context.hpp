// What the ops see of a run: the graph, how it is run, and where each value of the present rows lives.
#pragma once
#include <atomic>
#include <cstring>
#include <vector>

#include "buffer.hpp"
#include "graph.hpp"
#include "packed.hpp"
#include "program.hpp"
#include "source.hpp"
#include "weight_store.hpp"

namespace densekit {

template <class T>
class FormulaRun;

// Addresses of row 0 of every buffer; [rows, size] row-major each. Null where the program keeps none.
template <class T>
struct Frame {
  T** value = nullptr;     // per value
  T** gradient = nullptr;  // per value: d total / d value
  T** saved = nullptr;     // per op: what its forward saves
  T** dz = nullptr;        // per op: where dz has a buffer of its own
  T** batch = nullptr;     // per op over the batch: what it keeps; not of rows
};

// Shared by the threads of a region, which only read it.
template <class T>
struct Context {
  const Kernels<T>* kernels = nullptr;
  const Graph* graph = nullptr;
  const Program* program = nullptr;
  const std::vector<std::vector<T>>* constants = nullptr;  // per op: affine's scale, then its offset; Op::constants
  Frame<T> frame;
  const WeightStore<T>* moved = nullptr;  // weights that do not lie where the host put them
  T* const* own_weights = nullptr;        // per parameter: this thread's own copy, or null
  T* const* own_inputs = nullptr;         // per op: the input of a dense op where each thread gathers its own, or null
  T* const* worker_inputs = nullptr;      // [worker, op]: own_inputs of every thread
  FormulaRun<T>* formulas = nullptr;      // what made parameters of others, where gradients are to be taken
  PackedOperands<T>* packed = nullptr;    // null: products in bfloat16 pack their own
  index_t batch = 0;                      // rows of the whole batch, where `packed` is kept
  bool training = false;                  // dropout drops
  T loss_scale = 1;                       // of every gradient
  T activity_scale = 0;                   // 1 / batch, times loss_scale
  T* const* rounded = nullptr;  // per parameter: its copy in float16, of kernels and biases of such ops; or null
  double* activity = nullptr;   // [row, activity op]: penalty of a row
  index_t n_activities = 0;
  const uint64_t* keys = nullptr;      // per random node
  const uint64_t* counters = nullptr;  // per random node, of this step

  const Op& op(int i) const { return graph->ops[static_cast<std::size_t>(i)]; }
  const ProgramOp& program_op(int i) const { return program->ops[static_cast<std::size_t>(i)]; }
  index_t size(int v) const { return graph->values[static_cast<std::size_t>(v)].size; }
  T* value(int v, index_t row) const { return frame.value[v] + row * size(v); }
  T* gradient(int v, index_t row) const { return frame.gradient[v] + row * size(v); }
  // As thread `worker` sees it.
  Context of_worker(int worker) const {
    Context c = *this;
    if (moved != nullptr) c.own_weights = moved->own_weights(worker);
    if (worker_inputs != nullptr) c.own_inputs = worker_inputs + static_cast<std::size_t>(worker) * graph->ops.size();
    return c;
  }
  const std::vector<Panel<T>>* panels(int parameter) const {
    return moved == nullptr || moved->panels(parameter).empty() ? nullptr : &moved->panels(parameter);
  }
  const T* data(int parameter) const {
    const auto p = static_cast<std::size_t>(parameter);
    if (own_weights != nullptr && own_weights[p] != nullptr) return own_weights[p];
    return static_cast<const T*>(graph->parameters[p].data);
  }
  // As a dense op reads it.
  const T* dense_data(const Op& op, int parameter) const {
    return op.float16() && rounded != nullptr ? rounded[parameter] : data(parameter);
  }
  T* saved(int i, index_t row) const {
    T* buffer = frame.saved[i];
    return buffer == nullptr ? nullptr : buffer + row * program_op(i).saved;
  }
  const T* constant(int i, index_t at) const { return (*constants)[static_cast<std::size_t>(i)].data() + at; }
  const T* dense_x(int i) const {
    const T* own = own_inputs == nullptr ? nullptr : own_inputs[i];
    return own != nullptr ? own : value(op(i).inputs[0], 0);
  }
};

template <class T>
void run_gemm(const Kernels<T>& kernels, const Gemm<T>& gemm) {
  kernels.gemm(gemm, thread_scratch<T>().gemm.reserve(kernels.gemm_scratch(gemm)));
}

// A product of a dense op, in its own type; `packed` is g.b packed, where the run keeps it.
template <class T>
void run_product(const Kernels<T>& kernels, bool bfloat16, const Gemm<T>& gemm, const uint32_t* packed) {
  if (!bfloat16) return run_gemm(kernels, gemm);
  kernels.bfloat16_gemm(gemm, packed,
                        thread_scratch<T>().gemm.reserve(kernels.bfloat16_scratch(gemm, packed != nullptr)));
}

template <class T>
void round_to(const Kernels<T>& kernels, Precision precision, index_t n, T* x) {
  switch (precision) {
    case Precision::full: return;
    case Precision::bfloat16: return kernels.bfloat16_round(n, x, x);
    case Precision::float16: return kernels.float16_round(n, x, x);
  }
}

// After the gradient of a value was written: rounded where the value is.
template <class T>
void round_gradient(const Context<T>& c, int value, index_t row, index_t rows) {
  const Precision precision = c.graph->values[static_cast<std::size_t>(value)].precision;
  if (precision != Precision::full) round_to(*c.kernels, precision, rows * c.size(value), c.gradient(value, row));
}

// Where an op's backward puts a gradient it can only set: the buffer itself, or scratch to be added by `commit`.
template <class T>
class GradientTarget {
 public:
  GradientTarget(const Context<T>& c, int value, GradientWrite write, index_t row, index_t rows)
      : kernels_(*c.kernels),
        n_(rows * c.size(value)),
        to_(c.gradient(value, row)),
        adds_(write == GradientWrite::add) {
    data_ = adds_ ? thread_scratch<T>().block.reserve(n_) : to_;
  }
  T* data() const { return data_; }
  void commit() const {
    if (adds_) kernels_.add(n_, to_, data_, to_);
  }

 private:
  const Kernels<T>& kernels_;
  index_t n_;
  T* to_;
  bool adds_;
  T* data_;
};

// d value (+)= factor * d.
template <class T>
void pass_gradient(const Context<T>& c, int value, GradientWrite write, index_t row, index_t rows, const T* d,
                   T factor = 1) {
  const index_t n = rows * c.size(value);
  T* to = c.gradient(value, row);
  if (write == GradientWrite::add) {
    c.kernels->add_scaled(n, d, factor, to);
  } else if (factor == 1) {
    std::memcpy(to, d, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    c.kernels->scale(n, d, factor, to);
  }
}

}  // namespace densekit
