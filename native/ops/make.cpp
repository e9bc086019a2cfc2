#include "ops/make.hpp"

#include <stdexcept>

namespace densekit {

void Attributes::fail(const std::string& sentence) const { throw std::invalid_argument(op + ": " + sentence); }

const char* kind_name(OpKind kind) {
  switch (kind) {
#define DENSEKIT_OP(name) \
  case OpKind::name: return #name;
#include "ops/table.inl"
#undef DENSEKIT_OP
    case OpKind::host: return "host";
  }
  return "?";
}

std::vector<index_t> make_op(const Graph& graph, Op& op, const Attributes& attributes) {
  std::string choices;
#define DENSEKIT_OP(kind_)                           \
  if (attributes.op == #kind_) {                     \
    op.kind = OpKind::kind_;                         \
    return ops::kind_##_make(graph, op, attributes); \
  }                                                  \
  choices += (choices.empty() ? "" : ", ") + std::string(#kind_);
#include "ops/table.inl"
#undef DENSEKIT_OP
  throw std::invalid_argument("Unknown op '" + attributes.op + "'. Choose from: " + choices + ".");
}

namespace ops {

void require(bool holds, const Attributes& attributes, const char* text) {
  if (!holds) throw std::invalid_argument(attributes.op + ": " + text);
}

void require_counts(const Op& op, const Attributes& attributes, std::size_t inputs, std::size_t parameters) {
  if (op.inputs.size() == inputs && op.parameters.size() == parameters) return;
  throw std::invalid_argument(attributes.op + ": takes " + std::to_string(inputs) + " values and " +
                              std::to_string(parameters) + " parameters, got " + std::to_string(op.inputs.size()) +
                              " and " + std::to_string(op.parameters.size()) + ".");
}

index_t size_of(const Graph& graph, int value) { return graph.values[static_cast<std::size_t>(value)].size; }

index_t parameter_size(const Graph& graph, int parameter) {
  return graph.parameters[static_cast<std::size_t>(parameter)].size();
}

void require_shape(const Graph& graph, int parameter, index_t rows, index_t width, const Attributes& attributes,
                   const char* what) {
  const Parameter& p = graph.parameters[static_cast<std::size_t>(parameter)];
  if (p.rows == rows && p.width == width) return;
  attributes.fail(std::string(what) + ": expected parameter " + std::to_string(parameter) + " as (" +
                  std::to_string(rows) + ", " + std::to_string(width) + "), got (" + std::to_string(p.rows) + ", " +
                  std::to_string(p.width) + ").");
}

void make_random(const Graph& graph, Op& op, const Attributes& attributes) {
  op.random_node = graph.random_nodes;
  op.always_draws = attributes.flag("always");
  if (attributes.integers.count("draws_a_step") == 0) return;
  op.draws_a_step = static_cast<int>(attributes.integer("draws_a_step"));
  require(op.draws_a_step >= 0, attributes, "draws_a_step must be 0 or more.");
}

void require_divides(const Graph& graph, int value, index_t width, const Attributes& attributes, const char* what) {
  const index_t size = size_of(graph, value);
  if (width >= 1 && size % width == 0) return;
  attributes.fail(std::string(what) + " " + std::to_string(width) + " does not divide the " + std::to_string(size) +
                  " elements of value " + std::to_string(value) + ".");
}

int optional_parameter(const Graph& graph, const Op& op, const Attributes& attributes, const char* name, index_t size) {
  const index_t at = attributes.integer(name);
  if (at < 0) return -1;
  require(at < static_cast<index_t>(op.parameters.size()), attributes, "a position of a parameter that is not there.");
  require(parameter_size(graph, op.parameters[static_cast<std::size_t>(at)]) == size, attributes,
          "a parameter must have as many elements as the last axis.");
  return static_cast<int>(at);
}

}  // namespace ops
}  // namespace densekit
