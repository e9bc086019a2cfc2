// What a run asks of its host (Python, in the bindings). Called by the thread that started the run alone, and free to
// throw: the run then ends. Arrays are of the plan's type, row-major; what comes back stays valid until the next call
// for the same node, loss or parameter.
#pragma once
#include <cstdint>
#include <vector>

#include "densekit/kernels.hpp"

namespace densekit {

struct HostGradients {
  std::vector<const void*> inputs, parameters;  // null: no gradient
};

class Host {
 public:
  virtual ~Host() = default;
  // Writes the outputs' rows; returns the loss the node adds to the total.
  virtual double forward(int node, bool training, index_t rows, const std::vector<const void*>& inputs,
                         const std::vector<void*>& outputs) = 0;
  virtual HostGradients backward(int node, index_t rows, const std::vector<const void*>& d_outputs) = 0;
  // The loss of the picked rows; d_pred is set to its gradient when `gradient` is asked for. `mask`: null if it has none.
  virtual double loss(int loss, const int64_t* index, index_t rows, const void* y_pred, const void* mask, bool gradient,
                      const void** d_pred) = 0;
  virtual double regularizer(int parameter, const void** gradient) = 0;
  virtual void constraint(int parameter) = 0;
  // `iteration`: updates made before this one. One gradient per trainable parameter, in order.
  virtual void optimize(int64_t iteration, double learning_rate, const std::vector<const void*>& gradients) = 0;
  virtual void check_signals() = 0;
};

}  // namespace densekit
