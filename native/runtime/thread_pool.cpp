#include "thread_pool.hpp"

#include <csignal>
#include <cstdlib>
#include <utility>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "float_mode.hpp"

namespace densekit {
namespace {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr int kWorkerBits = 16;
uint64_t workers_of(uint64_t state) { return state & ((1 << kWorkerBits) - 1); }
uint64_t taken_in(uint64_t state) { return state >> kWorkerBits << 1; }  // what a worker's state is while it works
uint64_t done_in(uint64_t state) { return taken_in(state) + 1; }

// True until `ready` holds or the spinning time is over; then false.
template <class Ready>
bool spin_until(Ready ready) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
    if (std::chrono::steady_clock::now() - begin > ThreadPool::kSpin) return false;
  }
}

int initial_threads() {
  if (const char* wanted = std::getenv("DENSEKIT_THREADS")) {
    const int n = std::atoi(wanted);
    if (n >= 1) return n;
  }
  return usable_cores();
}

std::atomic<ThreadPool*> g_pool{nullptr};
std::atomic<int> g_threads{0};  // survives a fork

// The child has none of the parent's threads: forget the old pool, whatever state it was in.
void after_fork_in_child() { g_pool.store(nullptr, std::memory_order_relaxed); }

}  // namespace

int usable_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : static_cast<int>(n);
}

ThreadPool& ThreadPool::instance() {
  ThreadPool* pool = g_pool.load(std::memory_order_acquire);
  if (pool != nullptr) return *pool;
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);
  (void)registered;
#endif
  // Never destroyed: threads may still be parked when static destructors run.
  auto* fresh = new ThreadPool();
  if (g_pool.compare_exchange_strong(pool, fresh)) return *fresh;
  delete fresh;
  return *pool;
}

ThreadPool::ThreadPool() {
  int threads = g_threads.load();
  if (threads == 0) threads = initial_threads();
  g_threads.store(threads);
  threads_.store(threads);
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::set_threads(int n) {
  while (!try_acquire()) std::this_thread::yield();
  stop();
  threads_.store(n);
  g_threads.store(n);
  release();
}

void ThreadPool::start() {
  workers_ = std::vector<Worker>(static_cast<std::size_t>(threads()));
  started_.reserve(workers_.size() - 1);
#if defined(__unix__) || defined(__APPLE__)
  // Signals belong to the interpreter's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  try {
    for (int i = 1; i < threads(); ++i) started_.emplace_back([this, i] { work(i); });
  } catch (const std::exception&) {
    // Fewer threads than asked for: the work is done by those there are.
  }
#if defined(__unix__) || defined(__APPLE__)
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

void ThreadPool::stop() {
  stopping_.store(true);
  set_active(1 << 30);
  post(0);
  for (auto& thread : started_) thread.join();
  started_.clear();
  stopping_.store(false);
}

void ThreadPool::set_active(int n) {
  if (active_.load(std::memory_order_relaxed) == n) return;
  active_.store(n);
  active_.notify_all();
}

// Sequentially consistent, like what `ready` loads and what is stored before notify(): a thread that counts itself too
// late to be notified finds that it need not wait.
template <class Ready>
void ThreadPool::EventCount::wait_until(Ready ready) {
  sleepers.fetch_add(1);
  for (;;) {
    const int before = events.load();
    if (ready()) break;
    events.wait(before);
  }
  sleepers.fetch_sub(1);
}

void ThreadPool::EventCount::notify() {
  if (sleepers.load() == 0) return;
  events.fetch_add(1);
  events.notify_all();
}

// A region of so many workers.
uint64_t ThreadPool::post(int workers) {
  const uint64_t number = (region_.state.load(std::memory_order_relaxed) >> kWorkerBits) + 1;
  const uint64_t state = number << kWorkerBits | static_cast<uint64_t>(workers);
  region_.state.store(state);
  posted_.notify();
  return state;
}

// Works as one worker of the region, unless another thread does, or the region is over: then all its workers had begun.
void ThreadPool::work_as(int number, uint64_t state) {
  Worker& worker = workers_[static_cast<std::size_t>(number)];
  uint64_t before = worker.state.load(std::memory_order_relaxed);
  if (before >= taken_in(state)) return;
  if (!worker.state.compare_exchange_strong(before, taken_in(state), std::memory_order_acq_rel)) return;
  // The region cannot end before this worker does, so its body and context stay.
  try {
    region_.body.load(std::memory_order_relaxed)(region_.context.load(std::memory_order_relaxed), number);
  } catch (...) {
    if (!failed_.exchange(true)) failure_ = std::current_exception();
  }
  worker.state.store(done_in(state));
  finished_.notify();
}

void ThreadPool::work(int number) {
  FlushDenormals flush;
  uint64_t seen = 0;
  for (;;) {
    const int active = active_.load(std::memory_order_acquire);
    if (number >= active) {
      active_.wait(active, std::memory_order_acquire);
      continue;
    }
    const auto changed = [&] { return region_.state.load() != seen; };
    if (!spin_until(changed)) posted_.wait_until(changed);
    seen = region_.state.load(std::memory_order_acquire);
    if (static_cast<uint64_t>(number) < workers_of(seen)) work_as(number, seen);
    if (stopping_.load(std::memory_order_acquire)) return;
  }
}

void ThreadPool::run(int workers, Body body, void* context) {
  if (started_.empty() && threads() > 1) start();
  region_.body.store(body, std::memory_order_relaxed);
  region_.context.store(context, std::memory_order_relaxed);
  const uint64_t state = post(workers);
  for (int worker = 0; worker < workers; ++worker) work_as(worker, state);
  for (int worker = 1; worker < workers; ++worker) {
    const auto done = [&] { return workers_[static_cast<std::size_t>(worker)].state.load() == done_in(state); };
    if (!spin_until(done)) finished_.wait_until(done);
  }
  if (!failed_.load(std::memory_order_relaxed)) return;
  failed_.store(false);
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace densekit
