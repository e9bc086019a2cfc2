// Plans: they learn, leave the same bits whatever the threads, and infer from many threads at once.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>

#include "network.hpp"

using namespace densekit;
using network::Mlp;

namespace {

// Sets the threads and joins the workers at the end, for the sanitizers.
struct Threads {
  explicit Threads(int n) { ThreadPool::instance().set_threads(n); }
  ~Threads() { ThreadPool::instance().set_threads(1); }
};

template <class F>
bool refuses(F f) {
  try {
    f();
  } catch (const std::invalid_argument&) { return true; }
  return false;
}

template <class T>
void learns_xor() {
  Mlp<T> net({2, 16, 1}, "sigmoid", 256);
  for (std::size_t r = 0; r < 256; ++r) net.y[r] = T((net.x[2 * r] > 0) != (net.x[2 * r + 1] > 0));
  const auto losses = net.train(32, 200, 0.02);
  CHECK(losses.front() > 0.6);
  CHECK(losses.back() < 0.2);
  const auto p = net.predict(256);
  int right = 0;
  for (std::size_t r = 0; r < 256; ++r) right += (p[r] > T(0.5)) == (net.y[r] > T(0.5));
  CHECK(right > 240);
}

TEST(learns_xor) {
  learns_xor<float>();
  learns_xor<double>();
}

template <class T>
void same_bits(index_t batch_size, bool bfloat16 = false, const std::vector<index_t>& sizes = {200, 300, 120, 10}) {
  std::vector<std::vector<T>> first;
  std::vector<double> losses;
  for (int threads : {1, 2, 3}) {
    const Threads set(threads);
    Mlp<T> net(sizes, "softmax", 150, 0.2, bfloat16);
    const auto l = net.train(batch_size, 2, 0.01);
    net.weights.push_back(net.predict(150));
    if (first.empty()) {
      first = net.weights;
      losses = l;
    }
    CHECK(l == losses);
    CHECK(net.weights == first);
  }
}

TEST(same_bits_for_any_threads) {
  for (index_t batch : {150, 64, 7}) {
    same_bits<float>(batch);
    same_bits<float>(batch, true);
  }
  same_bits<double>(64);
}

// Kernels larger than most L2: in single steps they stay where they are, and are shared out by units and inputs.
TEST(same_bits_of_large_kernels) {
  for (bool bfloat16 : {false, true}) same_bits<float>(75, bfloat16, {30, 1030, 701, 10});
  same_bits<double>(150, false, {30, 430, 701, 10});
  same_bits<float>(149, false, {1100, 1030, 10});  // the last batch has one row: by rows again
}

// Several steps in one run keep wide kernels in panels, single steps leave them where they are.
void panels_and_single_steps(int threads, bool bfloat16) {
  const Threads set(threads);
  constexpr index_t kBatch = 8, kSteps = 6;
  Mlp<float> at_once({200, 300, 120, 10}, "softmax", kBatch * kSteps, 0.2, bfloat16);
  Mlp<float> one_by_one({200, 300, 120, 10}, "softmax", kBatch * kSteps, 0.2, bfloat16);
  const auto losses = at_once.train(kBatch, 1, 0.01);
  std::vector<double> loss(2), rate(1, 0.01);
  for (index_t step = 0; step < kSteps; ++step) {
    Request r = one_by_one.request(kBatch, loss, rate);
    r.index += step * kBatch;
    r.n = kBatch;
    r.iterations = {step};
    r.counters.assign(r.counters.size(), static_cast<uint64_t>(step));
    one_by_one.engine->train(r);
    CHECK(loss[0] == losses[static_cast<std::size_t>(step)]);
  }
  CHECK(at_once.weights == one_by_one.weights);
  CHECK(at_once.slots == one_by_one.slots);
}

TEST(panels_leave_the_weights_of_single_steps) {
  for (int threads : {1, 2, 3}) {
    panels_and_single_steps(threads, false);
    panels_and_single_steps(threads, true);
  }
}

// In a loop, calls of few rows try one thread and several, which share out units.
TEST(few_rows_have_the_bits_of_many) {
  for (int threads : {1, 2, 3}) {
    const Threads set(threads);
    Mlp<float> net({300, 500, 130, 10}, "softmax", 64);
    const auto whole = net.predict(64);
    for (index_t n = 1; n <= 5; ++n) {
      std::vector<float> few(static_cast<std::size_t>(n * 10));
      int wrong = 0;
      for (int call = 0; call < 200; ++call) {
        std::fill(few.begin(), few.end(), -1.0f);
        net.engine->call(net.x.data(), n, few.data());
        wrong += !std::equal(few.begin(), few.end(), whole.begin());
      }
      CHECK(wrong == 0);
    }
  }
}

void rows_and_blocks(bool bfloat16) {
  Mlp<float> net({33, 70, 9}, "softmax", 500, 0, bfloat16);
  const auto whole = net.predict(500);
  for (index_t r = 0; r < 500; r += 37) {
    std::array<float, 9> one{};
    net.engine->call(net.x.data() + r * 33, 1, one.data());
    CHECK(std::equal(one.begin(), one.end(), whole.begin() + r * 9));
  }
}

TEST(rows_do_not_depend_on_their_block) {
  rows_and_blocks(false);
  rows_and_blocks(true);
}

// Twelve steps in bfloat16 stay within its rounding of the same in float32, and every prediction is a bfloat16 number.
TEST(bfloat16_follows_float32) {
  Mlp<float> exact({40, 70, 33, 10}, "softmax", 96), rounded({40, 70, 33, 10}, "softmax", 96, 0, true);
  const auto a = exact.train(16, 2, 0.01), b = rounded.train(16, 2, 0.01);
  for (std::size_t s = 0; s < a.size(); ++s) CHECK(a[s] != b[s] && check::near(b[s], a[s], 0x1p-6 * a[s]));
  for (float y : rounded.predict(96)) {
    uint32_t bits;
    std::memcpy(&bits, &y, sizeof bits);
    CHECK((bits & 0xFFFF) == 0);
  }
}

TEST(many_threads_infer_at_once) {
  const Threads set(2);
  Mlp<float> net({64, 256, 16}, "softmax", 400);
  const auto expected = net.predict(400);
  std::array<int, 6> wrong{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) wrong[t] += net.predict(400) != expected;
    });
  }
  for (auto& t : threads) t.join();
  for (int w : wrong) CHECK(w == 0);
}

