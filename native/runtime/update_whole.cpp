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

constexpr double kProductWork = 3e5;  // multiply-adds of a product worth threads, as in regions.cpp

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
  for (std::size_t i = 0; i < graph_->optimizers.size(); ++i) {
    const Optimizer& o = graph_->optimizers[i];
    const int64_t iteration = step.iterations[i];
    if (o.product == nullptr || (iteration + 1) % o.accumulation_steps != 0) continue;
    *as<T>(o.product) *= static_cast<T>(nadam_momentum(o.spec.p[0], iteration / o.accumulation_steps + 1));
  }
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

template <class T>
bool Updater<T>::all_finite() const {
  for (const Item& item : items_) {
    if (!item.finite) return false;
  }
  for (const Work& work : works_) {
    if (work.host_gradient == nullptr) continue;
    if (!std::isfinite(kernels_->sum_of_magnitudes(parameter(work).size(), work.host_gradient))) return false;
  }
  return true;
}

template <class T>
void Updater<T>::rescale(bool finite) const {
  const LossScale& s = graph_->loss_scale;
  const bool grows = finite && *s.counter + 1 == s.growth_steps;
  *s.counter = finite && !grows ? *s.counter + 1 : 0;
  *s.scale *= grows ? 2.0f : finite ? 1.0f : 0.5f;
}

// When this step updates, the gradients become the mean over the accumulated steps.
template <class T>
void Updater<T>::accumulate(const Work& work) const {
  const int64_t steps = optimizer(work).accumulation_steps;
  const Parameter& p = parameter(work);
  T* sum = as<T>(p.accumulator);
  if (rule(work).updates) {
    kernels_->add(p.size(), work.gradient, sum, work.gradient);
    for (index_t i = 0; i < p.size(); ++i) work.gradient[i] /= static_cast<T>(steps);
    std::memset(sum, 0, static_cast<std::size_t>(p.size()) * sizeof(T));
  } else {
    kernels_->add(p.size(), sum, work.gradient, sum);
  }
}

template <class T>
void Updater<T>::find_clip_scales() {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const OptimizerSpec& s = graph_->optimizers[i].spec;
    if ((s.clip_norm <= 0 && s.global_clip_norm <= 0) || !rules_[i].updates) continue;
    const auto mine = [&](const Work& work) { return parameter(work).optimizer == static_cast<int>(i); };
    double total = 0;
    for (Work& work : works_) {
      if (!mine(work)) continue;
      const double squares = kernels_->sum_of_squares(parameter(work).size(), work.gradient);
      total += squares;
      if (s.clip_norm > 0) work.clip_scale = static_cast<T>(s.clip_norm / std::max(std::sqrt(squares), s.clip_norm));
    }
    if (s.clip_norm > 0) continue;
    const double norm = std::sqrt(total);
    // A norm that is not finite spoils every gradient rather than hide: 0 * inf would.
    const double scale = std::isfinite(norm) ? s.global_clip_norm / std::max(norm, s.global_clip_norm) : std::nan("");
    for (Work& work : works_) {
      if (mine(work)) work.clip_scale = static_cast<T>(scale);
    }
  }
}

template <class T>
bool Updater<T>::is_scaled(const Work& work) const {
  const OptimizerKind kind = optimizer(work).spec.kind;
  return kind == OptimizerKind::lamb || kind == OptimizerKind::adafactor;
}

template <class T>
bool Updater<T>::is_orthogonal(const Work& work) const {
  return optimizer(work).spec.kind == OptimizerKind::muon && parameter(work).n_slots == 1;
}

template <class T>
void Updater<T>::update_whole_parameters(PoolLease& pool, bool parallel) {
  pool.run(static_cast<int>(works_.size()), parallel, [&](int i) {
    const Work& work = works_[static_cast<std::size_t>(i)];
    if (rule(work).updates && is_scaled(work)) update_scaled(work);
  });
  for (const Work& work : works_) {
    if (rule(work).updates && is_orthogonal(work)) update_orthogonal(work, pool);
  }
}

