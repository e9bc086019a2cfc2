// Runs of many plans at the same time, each on one thread.
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>

#include <csignal>
#endif

#include "plan.hpp"
#include "runtime/host.hpp"
#include "runtime/thread_pool.hpp"

namespace densekit::bindings {

struct Abandoned : std::runtime_error {
  Abandoned() : std::runtime_error("The run was given up.") {}
};

// What a run asks that asks nothing but whether it is still wanted.
class Wanted final : public Host {
 public:
  explicit Wanted(const std::atomic<bool>& given_up) : given_up_(given_up) {}
  double forward(int, bool, index_t, const std::vector<const void*>&, const std::vector<void*>&) override { fail(); }
  HostGradients backward(int, index_t, const std::vector<const void*>&) override { fail(); }
  double loss(int, const int64_t*, index_t, const void*, const void*, bool, const void**) override { fail(); }
  double regularizer(int, const void**) override { fail(); }
  void constraint(int) override { fail(); }
  void optimize(int64_t, double, const std::vector<const void*>&) override { fail(); }
  void check_signals() override {
    if (given_up_.load(std::memory_order_relaxed)) throw Abandoned();
  }

 private:
  [[noreturn]] static void fail() { throw std::logic_error("The plan calls Python."); }
  const std::atomic<bool>& given_up_;
};

// A run of a plan, checked, with all that it reads and writes.
class PreparedRun {
 public:
  PreparedRun(nb::object plan, Request request, bool training, nb::tuple arrays)
      : owner_(std::move(plan)),
        plan_(*nb::inst_ptr<Plan>(owner_)),
        arrays_(std::move(arrays)),
        request_(std::move(request)),
        training_(training) {
    if (plan_.asks_host()) throw nb::value_error("The plan calls Python: it runs by `train` or `evaluate` alone.");
  }
  PreparedRun(const PreparedRun&) = delete;
  PreparedRun& operator=(const PreparedRun&) = delete;

  // Without the GIL. Returns the steps done.
  index_t run(Host& host) {
    Engine& engine = plan_.running();
    request_.host = &host;
    return training_ ? engine.train(request_) : engine.evaluate(request_);
  }

 private:
  nb::object owner_;
  Plan& plan_;
  nb::tuple arrays_;  // kept
  Request request_;
  bool training_;
};

namespace {

PreparedRun* prepare_train(nb::object self, nb::list inputs, nb::list targets, nb::list weights, nb::object index,
                           index_t batch_size, Iterations iterations, nb::object learning_rates,
                           std::vector<uint64_t> keys, std::vector<uint64_t> counters, nb::object losses,
                           nb::list predictions) {
  Request request = nb::inst_ptr<Plan>(self)->training_request(inputs, targets, weights, index, batch_size,
                                                               std::move(iterations), learning_rates, std::move(keys),
                                                               std::move(counters), losses, predictions);
  nb::tuple arrays = nb::make_tuple(inputs, targets, weights, index, learning_rates, losses, predictions);
  return new PreparedRun(std::move(self), std::move(request), true, std::move(arrays));
}

PreparedRun* prepare_evaluate(nb::object self, nb::list inputs, nb::list targets, nb::list weights, nb::object index,
                              index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                              nb::object losses, nb::list predictions) {
  Request request = nb::inst_ptr<Plan>(self)->test_request(inputs, targets, weights, index, batch_size, std::move(keys),
                                                           std::move(counters), losses, predictions);
  nb::tuple arrays = nb::make_tuple(inputs, targets, weights, index, losses, predictions);
  return new PreparedRun(std::move(self), std::move(request), false, std::move(arrays));
}

// The Python exception that a function would have thrown this as.
nb::object as_exception(const std::exception_ptr& failure) {
  const auto make = [](PyObject* type, const char* what) { return nb::borrow(type)(what); };
  try {
    std::rethrow_exception(failure);
  } catch (const nb::builtin_exception& error) {
    return make(PyExc_ValueError, error.what());
  } catch (const std::bad_alloc& error) {
    return make(PyExc_MemoryError, error.what());
  } catch (const std::out_of_range& error) {
    return make(PyExc_IndexError, error.what());
  } catch (const std::logic_error& error) {
    return make(PyExc_ValueError, error.what());
  } catch (const std::exception& error) { return make(PyExc_RuntimeError, error.what()); }
}

// Plans that run inside have one thread each, however many the pool has.
class Crowd {
 public:
  Crowd() : pool_(ThreadPool::instance()), count_(pool_.threads()) {
    for (int i = 0; i < count_; ++i) pool_.enter();
  }
  ~Crowd() {
    for (int i = 0; i < count_; ++i) pool_.leave();
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

 private:
  ThreadPool& pool_;
  int count_;
};

// Threads that take runs as they come, while Python prepares others and looks at the results of those that are done: it
// neither waits for them nor do they for it.
class RunQueue {
 public:
  explicit RunQueue(int threads) : count_(threads) {
    if (threads < 1) throw nb::value_error("RunQueue: expected 1 thread or more.");
  }
  ~RunQueue() { close(); }
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  void submit(nb::object run) {
    auto job = std::make_unique<Job>();
    job->run = nb::cast<PreparedRun*>(run);
    job->owner = std::move(run);
    if (threads_.empty()) start();
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(job));
      ++under_way_;
    }
    submitted_.notify_one();
  }

