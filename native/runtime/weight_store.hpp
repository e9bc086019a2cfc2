// Weights moved to the threads that use them, while a run of several steps lasts.
//
//   a wide kernel, as the host sees it: [I, O] row by row     in panels: [I, 32] [I, 32] ... a thread owns whole panels
//   a small parameter: once                                   a copy for each thread
//
// A thread computes the units of its panels forward, their gradient and their update; it updates its copies, too, as
// every other thread does with its own, to the same bits. So neither weights nor slots ever leave its cache. Left in
// place they would, whoever is given which units: the prefetchers fetch the neighbours' lines, and taking a line back
// from another core costs 28 ns and more on a 2-core Zen 4 virtual machine. 784-128-64-10, batch 32, Adam: 175 us on
// one thread, 150 us on two with the weights in place, 97 us with the first kernel in panels; copies of the rest cost
// 3 us more while the machine is quiet, and 106 us instead of 140 to 170 while its neighbours are not (bench_plan).
#pragma once
#include <vector>

#include "buffer.hpp"
#include "graph.hpp"
#include "thread_pool.hpp"

namespace densekit {

// Some units of a parameter, in one piece, on pages of its own; a copy has all of them.
template <class T>
struct Panel {
  int worker = 0;  // the thread that owns it
  index_t unit = 0, units = 0;
  T* weights = nullptr;  // [rows, units], as the slots and the moving average
  T* slots[3] = {nullptr, nullptr, nullptr};
  T* ema = nullptr;
};

// What is to be moved: parameter ids.
struct Moves {
  std::vector<int> in_panels, in_copies;
  bool only_read = false;  // by inference: weights without slots and averages, in wide panels
};

template <class T>
class WeightStore {
 public:
  // Moves weights, slots and averages in, each thread its own; `bring_back` returns them to the host.
  void bring_in(const Graph& graph, const Moves& moves, int workers, PoolLease& pool);
  void bring_back(PoolLease& pool);
  int workers() const { return workers_; }  // 0: everything lies where the host put it

  // The panels of a parameter in the order of the units, or its copies in the order of the threads; or nothing.
  const std::vector<Panel<T>>& panels(int parameter) const { return of(panels_, parameter); }
  const std::vector<Panel<T>>& copies(int parameter) const { return of(copies_, parameter); }
  // Per parameter: the copy of a thread, or null.
  T* const* own_weights(int worker) const {
    return workers_ == 0 ? nullptr : own_.data() + static_cast<std::size_t>(worker) * panels_.size();
  }

 private:
  using Panels = std::vector<std::vector<Panel<T>>>;
  const std::vector<Panel<T>>& of(const Panels& all, int parameter) const {
    static const std::vector<Panel<T>> none;
    return workers_ == 0 ? none : all[static_cast<std::size_t>(parameter)];
  }
  void allot(int workers);
  template <class F>
  void for_worker(int worker, F f);

  const Graph* graph_ = nullptr;
  int workers_ = 0;
  bool only_read_ = false;
  Panels panels_, copies_;  // per parameter
  std::vector<T*> own_;     // [worker, parameter]
  Buffer<T> arena_;
};

}  // namespace densekit
