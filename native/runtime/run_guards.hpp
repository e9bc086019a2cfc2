// What a run holds while it runs.
#pragma once
#include <atomic>
#include <stdexcept>

#include "graph.hpp"

namespace densekit {

// The plan has one workspace: one training or testing run at a time.
class RunGuard {
 public:
  explicit RunGuard(std::atomic<bool>& running) : running_(running) {
    if (running_.exchange(true)) throw std::runtime_error("The plan is already running; wait for that run to end.");
  }
  ~RunGuard() { running_.store(false); }
  RunGuard(const RunGuard&) = delete;
  RunGuard& operator=(const RunGuard&) = delete;

 private:
  std::atomic<bool>& running_;
};

// Counts a run that writes to the trainable parameters and to state, in their write versions.
class WriteGuard {
 public:
  WriteGuard(const Graph& graph, bool writes) : graph_(graph), writes_(writes) {
    each([](WriteVersion& version) { ++version.writers; });
  }
  ~WriteGuard() {
    each([](WriteVersion& version) { ++version.writes, --version.writers; });
  }
  WriteGuard(const WriteGuard&) = delete;
  WriteGuard& operator=(const WriteGuard&) = delete;

 private:
  template <class F>
  void each(F f) const {
    for (const Parameter& p : graph_.parameters) {
      if (writes_ && (p.trainable || p.is_state) && p.write_version != nullptr) f(*p.write_version);
    }
  }
  const Graph& graph_;
  const bool writes_;
};

}  // namespace densekit