// Lamb and Adafactor: a step whose length depends on the whole parameter, then the update of SGD.
template <class T>
void Updater<T>::update_scaled(const Work& work) const {
  const Parameter& p = parameter(work);
  const Block whole = block_of(p, nullptr, 0, p.rows);
  T* direction = work.gradient;
  const OptimizerSpec& spec = rule(work).spec;
  const Update<T> all = update_of(work, whole, direction);
  Update<T> first = all;
  first.direction = direction;
  first.ema = nullptr;
  first.clamp = false;
  kernels_->update(spec, first);

  const auto size = static_cast<double>(p.size());
  double rate = static_cast<double>(all.learning_rate);
  if (spec.kind == OptimizerKind::lamb) {
    const double weights = std::sqrt(kernels_->sum_of_squares(p.size(), whole.weights));
    const double steps = std::sqrt(kernels_->sum_of_squares(p.size(), direction));
    if (weights > 0 && steps > 0) rate *= weights / steps;
  } else {
    const double step = static_cast<double>(all.step), keep = 1 - std::pow(step, spec.p[0]);
    const double squares = kernels_->adafactor(spec, keep, p.rows, p.width, direction, as<T>(p.slots[0]),
                                               as<T>(p.slots[1]), as<T>(p.slots[2]));
    const double weights = std::sqrt(kernels_->sum_of_squares(p.size(), whole.weights) / size);
    rate = std::max(spec.p[2], weights) * std::min(rate, 1 / std::sqrt(step)) /
           std::max(1.0, std::sqrt(squares / size) / spec.p[3]);
  }
  second_update(work, all, rate);
}

// w -= rate * direction, which lies in the gradient's place.
template <class T>
void Updater<T>::second_update(const Work& work, const Update<T>& all, double rate) const {
  OptimizerSpec sgd;
  sgd.ema_momentum = rule(work).spec.ema_momentum;
  Update<T> second;
  second.n = all.n, second.w = all.w, second.g = work.gradient, second.ema = all.ema;
  second.learning_rate = static_cast<T>(rate);
  second.clamp = all.clamp, second.low = all.low, second.high = all.high;
  kernels_->update(sgd, second);
}

// Muon: the direction made nearly orthogonal by Newton and Schulz' iteration, x <- a x + (b s + c s s) x with s = x x^T,
// or on the other side where that is shorter; then the update of SGD.
template <class T>
void Updater<T>::update_orthogonal(const Work& work, PoolLease& pool) {
  const Parameter& p = parameter(work);
  const OptimizerSpec& spec = rule(work).spec;
  T* x = work.gradient;
  const Update<T> all = update_of(work, block_of(p, nullptr, 0, p.rows), x);
  Update<T> first = all;
  first.direction = x;
  first.ema = nullptr;
  first.clamp = false;
  kernels_->update(spec, first);

  const bool tall = p.rows > p.width;
  const index_t n = std::min(p.rows, p.width), square = n * n;
  T* s = products_.reserve(2 * square + p.size());
  T *polynomial = s + square, *product = polynomial + square;
  // Each thread takes some rows of C.
  const auto multiply = [&](const Gemm<T>& g) {
    const double size = static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    const index_t parts = size > kProductWork ? std::min<index_t>(pool.workers(), g.m) : 1;
    const index_t share = (g.m + parts - 1) / parts;
    pool.run(static_cast<int>(parts), parts > 1, [&](int part) {
      Gemm<T> own = g;
      const index_t row = part * share;
      own.m = std::min(share, g.m - row);
      if (own.m <= 0) return;
      own.a += row * g.a_row;
      own.c += row * g.c_row;
      run_gemm(*kernels_, own);
    });
  };
  const auto gemm = [](index_t m, index_t columns, index_t k, const T* a, const T* b, T* c) {
    Gemm<T> g;
    g.m = m, g.n = columns, g.k = k;
    g.a = a, g.a_row = k;
    g.b = b, g.b_row = columns;
    g.c = c, g.c_row = columns;
    return g;
  };
  kernels_->scale(p.size(), x, static_cast<T>(1 / (std::sqrt(kernels_->sum_of_squares(p.size(), x)) + 1e-7)), x);
  for (int i = 0; i < static_cast<int>(spec.p[6]); ++i) {
    Gemm<T> g = gemm(n, n, tall ? p.rows : p.width, x, x, s);
    if (tall) g.a_row = 1, g.a_col = p.width;  // x^T x
    else g.b_row = 1, g.b_col = p.width;       // x x^T
    multiply(g);
    multiply(gemm(n, n, n, s, s, polynomial));
    kernels_->scale(square, polynomial, static_cast<T>(spec.p[9]), polynomial);
    kernels_->add_scaled(square, s, static_cast<T>(spec.p[8]), polynomial);
    multiply(tall ? gemm(p.rows, n, n, x, polynomial, product) : gemm(n, p.width, n, polynomial, x, product));
    kernels_->add_scaled(p.size(), x, static_cast<T>(spec.p[7]), product);
    std::memcpy(x, product, static_cast<std::size_t>(p.size()) * sizeof(T));
  }
  double rate = static_cast<double>(all.learning_rate);
  if (spec.p[10] >= 0) rate *= std::sqrt(static_cast<double>(std::max(p.rows, p.width))) * spec.p[10];
  second_update(work, all, rate);
}

