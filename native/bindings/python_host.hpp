// Answers a run's questions by calling Python. One object per run; takes the GIL for each call.
#pragma once
#include "plan.hpp"

namespace densekit::bindings {

class PythonHost final : public Host {
 public:
  PythonHost(Plan& plan, nb::object targets, nb::object weights)
      : plan_(plan), targets_(std::move(targets)), weights_(std::move(weights)), kept_(plan.host_nodes.size()) {}

  double forward(int node, bool training, index_t rows, const std::vector<const void*>& inputs,
                 const std::vector<void*>& outputs) override;
  HostGradients backward(int node, index_t rows, const std::vector<const void*>& d_outputs) override;
  double loss(int loss, const int64_t* index, index_t rows, const void* y_pred, const void* mask, bool gradient,
              const void** d_pred) override;
  double regularizer(int parameter, const void** gradient) override;
  void constraint(int parameter) override;
  void optimize(int64_t iteration, double learning_rate, const std::vector<const void*>& gradients) override;
  void check_signals() override;

 private:
  nb::object rows_of(const nb::object& arrays, int loss, nb::handle index) const;

  Plan& plan_;
  nb::object targets_, weights_;               // lists, by loss; None when there are none
  std::vector<std::vector<nb::object>> kept_;  // per node: the arrays handed to the run last
  std::unordered_map<int, nb::object> kept_loss_, kept_regularizer_;
};

}  // namespace densekit::bindings
