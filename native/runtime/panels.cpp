#include "panels.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace densekit {
namespace {

constexpr index_t kPageBytes = 4096;

// Zen 4, 784 x 128, batch 32: panels of 32 and of 64 units take the same time, and 32 share out more evenly.
constexpr index_t kPanelBytes = 128, kWidePanelBytes = 256, kWideKernelBytes = 2048;  // of one row

// Units of a panel: large kernels take wide ones, which make more of every row they meet.
template <class T>
constexpr index_t panel_units(index_t width) {
  constexpr auto size = static_cast<index_t>(sizeof(T));
  return (width * size >= kWideKernelBytes ? kWidePanelBytes : kPanelBytes) / size;
}

template <class T>
constexpr index_t in_pages(index_t n) {
  constexpr index_t page = kPageBytes / static_cast<index_t>(sizeof(T));
  return (n + page - 1) / page * page;
}

template <class T>
void copy_columns(index_t rows, index_t columns, const T* from, index_t from_row, T* to, index_t to_row) {
  for (index_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * to_row, from + r * from_row, static_cast<std::size_t>(columns) * sizeof(T));
  }
}

}  // namespace

// Calls copy(host array, width, panel, panel's array) for every array that is in panels.
template <class T>
template <class Copy>
void PanelStore<T>::for_arrays(Copy copy) const {
  for (int id : ids_) {
    const Parameter& p = graph_->parameters[static_cast<std::size_t>(id)];
    for (const Panel<T>& panel : panels_[static_cast<std::size_t>(id)]) {
      copy(p, panel, p.data, panel.weights);
      for (int s = 0; s < p.n_slots; ++s) copy(p, panel, p.slots[s], panel.slots[s]);
      if (panel.ema != nullptr) copy(p, panel, p.ema, panel.ema);
    }
  }
}

template <class T>
void PanelStore<T>::bring_in(const Graph& graph, const std::vector<int>& ids) {
  graph_ = &graph;
  panels_.assign(graph.parameters.size(), {});
  index_t total = kPageBytes / static_cast<index_t>(sizeof(T));  // to begin on a page
  for (int id : ids) {
    const Parameter& p = graph.parameters[static_cast<std::size_t>(id)];
    const index_t step = panel_units<T>(p.width), arrays = 1 + p.n_slots + (p.ema != nullptr);
    for (index_t unit = 0; unit < p.width; unit += step) {
      Panel<T> panel;
      panel.unit = unit;
      panel.units = std::min(step, p.width - unit);
      total += arrays * in_pages<T>(p.rows * panel.units);
      panels_[static_cast<std::size_t>(id)].push_back(panel);
    }
  }
  T* at = arena_.reserve(total);
  const auto beyond = static_cast<index_t>(reinterpret_cast<uintptr_t>(at) % kPageBytes);
  if (beyond != 0) at += (kPageBytes - beyond) / static_cast<index_t>(sizeof(T));
  for (int id : ids) {
    const Parameter& p = graph.parameters[static_cast<std::size_t>(id)];
    for (Panel<T>& panel : panels_[static_cast<std::size_t>(id)]) {
      const index_t size = in_pages<T>(p.rows * panel.units);
      panel.weights = std::exchange(at, at + size);
      for (int s = 0; s < p.n_slots; ++s) panel.slots[s] = std::exchange(at, at + size);
      if (p.ema != nullptr) panel.ema = std::exchange(at, at + size);
    }
  }
  ids_ = ids;
  for_arrays([](const Parameter& p, const Panel<T>& panel, const void* host, T* own) {
    copy_columns(p.rows, panel.units, static_cast<const T*>(host) + panel.unit, p.width, own, panel.units);
  });
}

template <class T>
void PanelStore<T>::bring_back() {
  for_arrays([](const Parameter& p, const Panel<T>& panel, void* host, const T* own) {
    copy_columns(p.rows, panel.units, own, panel.units, static_cast<T*>(host) + panel.unit, p.width);
  });
  ids_.clear();
}

template class PanelStore<float>;
template class PanelStore<double>;

}  // namespace densekit
