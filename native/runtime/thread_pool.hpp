// A persistent pool. A region is `items` calls of one function; whoever is free takes the next item, the caller
// included, so a region never waits for a thread that has not begun.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace densekit {

int usable_cores();  // cores this process may run on

class ThreadPool {
 public:
  using Body = void (*)(void* context, int item);

  // The process's pool; a forked child gets a fresh one.
  static ThreadPool& instance();

  int threads() const { return threads_.load(std::memory_order_relaxed); }
  void set_threads(int n);  // waits until no run holds the pool

  // Runs under way, each on a caller's thread of its own; returns how many there are now.
  int enter() { return callers_.fetch_add(1, std::memory_order_relaxed) + 1; }
  void leave() { callers_.fetch_sub(1, std::memory_order_relaxed); }

  // One plan run holds the pool at a time; others work alone on their own thread.
  bool try_acquire() { return !held_.exchange(true, std::memory_order_acquire); }
  void release() { held_.store(false, std::memory_order_release); }

  // Only the first n threads (the caller is the first) take items; the others sleep. Only by the holder.
  void set_active(int n);

  // Calls body(context, i) for i in [0, items). Only by the holder of the pool.
  void run(int items, Body body, void* context);

  ThreadPool();
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // 0 on a caller's thread, 1.. on the pool's own: the same thread has the same number in every region.
  static int worker();

  static constexpr int kMaxItems = 0xFFFF;

 private:
  void work(int number);
  bool take_item();
  void start();
  void stop();

  // epoch << 32 | items << 16 | next: one word, so that an item is taken from the region it belongs to or not at all.
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};  // what parked threads wait on
  std::atomic<bool> stopping_{false};
  std::atomic<bool> held_{false};
  std::atomic<int> callers_{0};
  std::atomic<int> threads_{1};
  std::atomic<int> active_{1 << 30};  // what threads without leave to work wait on
  Body body_ = nullptr;
  void* context_ = nullptr;
  std::vector<std::thread> workers_;
};

// The right to split work, for the life of the object. `workers()` is 1 when the pool is busy with another run, and the
// threads are shared with runs on other threads of the caller's: more threads than cores would only take turns. Two Python
// threads, 64 rows of 784-128-64-10 on two cores: 14,300 calls a second; 11,900 when one of them had a thread of the pool as well.
class PoolLease {
 public:
  explicit PoolLease(bool wanted = true) {
    if (!wanted) return;
    all_ = &ThreadPool::instance();
    const int share = all_->threads() / all_->enter();
    if (share <= 1 || !all_->try_acquire()) return;
    pool_ = all_;
    limit(share);
  }
  ~PoolLease() {
    if (pool_ != nullptr) pool_->release();
    if (all_ != nullptr) all_->leave();
  }
  PoolLease(const PoolLease&) = delete;
  PoolLease& operator=(const PoolLease&) = delete;

  int workers() const { return limit_; }
  // No more than n of them from now on.
  void limit(int n) {
    if (pool_ == nullptr) return;
    limit_ = n;
    pool_->set_active(n);
  }

  // body(lane) for every lane. Thread n takes lane n, so that what a lane works on stays in that thread's cache; a lane
  // whose thread is late goes to another.
  template <class F>
  void run_lanes(int lanes, bool parallel, F&& body) {
    if (limit_ == 1 || !parallel || lanes == 1) {
      for (int lane = 0; lane < lanes; ++lane) body(lane);
      return;
    }
    if (taken_.size() < static_cast<std::size_t>(lanes)) taken_ = std::vector<std::atomic<bool>>(static_cast<std::size_t>(lanes));
    for (auto& taken : taken_) taken.store(false, std::memory_order_relaxed);
    run(lanes, true, [&](int) {
      int lane = ThreadPool::worker() % lanes;
      while (taken_[static_cast<std::size_t>(lane)].exchange(true, std::memory_order_relaxed)) lane = (lane + 1) % lanes;
      body(lane);
    });
  }

  // body(item) for every item; split over the pool when `parallel`.
  template <class F>
  void run(int items, bool parallel, F&& body) {
    if (limit_ == 1 || !parallel || items <= 1) {
      for (int i = 0; i < items; ++i) body(i);
      return;
    }
    using Function = std::remove_reference_t<F>;
    pool_->run(items, [](void* f, int item) { (*static_cast<Function*>(f))(item); },
               const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  ThreadPool* all_ = nullptr;   // where this run counts as one
  ThreadPool* pool_ = nullptr;  // null: it works alone
  int limit_ = 1;
  std::vector<std::atomic<bool>> taken_;  // per lane of a region
};

}  // namespace densekit