// The first calls read the weights where they are, later ones a copy of them that one of the threads makes.
void threads_share_a_copy(bool bfloat16) {
  const Threads set(2);
  Mlp<float> net({1300, 1100, 9}, "softmax", 20, 0, bfloat16);
  std::vector<std::vector<float>> expected;
  for (index_t n = 1; n <= 20; ++n) expected.push_back(net.predict(n));
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 40; ++i)
        wrong[t] += net.predict(static_cast<index_t>(i % 20) + 1) != expected[i % 20];
    });
  }
  for (auto& t : threads) t.join();
  for (int w : wrong) CHECK(w == 0);
  CHECK(net.engine->prepacked_bytes() > 0);
  net.train(20, 1, 0.01);
  CHECK(net.predict(20) != expected.back());
  CHECK(net.engine->prepacked_bytes() == 0);
}

TEST(threads_share_prepacked_weights) {
  threads_share_a_copy(false);
  threads_share_a_copy(true);
}

TEST(a_region_runs_every_item_once) {
  const Threads set(4);
  PoolLease pool;
  CHECK(pool.workers() == 4);
  for (int items : {1, 2, 3, 100, 70000}) {
    std::vector<std::atomic<int>> hits(static_cast<std::size_t>(items));
    pool.run(items, true, [&](int i) { ++hits[static_cast<std::size_t>(i)]; });
    CHECK(std::all_of(hits.begin(), hits.end(), [](const auto& h) { return h == 1; }));
  }
  for (int limit : {4, 2, 3}) {
    pool.limit(limit);
    for (int workers : {2, 3, 4, 9}) {  // more than threads, too
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(workers));
      pool.run_workers(workers, true, [&](int worker) { ++hits[static_cast<std::size_t>(worker)]; });
      CHECK(std::all_of(hits.begin(), hits.end(), [](const auto& h) { return h == 1; }));
    }
    for (int round = 0; round < 10000; ++round) {  // regions back to back, some after a sleep of the workers
      if (round % 1000 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
      std::array<int, 3> sums{};
      pool.run_workers(3, true, [&](int worker) { sums[static_cast<std::size_t>(worker)] = round + worker; });
      if (sums != std::array<int, 3>{round, round + 1, round + 2}) CHECK(sums[0] == -1);
    }
  }
}

