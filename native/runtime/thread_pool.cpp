#include "thread_pool.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "float_mode.hpp"

namespace densekit {
namespace {

// A worker spins this long before it parks. Longer than the gap between two regions of a chunk (about 1 us), short
// against a time slice; waking a parked thread costs the caller 2-5 us.
constexpr auto kSpin = std::chrono::microseconds(40);

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

uint32_t items_of(uint64_t state) { return static_cast<uint32_t>(state >> 16) & 0xFFFF; }
uint32_t next_of(uint64_t state) { return static_cast<uint32_t>(state) & 0xFFFF; }

// True until `ready` holds or the spinning time is over; then false.
template <class Ready>
bool spin_until(Ready ready) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
    if (std::chrono::steady_clock::now() - begin > kSpin) return false;
  }
}

int initial_threads() {
  if (const char* wanted = std::getenv("DENSEKIT_THREADS")) {
    const int n = std::atoi(wanted);
    if (n >= 1) return n;
  }
  return usable_cores();
}

thread_local int t_worker = 0;

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
  workers_.reserve(static_cast<std::size_t>(threads()) - 1);
#if defined(__unix__) || defined(__APPLE__)
  // Signals belong to the interpreter's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  try {
    for (int i = 1; i < threads(); ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
    // Fewer threads than asked for: the work is done by those there are.
  }
#if defined(__unix__) || defined(__APPLE__)
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

void ThreadPool::stop() {
  stopping_.store(true);
  set_active(1 << 30);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (auto& worker : workers_) worker.join();
  workers_.clear();
  stopping_.store(false);
}

void ThreadPool::set_active(int n) {
  if (active_.exchange(n, std::memory_order_acq_rel) != n) active_.notify_all();
}

bool ThreadPool::take_item() {
  uint64_t state = state_.load(std::memory_order_acquire);
  if (next_of(state) >= items_of(state)) return false;
  if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) return true;
  // The region cannot end before this item does, so its body and context stay.
  body_(context_, static_cast<int>(next_of(state)));
  if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == items_of(state)) done_.notify_one();
  return true;
}

int ThreadPool::worker() { return t_worker; }

void ThreadPool::work(int number) {
  t_worker = number;
  FlushDenormals flush;
  for (;;) {
    const int active = active_.load(std::memory_order_acquire);
    if (number >= active) {
      active_.wait(active, std::memory_order_acquire);
      continue;
    }
    const uint32_t epoch = epoch_.load(std::memory_order_acquire);
    while (take_item()) {
    }
    if (stopping_.load(std::memory_order_acquire)) return;
    const auto changed = [&] { return epoch_.load(std::memory_order_acquire) != epoch; };
    if (!spin_until(changed)) epoch_.wait(epoch, std::memory_order_acquire);
  }
}

void ThreadPool::run(int items, Body body, void* context) {
  if (workers_.empty() && threads() > 1) start();
  body_ = body;
  context_ = context;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (state_.load(std::memory_order_relaxed) >> 32) + 1;
  state_.store(epoch << 32 | static_cast<uint64_t>(items) << 16, std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  epoch_.notify_all();
  while (take_item()) {
  }
  const auto all = static_cast<uint32_t>(items);
  const auto finished = [&] { return done_.load(std::memory_order_acquire) == all; };
  if (spin_until(finished)) return;
  for (uint32_t done; (done = done_.load(std::memory_order_acquire)) != all;) done_.wait(done, std::memory_order_acquire);
}

}  // namespace densekit
