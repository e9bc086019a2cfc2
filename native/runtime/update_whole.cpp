// The part of an update that looks at whole parameters: host regularizers, accumulation, clipping by norm, moving
// averages, norm constraints.
#include <algorithm>
#include <cmath>

#include "update.hpp"

namespace densekit {
namespace {

template <class T>
T* as(void* p) {
  return static_cast<T*>(p);
}

}  // namespace

// Asked before any weight changes: a callback that throws leaves the step undone.
template <class T>
void Updater<T>::ask_host_regularizers(const UpdateStep& step) {
  for (auto* works : {&works_, &fixed_}) {
    for (Work& work : *works) {
      if (!parameter(work).host_regularizer) continue;
      const CallerFloatMode mode(*step.flush);
      const void* gradient = nullptr;
      work.host_penalty = step.host->regularizer(work.id, &gradient);
      work.host_gradient = static_cast<const T*>(gradient);
    }
  }
}

// Nadam's product of all momenta so far, in the plan's type as its variable is: the same bits wherever a run is cut.
template <class T>
void Updater<T>::advance_product(const UpdateStep& step) const {
  const Optimizer& o = graph_->optimizer;
  if (o.product == nullptr || (step.iteration + 1) % o.accumulation_steps != 0) return;
  *as<T>(o.product) *= static_cast<T>(nadam_momentum(o.spec.p[0], step.iteration / o.accumulation_steps + 1));
}

template <class T>
double Updater<T>::sum_penalties() const {
  double total = 0;
  for (const Item& item : items_) total += item.penalty;
  for (const Work& work : fixed_) {
    const Parameter& p = parameter(work);
    total += block_penalty(work, block_of(p, nullptr, 0, p.rows)) + work.host_penalty;
    if (p.regularizer.kind == RegularizerKind::orthogonal) {
      total += kernels_->orthogonal(p.regularizer, p.rows, p.width, as<T>(p.data), nullptr, orthogonal_.data());
    }
  }
  return total;
}

// Penalties that need the whole array; their gradients go to the buffers.
template <class T>
double Updater<T>::whole_penalties() {
  double total = 0;
  for (Work& work : works_) {
    const Parameter& p = parameter(work);
    if (work.host_gradient != nullptr) kernels_->add(p.size(), work.gradient, work.host_gradient, work.gradient);
    if (p.host_regularizer) total += work.host_penalty;
    if (p.regularizer.kind == RegularizerKind::orthogonal) {
      total += kernels_->orthogonal(p.regularizer, p.rows, p.width, as<T>(p.data), work.gradient, orthogonal_.data());
    }
  }
  return total;
}

template <class T>
double Updater<T>::penalties(Host* host, const FlushDenormals& flush) const {
  double total = 0;
  const auto whole = [&](const Work& work) {
    const Parameter& p = parameter(work);
    if (p.host_regularizer) {
      const CallerFloatMode mode(flush);
      const void* gradient = nullptr;
      total += host->regularizer(work.id, &gradient);
    }
    if (p.regularizer.kind == RegularizerKind::orthogonal) {
      total += kernels_->orthogonal(p.regularizer, p.rows, p.width, as<T>(p.data), nullptr, orthogonal_.data());
    }
  };
  // The same blocks as in training, unless kernels lie in panels: then the last bits of a penalty may differ.
  for (const Item& item : items_) total += block_penalty(works_[item.work], item.block);
  for (const Work& work : fixed_) {
    total += block_penalty(work, block_of(parameter(work), nullptr, 0, parameter(work).rows));
    whole(work);
  }
  for (const Work& work : works_) whole(work);
  return total;
}

// True when this step updates: the gradients are then the mean over the accumulated steps.
template <class T>
bool Updater<T>::accumulate(const UpdateStep& step) {
  const int64_t steps = graph_->optimizer.accumulation_steps;
  const bool updates = (step.iteration + 1) % steps == 0;
  for (const Work& work : works_) {
    const Parameter& p = parameter(work);
    T* sum = as<T>(p.accumulator);
    if (updates) {
      kernels_->add(p.size(), work.gradient, sum, work.gradient);
      for (index_t i = 0; i < p.size(); ++i) work.gradient[i] /= static_cast<T>(steps);
      std::memset(sum, 0, static_cast<std::size_t>(p.size()) * sizeof(T));
    } else {
      kernels_->add(p.size(), sum, work.gradient, sum);
    }
  }
  return updates;
}

template <class T>
void Updater<T>::find_clip_scales() {
  const OptimizerSpec& s = graph_->optimizer.spec;
  if (s.clip_norm <= 0 && s.global_clip_norm <= 0) return;
  double total = 0;
  for (Work& work : works_) {
    const double squares = kernels_->sum_of_squares(parameter(work).size(), work.gradient);
    total += squares;
    if (s.clip_norm > 0) work.clip_scale = static_cast<T>(s.clip_norm / std::max(std::sqrt(squares), s.clip_norm));
  }
  if (s.clip_norm > 0) return;
  const double norm = std::sqrt(total);
  // A norm that is not finite spoils every gradient rather than hide: 0 * inf would.
  const double scale = std::isfinite(norm) ? s.global_clip_norm / std::max(norm, s.global_clip_norm) : std::nan("");
  for (Work& work : works_) work.clip_scale = static_cast<T>(scale);
}

// Lamb and Adafactor: a step whose length depends on the whole parameter, then the update of SGD.
template <class T>
void Updater<T>::update_scaled(const Work& work) const {
  const Parameter& p = parameter(work);
  const Block whole = block_of(p, nullptr, 0, p.rows);
  T* direction = work.gradient;
  const Update<T> all = update_of(work, whole, direction);
  Update<T> first = all;
  first.direction = direction;
  first.ema = nullptr;
  first.clamp = false;
  kernels_->update(spec_, first);

  const auto size = static_cast<double>(p.size());
  double rate = static_cast<double>(all.learning_rate);
  if (spec_.kind == OptimizerKind::lamb) {
    const double weights = std::sqrt(kernels_->sum_of_squares(p.size(), whole.weights));
    const double steps = std::sqrt(kernels_->sum_of_squares(p.size(), direction));
    if (weights > 0 && steps > 0) rate *= weights / steps;
  } else {
    const double step = static_cast<double>(all.step), keep = 1 - std::pow(step, spec_.p[0]);
    const double squares = kernels_->adafactor(spec_, keep, p.rows, p.width, direction, as<T>(p.slots[0]),
                                               as<T>(p.slots[1]), as<T>(p.slots[2]));
    const double weights = std::sqrt(kernels_->sum_of_squares(p.size(), whole.weights) / size);
    rate = std::max(spec_.p[2], weights) * std::min(rate, 1 / std::sqrt(step)) /
           std::max(1.0, std::sqrt(squares / size) / spec_.p[3]);
  }

  OptimizerSpec sgd;
  sgd.ema_momentum = spec_.ema_momentum;
  Update<T> second;
  second.n = all.n, second.w = all.w, second.g = direction, second.ema = all.ema;
  second.learning_rate = static_cast<T>(rate);
  second.clamp = all.clamp, second.low = all.low, second.high = all.high;
  kernels_->update(sgd, second);
}

// The average follows the weights on steps that only accumulate, too.
template <class T>
void Updater<T>::moving_averages(const UpdateStep& step, const Work& work) const {
  const bool first = step.iteration / graph_->optimizer.accumulation_steps == 0;
  const double momentum = first ? 0.0 : graph_->optimizer.spec.ema_momentum;
  if (graph_->optimizer.spec.ema_momentum < 0) return;
  const Parameter& p = parameter(work);
  T* ema = as<T>(p.ema);
  if (momentum == 0) {
    std::memcpy(ema, p.data, static_cast<std::size_t>(p.size()) * sizeof(T));
    return;
  }
  kernels_->scale(p.size(), ema, static_cast<T>(momentum), ema);
  kernels_->add_scaled(p.size(), as<T>(p.data), static_cast<T>(1 - momentum), ema);
}

template <class T>
bool Updater<T>::overwrites(const UpdateStep& step) const {
  const Optimizer& o = graph_->optimizer;
  return o.spec.ema_momentum >= 0 && o.ema_overwrite_frequency > 0 &&
         (step.iteration / o.accumulation_steps + 1) % o.ema_overwrite_frequency == 0;
}

// Constraints hold after every update, also when the moving average has just replaced the weights.
template <class T>
bool Updater<T>::constrain(const UpdateStep& step, PoolLease& pool, bool updated) {
  const bool overwrite = overwrites(step);
  if (!any_constraint_ && !overwrite) return false;
  pool.run(static_cast<int>(works_.size()), elements_ > (1 << 16), [&](int i) {
    const Work& work = works_[static_cast<std::size_t>(i)];
    const Parameter& p = parameter(work);
    if (overwrite) std::memcpy(p.data, p.ema, static_cast<std::size_t>(p.size()) * sizeof(T));
    const bool clamp_again = work.clamp && (overwrite || !updated);
    if (!p.host_constraint && (work.constrained_after || clamp_again)) {
      kernels_->constrain(p.constraint, p.rows, p.width, as<T>(p.data));
    }
  });
  for (const Work& work : works_) {
    if (!parameter(work).host_constraint) continue;
    const CallerFloatMode mode(*step.flush);
    step.host->constraint(work.id);
  }
  return true;
}

#define DENSEKIT_INSTANTIATE(T)                                                    \
  template double Updater<T>::sum_penalties() const;                               \
  template void Updater<T>::ask_host_regularizers(const UpdateStep&);              \
  template void Updater<T>::advance_product(const UpdateStep&) const;              \
  template double Updater<T>::whole_penalties();                                   \
  template double Updater<T>::penalties(Host*, const FlushDenormals&) const;       \
  template bool Updater<T>::accumulate(const UpdateStep&);                         \
  template void Updater<T>::find_clip_scales();                                    \
  template void Updater<T>::update_scaled(const Work&) const;                      \
  template void Updater<T>::moving_averages(const UpdateStep&, const Work&) const; \
  template bool Updater<T>::overwrites(const UpdateStep&) const;                   \
  template bool Updater<T>::constrain(const UpdateStep&, PoolLease&, bool);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
