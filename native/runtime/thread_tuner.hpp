// How many threads a step, or a call of few rows, is given: found by trying. Whatever it says, the bits are the same.
//
// Splitting a step costs more than its barriers: every weight that one core reads and another writes crosses between
// them. On a 2-core Zen 4 virtual machine taking such a line back costs 28 ns, so that 784-128-64-10 with batch 32 took
// 195 us on two threads and 175 us on one, while batch 128 went from 600 to 400 us. Weights that move to the threads
// (weight_store.hpp) do not pay it; others do. Tried against it: prefetching for writing (no change); units shared out
// without moving them (no change: the prefetchers fetch the neighbours' columns). Cores that share a cache pay a
// fraction, cores busy with other work far more: no threshold fits all, two trials do.
#pragma once
#include <algorithm>
#include <limits>

#include "densekit/kernels.hpp"

namespace densekit {

class ThreadTuner {
 public:
  // `tries` steps a trial; fewer threads are taken unless more are so many times as fast.
  explicit ThreadTuner(int tries = 4, double gain = 1) : tries_each_(tries), gain_(gain) {}

  // Threads for a batch of `rows` rows, of at most `most`.
  int next(int most, index_t rows) {
    if (most != most_ || rows > 2 * rows_ || 2 * rows < rows_) restart(most, rows);
    return threads();
  }

  // What that batch took.
  void record(double seconds, index_t rows) {
    if (most_ == 1 || rows < rows_ / 2) return;
    if (settled_ > 0) {
      if (--settled_ == 0) begin_trials();
      return;
    }
    // The first step of a trial meets cold caches and sleeping threads.
    if (tries_++ > 0) time_ = std::min(time_, seconds / static_cast<double>(rows));
    if (tries_ == tries_each_) end_trial();
  }

 private:
  // Steps until the next trials: doubled while the answer stays the same, few after another one than before. A neighbour that takes
  // a core for the 10 ms of a trial misleads it: at 500 steps, 784-512-512-10 then ran on one thread for seconds.
  static constexpr int kRetryInterval = 128, kRetryIntervalAfterChange = 32, kLongestRetryInterval = 8000;

  int threads() const { return std::max(1, most_ >> halvings_); }

  void restart(int most, index_t rows) {
    most_ = most;
    rows_ = rows;
    retry_interval_ = kRetryInterval;
    chosen_ = -1;
    begin_trials();
  }

  // From all threads down, half as many each time, until fewer are slower.
  void begin_trials() {
    halvings_ = best_ = settled_ = 0;
    best_time_ = time_ = std::numeric_limits<double>::infinity();
    tries_ = 0;
  }

  void end_trial() {
    const bool better = time_ < gain_ * best_time_;
    if (better) best_ = halvings_;
    best_time_ = std::min(best_time_, time_);
    if (better && threads() > 1) {
      ++halvings_;
      time_ = std::numeric_limits<double>::infinity();
      tries_ = 0;
      return;
    }
    halvings_ = best_;
    if (chosen_ == best_) retry_interval_ = std::min(2 * retry_interval_, kLongestRetryInterval);
    else if (chosen_ >= 0 || best_ > 0) retry_interval_ = kRetryIntervalAfterChange;
    chosen_ = best_;
    settled_ = retry_interval_;
  }

  int tries_each_;
  double gain_;
  int most_ = 0;
  index_t rows_ = 0;
  int halvings_ = 0, best_ = 0, chosen_ = -1, tries_ = 0;
  int settled_ = 0, retry_interval_ = kRetryInterval;
  double time_ = 0, best_time_ = 0;
};

}  // namespace densekit