  // Those that are done, at least one if any is under way: each with its steps, or what it failed with.
  nb::list collect() {
    std::deque<std::unique_ptr<Job>> found;
    while (under_way_ > 0 && found.empty()) {
      {
        nb::gil_scoped_release no_gil;
        std::unique_lock lock(mutex_);
        finished_.wait_for(lock, kSignalPeriod, [&] { return !done_.empty(); });
        found.swap(done_);
      }
      if (found.empty() && PyErr_CheckSignals() != 0) nb::raise_python_error();
    }
    under_way_ -= static_cast<int>(found.size());
    nb::list results;
    for (auto& job : found) {
      nb::object result = job->failure ? as_exception(job->failure) : nb::cast(job->steps);
      results.append(nb::make_tuple(job->owner, result));
    }
    return results;
  }

  // Runs that wait are dropped, the others given up soon.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      given_up_.store(true);
      waiting_.clear();
    }
    submitted_.notify_all();
    {
      nb::gil_scoped_release no_gil;
      for (auto& thread : threads_) thread.join();
    }
    threads_.clear();
    done_.clear();
    under_way_ = 0;
  }

 private:
  static constexpr auto kSignalPeriod = std::chrono::milliseconds(100);  // a user's Ctrl-C is noticed this soon
  struct Job {
    nb::object owner;  // dropped with the GIL alone
    PreparedRun* run = nullptr;
    index_t steps = 0;
    std::exception_ptr failure;
  };

  void start() {
    given_up_.store(false);
#if defined(__unix__) || defined(__APPLE__)
    sigset_t all, before;  // signals belong to the interpreter's threads
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    for (int i = 0; i < count_; ++i) threads_.emplace_back([this] { work(); });
#if defined(__unix__) || defined(__APPLE__)
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
  }

  void work() {
    Wanted wanted(given_up_);
    std::unique_lock lock(mutex_);
    for (;;) {
      submitted_.wait(lock, [&] { return given_up_.load() || !waiting_.empty(); });
      if (given_up_.load()) return;
      std::unique_ptr<Job> job = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      try {
        const Crowd crowd;
        job->steps = job->run->run(wanted);
      } catch (...) { job->failure = std::current_exception(); }
      lock.lock();
      done_.push_back(std::move(job));
      finished_.notify_one();
    }
  }

  const int count_;
  int under_way_ = 0;  // with the GIL alone
  std::mutex mutex_;
  std::condition_variable submitted_, finished_;
  std::deque<std::unique_ptr<Job>> waiting_, done_;
  std::atomic<bool> given_up_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

void bind_many(nb::module_& m, nb::class_<Plan>& c) {
  nb::class_<PreparedRun>(m, "PreparedRun", "A run of a plan, checked, with all that it reads and writes.");
  c.def(
      "prepare_train", prepare_train, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("index"),
      nb::arg("batch_size"), nb::arg("iterations"), nb::arg("learning_rates"), nb::arg("keys"), nb::arg("counters"),
      nb::arg("losses"), nb::arg("predictions"),
      nb::sig("def prepare_train(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
              "index: Array, batch_size: int, iterations: int | Sequence[int], learning_rates: Array, keys: "
              "Sequence[int], counters: Sequence[int], losses: Array, predictions: list[Array | None]) "
              "-> PreparedRun"),
      "What `train` would run, for `run_many`.");
  c.def("prepare_evaluate", prepare_evaluate, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"),
        nb::arg("index"), nb::arg("batch_size"), nb::arg("keys"), nb::arg("counters"), nb::arg("losses"),
        nb::arg("predictions"),
        nb::sig("def prepare_evaluate(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | "
                "None], index: Array, batch_size: int, keys: Sequence[int], counters: Sequence[int], losses: Array, "
                "predictions: list[Array | None]) -> PreparedRun"),
        "What `evaluate` would run, for `run_many`.");
  c.def_prop_ro("asks_host", &Plan::asks_host, "Whether a run calls Python.");
  nb::class_<RunQueue>(m, "RunQueue", "Threads that take runs of different plans as they come, each on one thread.")
      .def(nb::init<int>(), nb::arg("threads"))
      .def("submit", &RunQueue::submit, nb::arg("run"), nb::sig("def submit(self, run: PreparedRun) -> None"),
           "Have it run as soon as a thread is free.")
      .def("collect", &RunQueue::collect, nb::sig("def collect(self) -> list[tuple[PreparedRun, int | Exception]]"),
           "Those that are done, at least one if any is under way: steps, or what a run failed with.")
      .def("close", &RunQueue::close, "Give up what is under way, and end the threads.");
}

}  // namespace densekit::bindings
