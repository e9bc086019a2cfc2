#include "workspace.hpp"

namespace densekit {
namespace {

// Hands out pieces of an arena; with no arena it only counts.
template <class T>
class Cutter {
 public:
  explicit Cutter(T* arena) : arena_(arena) {}
  T* take(index_t n) {
    T* piece = arena_ == nullptr ? nullptr : arena_ + used_;
    used_ += padded<T>(n);
    return piece;
  }
  index_t used() const { return used_; }

 private:
  T* arena_;
  index_t used_ = 0;
};

template <class T>
void cut_frame(const Graph& graph, const Program& program, index_t rows, Cutter<T>& cut, T** value, T** saved) {
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    const auto root = static_cast<std::size_t>(program.alias[v]);
    value[v] = root == v ? cut.take(rows * graph.values[v].size) : value[root];
  }
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    saved[i] = program.ops[i].saved > 0 ? cut.take(rows * program.ops[i].saved) : nullptr;
  }
}

}  // namespace

template <class T>
void Workspace<T>::prepare(const Graph& graph, const Program& program, index_t rows) {
  if (rows <= capacity_) return;
  value_.assign(graph.values.size(), nullptr);
  gradient_.assign(graph.values.size(), nullptr);
  saved_.assign(graph.ops.size(), nullptr);
  batch_.assign(graph.ops.size(), nullptr);
  dz_.assign(graph.ops.size(), nullptr);
  losses_.assign(graph.losses.size(), {});
  index_t n_labels = 0, n_activities = 0;
  const auto cut_all = [&](T* arena) {
    Cutter<T> cut(arena);
    cut_frame(graph, program, rows, cut, value_.data(), saved_.data());
    for (std::size_t v = 0; v < graph.values.size(); ++v) {
      if (program.has_gradient[v]) gradient_[v] = cut.take(rows * graph.values[v].size);
    }
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      const Op& op = graph.ops[i];
      if (program.ops[i].own_dz) dz_[i] = cut.take(rows * op.dense().rows_per_sample * op.dense().out_features);
      if (op.scope != Scope::batch) continue;
      batch_[i] = cut.take(op.batch_elements + (rows + kBatchBlock - 1) / kBatchBlock * op.block_elements);
    }
    for (std::size_t i = 0; program.options.losses && i < graph.losses.size(); ++i) {
      const Loss& loss = graph.losses[i];
      if (loss.host) continue;
      if (loss.has_target() && !loss.sparse()) losses_[i].target = cut.take(rows * loss.positions * loss.width);
      losses_[i].weight = cut.take(rows * loss.positions);
      losses_[i].row_loss = cut.take(rows * loss.positions);
    }
    return cut.used();
  };
  capacity_ = -1;
  cut_all(arena_.reserve(cut_all(nullptr)));
  for (const Loss& loss : graph.losses) n_labels += loss.sparse() ? rows * loss.positions : 0;
  int32_t* labels = labels_.reserve(n_labels);
  for (std::size_t i = 0; i < graph.losses.size(); ++i) {
    if (!graph.losses[i].sparse()) continue;
    losses_[i].labels = labels;
    labels += rows * graph.losses[i].positions;
  }
  for (const Op& op : graph.ops) n_activities += op.kind == OpKind::activity;
  activity_.assign(static_cast<std::size_t>(rows * n_activities), 0.0);
  capacity_ = rows;
}

template <class T>
index_t Workspace<T>::frame_elements(const Graph& graph, const Program& program, index_t rows) {
  index_t elements = 0;
  for (std::size_t v = 0; v < graph.values.size(); ++v) {
    if (program.alias[v] == static_cast<int>(v)) elements += padded<T>(rows * graph.values[v].size);
  }
  for (std::size_t i = 0; i < graph.ops.size(); ++i) { elements += padded<T>(rows * program.ops[i].saved); }
  return elements;
}

template <class T>
void Workspace<T>::lay_out(const Graph& graph, const Program& program, index_t rows, T* arena, T** value, T** saved) {
  Cutter<T> cut(arena);
  cut_frame(graph, program, rows, cut, value, saved);
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace densekit
