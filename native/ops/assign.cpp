// State that a training step leaves behind: a value that all rows have in common, or a parameter that is computed of others, is
// copied into it once the step is done.
#include "ops/make.hpp"
#include "ops/ops.hpp"

namespace densekit::ops {
namespace {

template <class T>
void no_rows(const Context<T>&, int, index_t, index_t) {}

template <class T>
void write_state(const Context<T>& c, int i, index_t batch) {
  const Op& op = c.op(i);
  if (!c.training || batch == 0) return;
  const Parameter& state = c.graph->parameters[static_cast<std::size_t>(op.state[0])];
  const T* from = op.inputs.empty() ? c.data(op.parameters[0]) : c.value(op.inputs[0], 0);
  std::memcpy(state.data, from, static_cast<std::size_t>(state.size()) * sizeof(T));
}

}  // namespace

// Input: the value, of which each row has a copy; or else a parameter. State: what is written.
std::vector<index_t> assign_make(const Graph& graph, Op& op, const Attributes& attributes) {
  const bool of_rows = !op.inputs.empty();
  require_counts(op, attributes, of_rows ? 1 : 0, of_rows ? 0 : 1);
  require(op.state.size() == 1, attributes, "writes one parameter.");
  const index_t size = of_rows ? size_of(graph, op.inputs[0]) : parameter_size(graph, op.parameters[0]);
  require(size == parameter_size(graph, op.state[0]), attributes, "what is written is of another size.");
  return {};
}

DENSEKIT_DEFINE_OP(assign, .forward = no_rows<T>, .backward = no_rows<T>, .reads_parameters = false,
                   .write_state = write_state<T>)

}  // namespace densekit::ops
