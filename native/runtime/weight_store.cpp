#include "weight_store.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace densekit {
namespace {

constexpr index_t kPageBytes = 4096;

// Zen 4, 784 x 128, batch 32: panels of 32 and of 64 units take the same time, and 32 share out more evenly. Large
// kernels take wide ones, which make more of every row they meet, and so do those that are only read: a row through 64
// units has twice the chains in flight.
constexpr index_t kPanelRow = 128, kWidePanelRow = 256, kWideKernelRow = 2048;  // bytes of a row

template <class T>
index_t panel_units(const Graph& graph, int id, bool only_read) {
  constexpr auto size = static_cast<index_t>(sizeof(T));
  const index_t width = graph.parameters[static_cast<std::size_t>(id)].width;
  for (const Op& op : graph.ops) {
    if (op.bfloat16() && op.kind == OpKind::dense && op.dense().kernel == id)
      return kBfloat16Panel;  // those of the packed kernel
  }
  return (only_read || width * size >= kWideKernelRow ? kWidePanelRow : kPanelRow) / size;
}

template <class T>
constexpr index_t in_pages(index_t n) {
  constexpr index_t page = kPageBytes / static_cast<index_t>(sizeof(T));
  return (n + page - 1) / page * page;
}

// Equal shares of the units to each thread, as near as panels allow.
template <class T>
std::vector<Panel<T>> cut(const Graph& graph, int id, int workers, bool only_read) {
  std::vector<Panel<T>> panels;
  const Parameter& p = graph.parameters[static_cast<std::size_t>(id)];
  const index_t step = panel_units<T>(graph, id, only_read);
  for (index_t unit = 0; unit < p.width; unit += step) {
    Panel<T> panel;
    panel.unit = unit;
    panel.units = std::min(step, p.width - unit);
    panel.worker = static_cast<int>((2 * panel.unit + panel.units) * workers / (2 * p.width));
    panels.push_back(panel);
  }
  return panels;
}

template <class T>
std::vector<Panel<T>> copy(const Parameter& p, int workers) {
  std::vector<Panel<T>> copies(static_cast<std::size_t>(workers));
  for (int worker = 0; worker < workers; ++worker) {
    copies[static_cast<std::size_t>(worker)].worker = worker;
    copies[static_cast<std::size_t>(worker)].units = p.width;
  }
  return copies;
}

// Calls f(host array, panel's array) for the weights, and unless they are only read for slots and average.
template <class T, class F>
void for_arrays(const Parameter& p, bool only_read, Panel<T>& panel, F f) {
  f(p.data, panel.weights);
  if (only_read) return;
  for (int s = 0; s < p.n_slots; ++s) f(p.slots[s], panel.slots[s]);
  if (p.ema != nullptr) f(p.ema, panel.ema);
}

template <class T>
void copy_columns(index_t rows, index_t columns, const T* from, index_t from_row, T* to, index_t to_row) {
  for (index_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * to_row, from + r * from_row, static_cast<std::size_t>(columns) * sizeof(T));
  }
}

}  // namespace

// The panels of a parameter stand at equal distances, the copies of a thread side by side; what belongs to different
// threads never shares a page, so that nobody's prefetching strays.
template <class T>
void WeightStore<T>::allot(int workers) {
  const auto place = [&](T* arena) {
    index_t used = 0;
    const auto take = [&](std::size_t id, Panel<T>& panel) {
      const Parameter& p = graph_->parameters[id];
      for_arrays<T>(p, only_read_, panel, [&](void*, T*& own) {
        if (arena != nullptr) own = arena + used;
        used += padded<T>(p.rows * panel.units);
      });
    };
    for (std::size_t id = 0; id < panels_.size(); ++id) {
      index_t distance = 0;
      for (Panel<T>& panel : panels_[id]) {
        const index_t begin = used;
        take(id, panel);
        distance = std::max(distance, in_pages<T>(used - begin));
        used = begin + distance;
      }
    }
    for (int worker = 0; worker < workers; ++worker) {
      for (std::size_t id = 0; id < copies_.size(); ++id) {
        if (!copies_[id].empty()) take(id, copies_[id][static_cast<std::size_t>(worker)]);
      }
      used = in_pages<T>(used);
    }
    return used;
  };
  T* arena = arena_.reserve(place(nullptr) + in_pages<T>(1));
  const auto beyond = static_cast<index_t>(reinterpret_cast<uintptr_t>(arena) % kPageBytes);
  if (beyond != 0) arena += (kPageBytes - beyond) / static_cast<index_t>(sizeof(T));
  place(arena);
}

// Every panel and copy of a worker, with the parameter it is of.
template <class T>
template <class F>
void WeightStore<T>::for_worker(int worker, F f) {
  for (Panels* group : {&panels_, &copies_}) {
    for (std::size_t id = 0; id < group->size(); ++id) {
      for (Panel<T>& panel : (*group)[id]) {
        if (panel.worker == worker) f(graph_->parameters[id], panel, group == &copies_);
      }
    }
  }
}

template <class T>
void WeightStore<T>::bring_in(const Graph& graph, const Moves& moves, int workers, PoolLease& pool) {
  graph_ = &graph;
  only_read_ = moves.only_read;
  panels_.assign(graph.parameters.size(), {});
  copies_.assign(graph.parameters.size(), {});
  const auto parameter = [&](int id) -> const Parameter& { return graph.parameters[static_cast<std::size_t>(id)]; };
  for (int id : moves.in_panels) panels_[static_cast<std::size_t>(id)] = cut<T>(graph, id, workers, only_read_);
  for (int id : moves.in_copies) copies_[static_cast<std::size_t>(id)] = copy<T>(parameter(id), workers);
  allot(workers);
  pool.run_workers(workers, true, [&](int worker) {
    for_worker(worker, [&](const Parameter& p, Panel<T>& panel, bool) {
      for_arrays<T>(p, only_read_, panel, [&](const void* host, T* own) {
        copy_columns(p.rows, panel.units, static_cast<const T*>(host) + panel.unit, p.width, own, panel.units);
      });
    });
  });
  own_.assign(static_cast<std::size_t>(workers) * copies_.size(), nullptr);
  for (std::size_t id = 0; id < copies_.size(); ++id) {
    for (const Panel<T>& own : copies_[id])
      own_[static_cast<std::size_t>(own.worker) * copies_.size() + id] = own.weights;
  }
  workers_ = workers;  // at the end: without memory, everything is where it was
}

template <class T>
void WeightStore<T>::bring_back(PoolLease& pool) {
  pool.run_workers(workers_, true, [&](int worker) {
    for_worker(worker, [&](const Parameter& p, Panel<T>& panel, bool is_copy) {
      if (is_copy && worker > 0) return;  // all are equal
      for_arrays<T>(p, only_read_, panel, [&](void* host, const T* own) {
        copy_columns(p.rows, panel.units, own, panel.units, static_cast<T*>(host) + panel.unit, p.width);
      });
    });
  });
  workers_ = 0;
}

template class WeightStore<float>;
template class WeightStore<double>;

}  // namespace densekit
