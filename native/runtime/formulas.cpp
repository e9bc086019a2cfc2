#include "formulas.hpp"

#include "ops/ops.hpp"

namespace densekit {
namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

ProgramOptions one_row() {
  ProgramOptions options;
  options.backward = options.input_gradients = options.seeds = true;
  return options;
}

}  // namespace

template <class T>
FormulaPlan<T>::FormulaPlan(const Graph& owner)
    : graph(owner), formulas(*owner.formulas.graph), program(make_program(formulas, one_row())) {
  for (const Op& op : formulas.ops) constants.emplace_back(op.constants.begin(), op.constants.end());
}

template <class T>
FormulaRun<T>::FormulaRun(const FormulaPlan<T>& plan, const Kernels<T>& kernels) : plan_(plan) {
  space_.prepare(plan.formulas, plan.program, 1);
  context_.kernels = &kernels;
  context_.graph = &plan.formulas;
  context_.program = &plan.program;
  context_.constants = &plan.constants;
  context_.frame = space_.frame();
  context_.training = true;
  context_.batch = 1;
  places_.assign(plan.graph.parameters.size(), nullptr);
  seen_.resize(plan.formulas.inputs.size());
  for (std::size_t i = 0; i < plan.formulas.outputs.size(); ++i)
    places_[at(plan.graph.formulas.results[i])] = context_.value(plan.formulas.outputs[i], 0);
}

template <class T>
T* const* FormulaRun<T>::forward(bool in_place) {
  const Graph& graph = plan_.graph;
  const auto copy = [&](int v, T* to, const T* from) {
    std::memcpy(to, from, static_cast<std::size_t>(context_.size(v)) * sizeof(T));
  };
  for (std::size_t i = 0; i < plan_.formulas.inputs.size(); ++i) {
    const int v = plan_.formulas.inputs[i];
    copy(v, context_.value(v, 0), static_cast<const T*>(graph.parameters[at(graph.formulas.sources[i])].data));
  }
  for (int i = 0; i < static_cast<int>(plan_.formulas.ops.size()); ++i) densekit::forward(context_, i, 0, 1);
  for (std::size_t i = 0; in_place && i < plan_.formulas.outputs.size(); ++i) {
    const int v = plan_.formulas.outputs[i];
    copy(v, static_cast<T*>(graph.parameters[at(graph.formulas.results[i])].data), context_.value(v, 0));
  }
  return places_.data();
}

template <class T>
bool FormulaRun<T>::unchanged() {
  bool same = true;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const WriteVersion* version = plan_.graph.parameters[at(plan_.graph.formulas.sources[i])].write_version;
    if (version == nullptr) return false;
    const State now{version->writes.load(), version->assigned.load()};
    same = same && now == seen_[i] && version->writers.load() == 0;
    seen_[i] = now;
  }
  return same;
}

template <class T>
T* const* FormulaRun<T>::latest() {
  return unchanged() ? places_.data() : forward(false);
}

template <class T>
void FormulaRun<T>::backward(const std::vector<const T*>& d_results) {
  const auto& outputs = plan_.formulas.outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!plan_.program.has_gradient[at(outputs[i])]) continue;
    if (d_results[i] != nullptr) pass_gradient(context_, outputs[i], GradientWrite::set, 0, 1, d_results[i]);
    else
      std::memset(context_.gradient(outputs[i], 0), 0, static_cast<std::size_t>(context_.size(outputs[i])) * sizeof(T));
  }
  for (int i = static_cast<int>(plan_.formulas.ops.size()); i-- > 0;) {
    if (context_.program_op(i).backward) densekit::backward(context_, i, 0, 1);
  }
}

template <class T>
const T* FormulaRun<T>::gradient(std::size_t input) const {
  const int v = plan_.formulas.inputs[input];
  return plan_.program.has_gradient[at(v)] ? context_.gradient(v, 0) : nullptr;
}

template struct FormulaPlan<float>;
template struct FormulaPlan<double>;
template class FormulaRun<float>;
template class FormulaRun<double>;

}  // namespace densekit
