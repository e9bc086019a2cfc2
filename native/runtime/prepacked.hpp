// Weights prepacked for inference: kernels that no core's cache holds, in panels, and those of products in bfloat16,
// packed for them. A copy is made when the weights have stayed as they are for kStableCalls calls and dropped at the first
// call after one of them changed: a model that is trained more often than that has none. Why: docs/decisions/0018.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "graph.hpp"
#include "packed.hpp"
#include "program.hpp"
#include "weight_store.hpp"

namespace densekit {

template <class T>
class PrepackedWeights {
 public:
  struct Copy {
    explicit Copy(index_t bytes);
    ~Copy();
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;
    WeightStore<T> panels;
    PackedOperands<T> packed;
    const index_t bytes;
  };

  void prepare(const Graph& graph, const Program& program, const Kernels<T>* kernels);
  // The copy of the weights as they are, or null. Any number of threads at once; nobody waits for another.
  std::shared_ptr<Copy> latest() { return watched_.empty() ? nullptr : find(); }
  index_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // of the copy there is

 private:
  struct State {
    int64_t writes, assigned;
    bool operator==(const State&) const = default;
  };
  std::shared_ptr<Copy> find();
  // Whether all watched parameters are as `seen_` says, with nobody writing; brings `seen_` up to date if not.
  bool unchanged();
  std::shared_ptr<Copy> make() const;

  const Graph* graph_ = nullptr;
  const Program* program_ = nullptr;
  const Kernels<T>* kernels_ = nullptr;
  Moves moves_;
  bool packs_ = false;        // products in bfloat16
  std::vector<int> watched_;  // parameters in the copy
  index_t all_bytes_ = 0;     // of a copy
  std::atomic<index_t> bytes_{0};

  std::atomic<bool> busy_{false};  // a thread is at what follows
  std::vector<State> seen_;        // per watched parameter
  int calls_ = 0;                  // since they changed
  std::shared_ptr<Copy> copy_;
};

}  // namespace densekit