// The average follows the weights on steps that only accumulate, too.
template <class T>
void Updater<T>::moving_averages(const Work& work) const {
  const double momentum = rule(work).spec.ema_momentum;
  if (momentum < 0) return;
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
bool Updater<T>::overwrites(const Work& work) const {
  const Optimizer& o = optimizer(work);
  return o.spec.ema_momentum >= 0 && o.ema_overwrite_frequency > 0 &&
         (rule(work).iteration / o.accumulation_steps + 1) % o.ema_overwrite_frequency == 0;
}

// Constraints hold after every update, also when the moving average has just replaced the weights.
template <class T>
bool Updater<T>::constrain(const UpdateStep& step, PoolLease& pool) {
  const bool any = any_constraint_ ||
                   std::any_of(works_.begin(), works_.end(), [&](const Work& work) { return overwrites(work); });
  if (!any) return false;
  pool.run(static_cast<int>(works_.size()), elements_ > (1 << 16), [&](int i) {
    const Work& work = works_[static_cast<std::size_t>(i)];
    const Parameter& p = parameter(work);
    const bool overwrite = overwrites(work);
    if (overwrite) std::memcpy(p.data, p.ema, static_cast<std::size_t>(p.size()) * sizeof(T));
    const bool clamp_again = work.clamp && (overwrite || !rule(work).updates);
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

#define DENSEKIT_INSTANTIATE(T)                                              \
  template double Updater<T>::sum_penalties() const;                         \
  template void Updater<T>::ask_host_regularizers(const UpdateStep&);        \
  template void Updater<T>::advance_product(const UpdateStep&) const;        \
  template double Updater<T>::whole_penalties();                             \
  template double Updater<T>::penalties(Host*, const FlushDenormals&) const; \
  template bool Updater<T>::all_finite() const;                              \
  template void Updater<T>::rescale(bool) const;                             \
  template void Updater<T>::accumulate(const Work&) const;                   \
  template void Updater<T>::find_clip_scales();                              \
  template bool Updater<T>::is_scaled(const Work&) const;                    \
  template bool Updater<T>::is_orthogonal(const Work&) const;                \
  template void Updater<T>::update_whole_parameters(PoolLease&, bool);       \
  template void Updater<T>::moving_averages(const Work&) const;              \
  template bool Updater<T>::constrain(const UpdateStep&, PoolLease&);
DENSEKIT_INSTANTIATE(float)
DENSEKIT_INSTANTIATE(double)
#undef DENSEKIT_INSTANTIATE

}  // namespace densekit
