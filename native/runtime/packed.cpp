#include "packed.hpp"

#include <algorithm>

namespace densekit {
namespace {

constexpr index_t kParts = 64;  // that the packing of a kernel is cut into, about
constexpr index_t kParallelSize = 1 << 16;

std::size_t at(int id) { return static_cast<std::size_t>(id); }

}  // namespace

template <class T>
void PackedOperands<T>::prepare(const Graph& graph, const Program& program, const Kernels<T>* kernels, index_t batch) {
  graph_ = &graph;
  kernels_ = kernels;
  const bool any = std::any_of(graph.ops.begin(), graph.ops.end(),
                               [](const Op& op) { return op.bfloat16() && op.kind == OpKind::dense; });
  forward_.clear();
  transposed_.clear();
  dz_.clear();
  if (!any) return;
  forward_.resize(graph.parameters.size());
  transposed_.resize(graph.parameters.size());
  dz_.resize(graph.ops.size());
  const auto cut_all = [&](uint32_t* arena) {
    index_t used = 0;
    const auto cut = [&](uint32_t*& piece, index_t k, index_t n) {
      if (piece != nullptr) return;  // a kernel that several ops share
      if (arena != nullptr) piece = arena + used;
      used += padded<uint32_t>(kernels->bfloat16_packed(k, n));
    };
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      const Op& op = graph.ops[i];
      if (!op.bfloat16() || op.kind != OpKind::dense) continue;
      const DenseSpec& s = op.dense();
      cut(forward_[at(s.kernel)], s.in_features, s.out_features);
      const ProgramOp& how = program.ops[i];
      if (!how.backward) continue;
      if (how.writes[0] != GradientWrite::none) cut(transposed_[at(s.kernel)], s.out_features, s.in_features);
      if (graph.parameters[at(s.kernel)].takes_gradient()) cut(dz_[i], batch * s.rows_per_sample, s.out_features);
    }
    return used;
  };
  cut_all(arena_.reserve(cut_all(nullptr)));
}

template <class T>
const uint32_t* PackedOperands<T>::kernel(int parameter, index_t unit) const {
  const uint32_t* packed = get(forward_, parameter);
  return packed == nullptr ? nullptr : packed + kernels_->bfloat16_packed(graph_->parameters[at(parameter)].rows, unit);
}

template <class T>
const uint32_t* PackedOperands<T>::transposed(int parameter, index_t input) const {
  const uint32_t* packed = get(transposed_, parameter);
  return packed == nullptr ? nullptr
                           : packed + kernels_->bfloat16_packed(graph_->parameters[at(parameter)].width, input);
}

template <class T>
const uint32_t* PackedOperands<T>::dz(int op, index_t batch_rows, index_t unit) const {
  const uint32_t* packed = get(dz_, op);
  return packed == nullptr ? nullptr : packed + kernels_->bfloat16_packed(batch_rows, unit);
}

template <class T>
void PackedOperands<T>::pack_kernel(int parameter, const T* block, index_t row, index_t rows, index_t unit,
                                    index_t units) {
  if (get(forward_, parameter) == nullptr) return;
  const Parameter& p = graph_->parameters[at(parameter)];
  kernels_->bfloat16_pack(block, units, 1, p.rows, p.width, row, row + rows, unit, unit + units,
                          get(forward_, parameter));
  if (get(transposed_, parameter) == nullptr) return;
  kernels_->bfloat16_pack(block, 1, units, p.width, p.rows, unit, unit + units, row, row + rows,
                          get(transposed_, parameter));
}

template <class T>
void PackedOperands<T>::pack_kernels(const WeightStore<T>& moved, PoolLease& pool) {
  for (std::size_t id = 0; id < forward_.size(); ++id) {
    if (forward_[id] == nullptr) continue;
    const Parameter& p = graph_->parameters[id];
    const auto parameter = static_cast<int>(id);
    const bool parallel = p.size() > kParallelSize;
    const std::vector<Panel<T>>& own = moved.panels(parameter);
    if (!own.empty()) {
      pool.run(static_cast<int>(own.size()), parallel, [&](int i) {
        const Panel<T>& panel = own[at(i)];
        pack_kernel(parameter, panel.weights, 0, p.rows, panel.unit, panel.units);
      });
      continue;
    }
    const index_t share = (p.rows / kParts / kGrain + 1) * kGrain, parts = (p.rows + share - 1) / share;
    pool.run(static_cast<int>(parts), parallel, [&](int part) {
      const index_t row = part * share;
      pack_kernel(parameter, static_cast<const T*>(p.data) + row * p.width, row, std::min(share, p.rows - row), 0,
                  p.width);
    });
  }
}

template <class T>
void PackedOperands<T>::pack_dz(int op, const T* dz, index_t batch_rows, index_t first, index_t last) {
  if (get(dz_, op) == nullptr) return;
  const index_t width = graph_->ops[at(op)].dense().out_features;
  kernels_->bfloat16_pack(dz + first * width, width, 1, batch_rows, width, first, last, 0, width, get(dz_, op));
}

template class PackedOperands<float>;
template class PackedOperands<double>;

}  // namespace densekit
