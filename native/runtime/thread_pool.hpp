// A persistent pool. A region is one call of a function for each worker: thread n is worker n, the caller worker 0, and then
// every worker whose thread is late, so that a region never waits for a thread that has not begun.
//
// What the threads let each other know crosses between cores, 30 to 160 ns a time: a region is posted in one cache line, and
// each worker has one of its own, which stays with its thread. Zen 4, two threads, one row through 784-128-64-10 in one region:
// 3.6 us, with common counts of workers begun and done 3.8 us; on cores that share no L3 5.1 and 5.7 us.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace densekit {

int usable_cores();  // cores this process may run on

class ThreadPool {
 public:
  // A thread of the pool spins this long before it parks. Longer than the gap between two regions of a chunk (about 1 us), short
  // against a time slice; waking a parked thread costs the caller 2-5 us.
  static constexpr auto kSpin = std::chrono::microseconds(40);

  using Body = void (*)(void* context, int worker);

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

  // Only the first n threads (the caller is the first) take part; the others sleep. Only by the holder.
  void set_active(int n);

  // Calls body(context, worker) for each of so many workers, no more than there are threads, and throws what one of them threw
  // when all have ended. Only by the holder of the pool.
  void run(int workers, Body body, void* context);

  ThreadPool();
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

 private:
  // An event count: where threads sleep. Whoever changes what they wait for notifies, which writes nothing unless one sleeps.
  // (Waiting on the 64-bit states themselves would not do: then libstdc++ writes to a common line at every notification.)
  struct alignas(64) EventCount {
    template <class Ready>
    void wait_until(Ready ready);
    void notify();
    std::atomic<int> sleepers{0}, events{0};
  };
  // What a thread needs to join a region; `state` is its number and its workers, written last.
  struct alignas(64) Region {
    std::atomic<uint64_t> state{0};
    std::atomic<Body> body{nullptr};
    std::atomic<void*> context{nullptr};
  };
  // The latest region in which some thread was this worker: twice its number, and one more when it was done.
  struct alignas(64) Worker {
    std::atomic<uint64_t> state{0};
  };

  void work(int number);
  uint64_t post(int workers);
  void work_as(int worker, uint64_t state);
  void start();
  void stop();

  Region region_;
  std::vector<Worker> workers_;
  EventCount posted_, finished_;
  std::atomic<bool> failed_{false};  // in this region
  std::exception_ptr failure_;       // the first
  std::vector<std::thread> started_;
  // Threads read these all the time, and they hardly ever change;
  alignas(64) std::atomic<bool> stopping_{false};
  std::atomic<int> active_{1 << 30};  // what threads without leave to work wait on
  std::atomic<int> threads_{1};
  // these change with every run.
  alignas(64) std::atomic<bool> held_{false};
  std::atomic<int> callers_{0};
};

// The right to split work, for the life of the object. `workers()` is 1 when the pool is busy with another run, and the
// threads are shared with runs on other threads of the caller's: more threads than cores would only take turns. Two Python
// threads, 64 rows of 784-128-64-10 on two cores: 14,300 calls a second; 11,900 when one of them had a thread of the pool as well.
class PoolLease {
 public:
  explicit PoolLease(bool wanted = true) {
    if (!wanted) return;
    all_ = &ThreadPool::instance();
    const int callers = all_->enter();
    if (all_->threads() / callers <= 1 || !all_->try_acquire()) return;
    pool_ = all_;
    of_this_thread_ = this;
    limit(std::max(1, all_->threads() / callers));  // set_threads may have been first
  }
  ~PoolLease() {
    if (pool_ != nullptr) {
      of_this_thread_ = nullptr;
      pool_->release();
    }
    if (all_ != nullptr) all_->leave();
  }
  PoolLease(const PoolLease&) = delete;
  PoolLease& operator=(const PoolLease&) = delete;

  // That of a run on this thread; null: there is none. No region calls Python, so that who asks from there is between two.
  static PoolLease* of_this_thread() { return of_this_thread_; }

  int workers() const { return limit_; }
  // No more than n of them from now on.
  void limit(int n) {
    if (pool_ == nullptr) return;
    limit_ = n;
    pool_->set_active(n);
  }

  // body(worker) for every worker; thread n is worker n, so that what a worker works on stays in that thread's cache.
  template <class F>
  void run_workers(int workers, bool parallel, F&& body) {
    if (limit_ == 1 || !parallel || workers == 1) {
      for (int worker = 0; worker < workers; ++worker) body(worker);
      return;
    }
    const int most = pool_->threads();
    for (int first = 0; first < workers; first += most) {
      const auto call = [&](int worker) { body(first + worker); };
      pool_->run(
          std::min(most, workers - first), [](void* f, int worker) { (*static_cast<decltype(call)*>(f))(worker); },
          const_cast<void*>(static_cast<const void*>(&call)));
    }
  }

  // body(item) for every item, each by whichever thread is free; split over the pool when `parallel`.
  template <class F>
  void run(int items, bool parallel, F&& body) {
    if (limit_ == 1 || !parallel || items <= 1) {
      for (int i = 0; i < items; ++i) body(i);
      return;
    }
    std::atomic<int> next{0};
    run_workers(std::min(limit_, items), true, [&](int) {
      for (int i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items;) body(i);
    });
  }

 private:
  ThreadPool* all_ = nullptr;   // where this run counts as one
  ThreadPool* pool_ = nullptr;  // null: it works alone
  int limit_ = 1;
  inline static thread_local PoolLease* of_this_thread_ = nullptr;
};

}  // namespace densekit