TEST(a_region_throws_when_all_workers_have_ended) {
  const Threads set(3);
  PoolLease pool;
  for (int bad = 0; bad < 3; ++bad) {
    std::array<std::atomic<int>, 3> hits{};
    CHECK(refuses([&] {
      pool.run_workers(3, true, [&](int worker) {
        if (worker == bad) throw std::invalid_argument("no");
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        ++hits[static_cast<std::size_t>(worker)];
      });
    }));
    CHECK(hits[0] + hits[1] + hits[2] == 2);
    pool.run_workers(3, true,
                     [&](int worker) { ++hits[static_cast<std::size_t>(worker)]; });  // as if nothing had happened
    CHECK(hits[0] + hits[1] + hits[2] == 5);
  }
}

TEST(the_pool_has_one_holder) {
  ThreadPool& pool = ThreadPool::instance();
  CHECK(pool.try_acquire());
  CHECK(!pool.try_acquire());
  pool.release();
}

TEST(a_run_works_alone_while_another_has_the_pool) {
  const Threads four(4);
  PoolLease first;
  CHECK(first.workers() == 4);
  {
    PoolLease second;
    CHECK(second.workers() == 1);  // the pool is taken
    const PoolLease none(false);
    CHECK(none.workers() == 1);
  }
}

TEST(a_run_beside_another_takes_half_of_the_threads) {
  const Threads four(4);
  std::optional<PoolLease> first(std::in_place), second(std::in_place);
  first.reset();
  PoolLease third;
  CHECK(third.workers() == 2);  // beside the second, which works alone
}

TEST(a_bad_label_stops_before_the_update) {
  Mlp<float> net({4, 3}, "softmax", 20);
  net.labels[11] = 3;
  const auto before = net.weights;
  CHECK(refuses([&] { net.train(20, 1, 0.1); }));
  CHECK(net.weights == before);
}

TEST(a_malformed_graph_is_refused) {
  Graph g;
  const int x = g.input(6);
  float w[12] = {};
  const int p = g.parameter(w, 3, 4, true);
  const auto dense = [&](int value, int kernel, int bias, index_t in, index_t out) {
    return network::dense(g, value, kernel, bias, in, out, "linear", {});
  };
  CHECK(refuses([&] { dense(7, p, -1, 3, 4); }));
  CHECK(refuses([&] { dense(x, 5, -1, 3, 4); }));
  CHECK(refuses([&] { dense(x, p, p, 3, 4); }));
  CHECK(refuses([&] { dense(x, p, -1, 4, 3); }));
  CHECK(refuses([&] { g.op({x, g.input(5)}, {}, {}, {"merge", {{"merge", "add"}}, {}, {}}); }));
  CHECK(refuses([&] { g.loss(0, LossSpec{}, 1, 1.0, "sum"); }));
  CHECK(g.ops.empty());
  CHECK(dense(x, p, -1, 3, 4) == 2);
  CHECK(g.values[2].size == 8);
  CHECK(g.flops_per_sample() == 48);
  CHECK(g.describe(0) == "v2 = dense(v0, p0) 3 -> 4 linear");
}

TEST(rows_are_gathered_from_any_layout) {
  const std::vector<int16_t> data = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  Source s = network::rows_of(data, 2, 'h');
  s.row_stride = 3 * s.item_size;
  s.rows = 3;
  const int64_t index[] = {2, 0, 2};
  const Kernels<float>& k = *active_implementation()->f32;
  std::array<float, 6> got{};
  gather(k, s, RowPicker{index, 0}, 3, got.data());
  CHECK(got == std::array<float, 6>{7, 8, 1, 2, 7, 8});
  s.row_stride = -3 * s.item_size;
  s.data += 6 * sizeof(int16_t);
  gather(k, s, RowPicker{nullptr, 1}, 2, got.data());
  CHECK(got[0] == 4 && got[3] == 2);
  std::array<int32_t, 4> labels{};
  s = network::rows_of(data, 1, 'h');
  CHECK(gather_labels(s, RowPicker{nullptr, 0}, 4, 5, std::nan(""), labels.data()));
  CHECK(labels == std::array<int32_t, 4>{1, 2, 3, 4});
  CHECK(!gather_labels(s, RowPicker{nullptr, 0}, 4, 4, std::nan(""), labels.data()));
  CHECK(gather_labels(s, RowPicker{nullptr, 0}, 4, 4, 4, labels.data()));
}

}  // namespace

CHECK_MAIN()
