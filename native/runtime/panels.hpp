// Kernels of wide layers, cut into panels of units while a run of several steps lasts.
//
//   as the host sees it: [I, O], row by row        in panels: [I, 32] [I, 32] ... each in one piece, on pages of its own
//
// A panel belongs to one thread: it computes these units forward, their gradient and their update, so weights and slots
// stay in its cache. Row-major they would not, whoever is given which units: the prefetchers fetch the neighbours'
// lines, and taking a line back from another core costs 28 ns on a 2-core Zen 4 virtual machine. 784 x 128 with batch
// 32 and Adam, forward and update on two threads: 85 us in panels, 159 us on one thread (bench_plan).
#pragma once
#include <vector>

#include "buffer.hpp"
#include "graph.hpp"

namespace densekit {

template <class T>
struct Panel {
  index_t unit = 0, units = 0;  // columns of the kernel
  T* weights = nullptr;         // [rows, units], as the slots and the moving average
  T* slots[3] = {nullptr, nullptr, nullptr};
  T* ema = nullptr;
};

template <class T>
class PanelStore {
 public:
  // Copies the parameters `ids` of the graph, with slots and averages, into panels; `bring_back` returns them.
  void bring_in(const Graph& graph, const std::vector<int>& ids);
  void bring_back();
  bool empty() const { return ids_.empty(); }

  // The panels of a parameter; none when it lies where the host put it.
  const std::vector<Panel<T>>& of(int parameter) const {
    static const std::vector<Panel<T>> none;
    return empty() ? none : panels_[static_cast<std::size_t>(parameter)];
  }

 private:
  template <class Copy>
  void for_arrays(Copy copy) const;

  const Graph* graph_ = nullptr;
  std::vector<int> ids_;
  std::vector<std::vector<Panel<T>>> panels_;  // per parameter
  Buffer<T> arena_;
};

// The thread, of `lanes`, that a panel of a kernel of that width belongs to: equal shares of the units, as near as panels allow.
template <class T>
int panel_lane(const Panel<T>& panel, index_t width, int lanes) {
  return static_cast<int>((2 * panel.unit + panel.units) * lanes / (2 * width));
}

}  // namespace densekit
