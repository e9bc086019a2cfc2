// Runs of many plans at the same time: each alone on one thread, the threads of the pool side by side.
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <exception>
#include <new>
#include <stdexcept>

#include "plan.hpp"
#include "python_host.hpp"
#include "runtime/thread_pool.hpp"

namespace densekit::bindings {

// A run of a plan, checked, with all that it reads and writes.
class PreparedRun {
 public:
  PreparedRun(nb::object plan, Request request, nb::object targets, nb::object weights, bool training, nb::tuple arrays)
      : owner_(std::move(plan)),
        plan_(*nb::inst_ptr<Plan>(owner_)),
        arrays_(std::move(arrays)),
        host_(plan_, std::move(targets), std::move(weights)),
        request_(std::move(request)),
        training_(training) {
    if (plan_.asks_host()) throw nb::value_error("The plan calls Python: it runs by `train` or `evaluate` alone.");
    request_.host = &host_;  // for Ctrl-C
  }
  PreparedRun(const PreparedRun&) = delete;
  PreparedRun& operator=(const PreparedRun&) = delete;

  // Without the GIL. Returns the steps done.
  index_t run() {
    Engine& engine = plan_.running();
    return training_ ? engine.train(request_) : engine.evaluate(request_);
  }
  const Plan& plan() const { return plan_; }

 private:
  nb::object owner_;
  Plan& plan_;
  nb::tuple arrays_;  // kept
  PythonHost host_;
  Request request_;
  bool training_;
};

namespace {

PreparedRun* prepare_train(nb::object self, nb::list inputs, nb::list targets, nb::list weights, nb::object index,
                           index_t batch_size, Iterations iterations, nb::object learning_rates,
                           std::vector<uint64_t> keys, std::vector<uint64_t> counters, nb::object losses,
                           nb::list predictions, double seconds) {
  Request request = nb::inst_ptr<Plan>(self)->training_request(
      inputs, targets, weights, index, batch_size, std::move(iterations), learning_rates, std::move(keys),
      std::move(counters), losses, predictions, seconds);
  nb::tuple arrays = nb::make_tuple(inputs, targets, weights, index, learning_rates, losses, predictions);
  return new PreparedRun(std::move(self), std::move(request), targets, weights, true, std::move(arrays));
}

PreparedRun* prepare_evaluate(nb::object self, nb::list inputs, nb::list targets, nb::list weights, nb::object index,
                              index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                              nb::object losses, nb::list predictions, double seconds) {
  Request request =
      nb::inst_ptr<Plan>(self)->test_request(inputs, targets, weights, index, batch_size, std::move(keys),
                                             std::move(counters), losses, predictions, seconds);
  nb::tuple arrays = nb::make_tuple(inputs, targets, weights, index, losses, predictions);
  return new PreparedRun(std::move(self), std::move(request), targets, weights, false, std::move(arrays));
}

// The Python exception that a function would have thrown this as.
nb::object as_exception(const std::exception_ptr& failure) {
  const auto make = [](PyObject* type, const char* what) { return nb::borrow(type)(what); };
  try {
    std::rethrow_exception(failure);
  } catch (nb::python_error& error) {
    return nb::borrow(error.value());
  } catch (const nb::builtin_exception& error) {
    return make(PyExc_ValueError, error.what());
  } catch (const std::bad_alloc& error) {
    return make(PyExc_MemoryError, error.what());
  } catch (const std::out_of_range& error) {
    return make(PyExc_IndexError, error.what());
  } catch (const std::logic_error& error) {
    return make(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    return make(PyExc_RuntimeError, error.what());
  }
}

// Runs each, and gives the steps it has done, or what it failed with. One alone has all threads, as by `train`.
nb::list run_many(const nb::list& list) {
  std::vector<PreparedRun*> runs;
  for (nb::handle one : list) runs.push_back(nb::cast<PreparedRun*>(one));
  std::vector<const Plan*> plans;
  for (const PreparedRun* run : runs) plans.push_back(&run->plan());
  std::sort(plans.begin(), plans.end());
  if (std::adjacent_find(plans.begin(), plans.end()) != plans.end())
    throw nb::value_error("run_many: a plan has one run at a time.");
  std::vector<index_t> done(runs.size(), 0);
  std::vector<std::exception_ptr> failures(runs.size());
  {
    nb::gil_scoped_release no_gil;
    const bool several = runs.size() > 1;
    PoolLease pool(several);
    std::atomic<bool> interrupted{false};
    pool.run(static_cast<int>(runs.size()), several, [&](int number) {
      const auto i = static_cast<std::size_t>(number);
      if (interrupted.load(std::memory_order_relaxed)) return;
      try {
        done[i] = runs[i]->run();
      } catch (const nb::python_error&) {  // of a signal: nothing else calls Python
        failures[i] = std::current_exception();
        interrupted.store(true, std::memory_order_relaxed);
      } catch (...) { failures[i] = std::current_exception(); }
    });
  }
  nb::list results;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (failures[i]) results.append(as_exception(failures[i]));
    else results.append(done[i]);
  }
  return results;
}

}  // namespace

void bind_many(nb::module_& m, nb::class_<Plan>& c) {
  nb::class_<PreparedRun>(m, "PreparedRun", "A run of a plan, checked, with all that it reads and writes.");
  c.def("prepare_train", prepare_train, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"), nb::arg("index"),
        nb::arg("batch_size"), nb::arg("iterations"), nb::arg("learning_rates"), nb::arg("keys"), nb::arg("counters"),
        nb::arg("losses"), nb::arg("predictions"), nb::arg("seconds") = 0.0,
        nb::sig("def prepare_train(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | None], "
                "index: Array, batch_size: int, iterations: int | Sequence[int], learning_rates: Array, keys: "
                "Sequence[int], counters: Sequence[int], losses: Array, predictions: list[Array | None], seconds: "
                "float = 0.0) -> PreparedRun"),
        "What `train` would run, for `run_many`.");
  c.def("prepare_evaluate", prepare_evaluate, nb::arg("inputs"), nb::arg("targets"), nb::arg("weights"),
        nb::arg("index"), nb::arg("batch_size"), nb::arg("keys"), nb::arg("counters"), nb::arg("losses"),
        nb::arg("predictions"), nb::arg("seconds") = 0.0,
        nb::sig("def prepare_evaluate(self, inputs: list[Array], targets: list[Array | None], weights: list[Array | "
                "None], index: Array, batch_size: int, keys: Sequence[int], counters: Sequence[int], losses: Array, "
                "predictions: list[Array | None], seconds: float = 0.0) -> PreparedRun"),
        "What `evaluate` would run, for `run_many`.");
  c.def_prop_ro("asks_host", &Plan::asks_host, "Whether a run calls Python.");
  m.def("run_many", run_many, nb::arg("runs"),
        nb::sig("def run_many(runs: list[PreparedRun]) -> list[int | BaseException]"),
        "Runs of different plans, each on one thread, all at once: steps done, or what a run failed with.");
}

}  // namespace densekit::bindings
