// Building ops: each checks its attributes and fills in its record, in its own file.
#pragma once
#include <vector>

#include "runtime/graph.hpp"

namespace densekit {

const char* kind_name(OpKind kind);

// Fills in `op`, whose inputs, parameters and state are there, from its attributes; gives the sizes of its outputs.
// Throws std::invalid_argument, leaving the graph as it was.
std::vector<index_t> make_op(const Graph& graph, Op& op, const Attributes& attributes);

namespace ops {

#define DENSEKIT_OP(name) std::vector<index_t> name##_make(const Graph& graph, Op& op, const Attributes& attributes);
#include "ops/table.inl"
#undef DENSEKIT_OP

// `text` in the sentence of a std::invalid_argument unless `holds`.
void require(bool holds, const Attributes& attributes, const char* text);
// As many inputs and parameters as the op takes.
void require_counts(const Op& op, const Attributes& attributes, std::size_t inputs, std::size_t parameters);
index_t size_of(const Graph& graph, int value);
index_t parameter_size(const Graph& graph, int parameter);
// A parameter of rows x width elements; `what` names it.
void require_shape(const Graph& graph, int parameter, index_t rows, index_t width, const Attributes& attributes,
                   const char* what);
// `width` divides the elements a sample of the value.
void require_divides(const Graph& graph, int value, index_t width, const Attributes& attributes, const char* what);
// An op that draws: its random node, whether it does so in inference, too, and how far its counter moves in a step.
void make_random(const Graph& graph, Op& op, const Attributes& attributes);
// Position of the attribute's parameter, or -1 for none.
int optional_parameter(const Graph& graph, const Op& op, const Attributes& attributes, const char* name, index_t size);

}  // namespace ops
}  // namespace densekit
