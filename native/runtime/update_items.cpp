// What an update is made of: trainable parameters and the ops that give their gradients, cut into items, and who does which.
#include <algorithm>

#include "ops/ops.hpp"
#include "update.hpp"

namespace densekit {
namespace {

// Weights of one item. w, g and two slots of 32 KB exceed a 32 KB L1 but stay in any L2 beside dZ; smaller blocks
// repeat the reading of dZ, larger ones leave threads idle on mid-sized layers. On one Zen 4 core 8 to 64 KB
// take the same time for 784-128-64-10, batch 32; prefetching w and the slots ahead of the GEMM took 5 % more.
constexpr index_t kItemBytes = 32 << 10;
// At least: an item reads all of dZ. Zen 4, 2048 x 2048, batch 256: a step with 8 rows takes 82 ms, 16 rows 78, 48 rows 82.
constexpr index_t kItemRows = 16;
// In bfloat16 at least: an item reads all of its packed dZ, and its product takes half the time to hide that.
constexpr index_t kBfloat16ItemRows = PackedOperands<float>::kGrain;

template <class T>
T* as(void* p) {
  return static_cast<T*>(p);
}

bool is_clamp(const ConstraintSpec& s) { return s.kind == ConstraintKind::non_neg || s.kind == ConstraintKind::clip; }

}  // namespace

template <class T>
void Updater<T>::prepare(const Graph& graph, const Kernels<T>* kernels) {
  graph_ = &graph;
  kernels_ = kernels;
  works_.clear();
  fixed_.clear();
  made_.clear();
  elements_ = 0;
  rules_.assign(graph.optimizers.size(), Rule{});
  const bool all_buffered = graph.optimizers[0].where == Optimizer::Where::host || graph.loss_scale.scale != nullptr;
  any_scaled_ = false;
  any_buffered_ = any_constraint_ = false;
  index_t buffered = 0;
  for (std::size_t id = 0; id < graph.parameters.size(); ++id) {
    const Parameter& p = graph.parameters[id];
    Work work;
    work.id = static_cast<int>(id);
    if (!p.trainable) {
      if (p.host_regularizer || p.regularizer.kind != RegularizerKind::none) fixed_.push_back(work);
      continue;
    }
    find_contributions(work);
    const bool from_host = std::any_of(work.contributions.begin(), work.contributions.end(),
                                       [](const Contribution& x) { return x.role == Role::host; });
    const Optimizer& o = optimizer(work);
    const bool scaled = o.where == Optimizer::Where::native && (is_scaled(work) || is_orthogonal(work));
    any_scaled_ = any_scaled_ || scaled;
    work.buffered = all_buffered || scaled || o.spec.clip_norm > 0 || o.spec.global_clip_norm > 0 ||
                    o.accumulation_steps > 1 || from_host || p.host_regularizer ||
                    p.regularizer.kind == RegularizerKind::orthogonal;
    work.clamp = is_clamp(p.constraint) && !p.host_constraint;
    work.constrained_after = p.host_constraint || (p.constraint.kind != ConstraintKind::none && !work.clamp);
    any_buffered_ = any_buffered_ || work.buffered;
    any_constraint_ = any_constraint_ || work.clamp || work.constrained_after;
    if (work.buffered) buffered += padded<T>(p.size());
    elements_ += p.size();
    works_.push_back(work);
  }
  for (int id : graph.formulas.results) {
    Work work;
    work.id = id;
    if (parameter(work).passes_gradient) find_contributions(work);
    if (!work.contributions.empty()) buffered += padded<T>(parameter(work).size());
    made_.push_back(work);
  }
  cut(WeightStore<T>());
  T* g = gradients_.reserve(buffered);
  for (Work& work : works_) {
    if (!work.buffered) continue;
    work.gradient = g;
    g += padded<T>(parameter(work).size());
  }
  for (Work& work : made_) {
    if (work.contributions.empty()) continue;
    work.gradient = g;
    g += padded<T>(parameter(work).size());
  }
  index_t scratch = 0;
  for (const Parameter& p : graph.parameters) {
    if (p.regularizer.kind != RegularizerKind::orthogonal) continue;
    const index_t n = p.regularizer.p[1] != 0 ? p.width : p.rows;
    scratch = std::max(scratch, n * n + p.size());
  }
  orthogonal_.reserve(scratch);
}

template <class T>
void Updater<T>::find_contributions(Work& work) const {
  for (std::size_t i = 0; i < graph_->ops.size(); ++i) {
    const Op& op = graph_->ops[i];
    for (std::size_t k = 0; k < op.parameters.size(); ++k) {
      if (op.parameters[k] != work.id) continue;
      Role role = op.kind == OpKind::host ? Role::host : Role::op;
      if (op.kind == OpKind::dense) role = k == 0 ? Role::kernel : Role::bias;
      work.contributions.push_back({role, static_cast<int>(i), k});
    }
  }
  const std::vector<int>& sources = graph_->formulas.sources;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i] == work.id) work.sources.push_back(i);
  }
}

template <class T>
const typename Updater<T>::Work* Updater<T>::find_work(int parameter) const {
  const auto work = std::find_if(works_.begin(), works_.end(), [&](const Work& w) { return w.id == parameter; });
  return work == works_.end() ? nullptr : &*work;
}

