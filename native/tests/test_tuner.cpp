// The tuner finds the number of threads a pretended machine is fastest with, and notices when that changes.
#include "check.hpp"
#include "runtime/thread_tuner.hpp"

using densekit::ThreadTuner;

namespace {

// Runs `steps` steps of `rows` rows; the share of them done with `best` threads.
template <class Cost>
double share(ThreadTuner& tuner, int most, densekit::index_t rows, int steps, int best, Cost cost) {
  int hits = 0;
  for (int i = 0; i < steps; ++i) {
    const int threads = tuner.next(most, rows);
    hits += threads == best;
    tuner.record(cost(threads) * double(rows), rows);
  }
  return double(hits) / steps;
}

const auto splits_well = [](int threads) { return 1.0 / threads; };
const auto never_splits = [](int threads) { return 1.0 + 0.1 * threads; };
const auto best_with_four = [](int threads) { return 1.0 / threads + threads / 16.0; };

TEST(finds_the_best_number) {
  for (int most : {1, 2, 3, 8, 16, 64}) {
    ThreadTuner tuner;
    CHECK(share(tuner, most, 32, 2000, most, splits_well) > 0.95);
    CHECK(share(tuner, most, 128, 2000, 1, never_splits) > 0.85);
  }
  ThreadTuner tuner;
  CHECK(share(tuner, 16, 32, 2000, 4, best_with_four) > 0.95);
}

TEST(a_gain_too_small_is_left_to_others) {
  const auto splits_badly = [](int threads) { return threads == 1 ? 1.0 : 0.95; };
  ThreadTuner greedy, modest(4, 1.08);
  CHECK(share(greedy, 2, 32, 2000, 2, splits_badly) > 0.95);
  CHECK(share(modest, 2, 32, 2000, 1, splits_badly) > 0.85);
  CHECK(share(modest, 8, 32, 2000, 8, splits_well) > 0.9);
}

TEST(gains_do_not_add_up) {  // each half as many threads almost as fast, one thread far slower than all
  ThreadTuner tuner(4, 1.08);
  const auto slowly = [](int threads) {
    return threads == 8 ? 10.0 : threads == 4 ? 10.7 : threads == 2 ? 11.5 : 12.4;
  };
  CHECK(share(tuner, 8, 32, 2000, 4, slowly) > 0.8);
}

TEST(notices_a_change) {
  ThreadTuner tuner;
  share(tuner, 8, 32, 3000, 8, splits_well);
  CHECK(share(tuner, 8, 32, 30000, 1, never_splits) > 0.8);
}

TEST(one_slow_step_does_not_mislead) {
  ThreadTuner tuner;
  int i = 0;
  CHECK(share(tuner, 2, 32, 2000, 2, [&](int threads) { return ++i % 3 == 0 ? 100.0 : 1.0 / threads; }) > 0.95);
}

TEST(disturbed_trials_are_soon_forgotten) {
  for (int undisturbed = 0; undisturbed < 1200; ++undisturbed) {  // whatever step the disturbance comes at
    ThreadTuner tuner;
    share(tuner, 2, 32, undisturbed, 2, splits_well);
    share(tuner, 2, 32, 8, 2, [](int threads) { return threads == 2 ? 100.0 : 1.0; });
    CHECK(share(tuner, 2, 32, 200, 2, splits_well) > 0.7);
  }
}

TEST(short_batches_do_not_count) {
  ThreadTuner tuner;
  CHECK(tuner.next(2, 32) == 2);
  for (int i = 0; i < 100; ++i) tuner.record(1.0, 3);
  CHECK(tuner.next(2, 32) == 2);
  for (int i = 0; i < 4; ++i) tuner.record(1.0, 32);
  CHECK(tuner.next(2, 32) == 1);
}

}  // namespace

CHECK_MAIN()
