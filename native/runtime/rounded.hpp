// Copies in float16 of the kernels and biases that dense ops of that precision read: made before each step and at each call
// of inference, as the optimizer changes the weights themselves, which keep all their digits.
#pragma once
#include <algorithm>
#include <vector>

#include "buffer.hpp"
#include "graph.hpp"

namespace densekit {

template <class T>
class RoundedWeights {
 public:
  static bool wanted(const Graph& graph) {
    return std::any_of(graph.ops.begin(), graph.ops.end(), [](const Op& op) { return reads(op); });
  }
  // Whether a copy of this parameter is read.
  static bool has(const Graph& graph, int parameter) {
    return std::any_of(graph.ops.begin(), graph.ops.end(), [&](const Op& op) {
      return reads(op) && (op.dense().kernel == parameter || op.dense().bias == parameter);
    });
  }
  // Per parameter: its copy, or null.
  T* const* round(const Graph& graph, const Kernels<T>& kernels) {
    table_.assign(graph.parameters.size(), nullptr);
    index_t total = 0;
    const auto each = [&](auto visit) {
      for (const Op& op : graph.ops) {
        if (!reads(op)) continue;
        for (int id : op.parameters) visit(static_cast<std::size_t>(id));
      }
    };
    each([&](std::size_t id) { total += padded<T>(graph.parameters[id].size()); });
    T* to = arena_.reserve(total);
    each([&](std::size_t id) {
      if (table_[id] != nullptr) return;  // of several ops
      const Parameter& p = graph.parameters[id];
      table_[id] = to;
      kernels.float16_round(p.size(), static_cast<const T*>(p.data), to);
      to += padded<T>(p.size());
    });
    return table_.data();
  }

 private:
  static bool reads(const Op& op) { return op.kind == OpKind::dense && op.float16(); }
  std::vector<T*> table_;
  Buffer<T> arena_;
};

}  // namespace densekit