template <class T>
bool Updater<T>::may_move(int parameter) const {
  const Work* work = find_work(parameter);
  return work != nullptr && !work->buffered && !work->constrained_after && work->sources.empty() &&
         optimizer(*work).ema_overwrite_frequency == 0;
}

template <class T>
bool Updater<T>::may_lie_in_panels(int parameter) const {
  if (!may_move(parameter)) return false;
  const Work* work = find_work(parameter);
  return work->contributions.size() == 1 && work->contributions[0].role == Role::kernel;
}

template <class T>
typename Updater<T>::Block Updater<T>::block_of(const Parameter& p, const Panel<T>* panel, index_t row, index_t rows) {
  const bool in_place = panel == nullptr;
  Block block{row, rows, in_place ? 0 : panel->unit, in_place ? p.width : panel->units};
  const index_t at = row * block.units;
  block.weights = (in_place ? as<T>(p.data) : panel->weights) + at;
  for (int i = 0; i < p.n_slots; ++i) block.slots[i] = (in_place ? as<T>(p.slots[i]) : panel->slots[i]) + at;
  if (p.ema != nullptr) block.ema = (in_place ? as<T>(p.ema) : panel->ema) + at;
  return block;
}

template <class T>
void Updater<T>::cut(const WeightStore<T>& moved) {
  items_.clear();
  items_of_.clear();
  for (std::size_t i = 0; i < works_.size(); ++i) {
    const std::vector<Panel<T>>& panels = moved.panels(works_[i].id);
    const std::vector<Panel<T>>& copies = moved.copies(works_[i].id);
    for (const auto* owned : {&panels, &copies}) {
      for (const Panel<T>& panel : *owned) cut_items(i, &panel, owned == &panels || panel.worker == 0);
    }
    if (panels.empty() && copies.empty()) cut_items(i, nullptr, true);
  }
}

// Rows of a block. An array that is a bias anywhere, or whose gradient an op takes at once, stays in one piece.
template <class T>
index_t Updater<T>::item_rows(const Work& work, index_t width) const {
  const Parameter& p = parameter(work);
  const bool whole = std::any_of(work.contributions.begin(), work.contributions.end(), [&](const Contribution& x) {
    if (x.role != Role::op) return x.role == Role::bias;
    return !op_functions<T>(graph_->ops[static_cast<std::size_t>(x.op)].kind).splits_gradient;
  });
  const bool bfloat16 = std::any_of(work.contributions.begin(), work.contributions.end(), [&](const Contribution& x) {
    return graph_->ops[static_cast<std::size_t>(x.op)].bfloat16();
  });
  const index_t least = bfloat16 ? kBfloat16ItemRows : kItemRows;
  const index_t row_bytes = width * static_cast<index_t>(sizeof(T));
  if (whole || p.rows * row_bytes <= 2 * kItemBytes) return p.rows;
  return std::max(least, kItemBytes / row_bytes / least * least);
}

template <class T>
void Updater<T>::cut_items(std::size_t index, const Panel<T>* panel, bool counts) {
  const Work& work = works_[index];
  const Parameter& p = parameter(work);
  const index_t rows = item_rows(work, panel == nullptr ? p.width : panel->units);
  for (index_t row = 0; row < p.rows; row += rows) {
    Item item{index, block_of(p, panel, row, std::min(rows, p.rows - row))};
    if (panel != nullptr) item.owner = panel->worker;
    item.counts = counts;
    items_.push_back(item);
  }
}

// What a thread owns is its own to do; the other items fill up what the threads have, in order, each thread the same
// ones in every step.
template <class T>
void Updater<T>::assign_items(int count) {
  items_of_.assign(static_cast<std::size_t>(count), {});
  std::vector<int64_t> load(items_of_.size(), 0);
  int64_t all = 0;
  const auto give = [&](std::size_t i, int worker) {
    load[static_cast<std::size_t>(worker)] += items_[i].block.size();
    items_of_[static_cast<std::size_t>(worker)].push_back(i);
  };
  for (std::size_t i = 0; i < items_.size(); ++i) {
    all += items_[i].block.size();
    if (items_[i].owner >= 0) give(i, items_[i].owner);
  }
  int worker = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].owner >= 0) continue;
    while (worker + 1 < count && load[static_cast<std::size_t>(worker)] >= all / count) ++worker;
    give(i, worker);
  }
}

#define DENSEKIT_INSTANTIATE(T)                                                                                  \
  template void Updater<T>::prepare(const Graph&, const Kernels<T>*);                                            \
  template const typename Updater<T>::Work* Updater<T>::find_work(int) const;                                    \
  template bool Updater<T>::may_move(int) const;                                                                 \
  template bool Updater<T>::may_lie_in_panels(int) const;                                                        \
  template typename Updater<T>::Block Updater<T>::block_of(const Parameter&, const Panel<T>*, index_t, index_t); \
  template void Updater<T>::cut(const WeightStore<T>&);                                                          \
  template index_t Updater<T>::item_rows(const Work&, index_t) const;                                            \
  template void Updater<T>::assign_items(int);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
