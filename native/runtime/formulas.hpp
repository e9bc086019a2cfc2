// Formulas of weights alone, such as a transposed kernel or one of unit norm: computed once a step, not per row. They are a graph of
// their own of which one row runs. Its inputs are parameters, and its outputs make other parameters, which ops read like any;
// the gradients of these go back through it.
#pragma once
#include <vector>

#include "workspace.hpp"

namespace densekit {

// How they run, worked out once.
template <class T>
struct FormulaPlan {
  explicit FormulaPlan(const Graph& graph);
  const Graph& graph;  // whose parameters they read and make
  const Graph& formulas;
  Program program;
  std::vector<std::vector<T>> constants;
};

// They and the memory of one evaluation, until its gradients are known.
template <class T>
class FormulaRun {
 public:
  explicit FormulaRun(const FormulaPlan<T>& plan, const Kernels<T>& kernels);
  // Computes the results from the weights as they are. Gives per parameter where it lies now, null for what is no result; `in_place`:
  // they are copied into the parameters, too.
  T* const* forward(bool in_place);
  // The same, unless no weight has changed since this last was asked, as their write versions tell.
  T* const* latest();
  // From the gradients of the results; null: zeros.
  void backward(const std::vector<const T*>& d_results);
  // Of an input, after `backward`; null: there is none.
  const T* gradient(std::size_t input) const;

 private:
  bool unchanged();

  struct State {
    int64_t writes = -1, assigned = -1;
    bool operator==(const State& other) const { return writes == other.writes && assigned == other.assigned; }
  };
  const FormulaPlan<T>& plan_;
  Workspace<T> space_;
  Context<T> context_;
  std::vector<T*> places_;   // per parameter
  std::vector<State> seen_;  // per input
};

}  // namespace densekit
