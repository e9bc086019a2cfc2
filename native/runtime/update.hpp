// From the gradients of a batch to new weights. The work is cut into items - a block of rows of one weight matrix -
// each done by one thread: dW = X^T dZ, penalty, optimizer, constraint, while the block is in the cache. Parameters
// whose gradient must be whole first (clipping by norm, accumulation, a host's optimizer ...) take a second pass.
#pragma once
#include <vector>

#include "buffer.hpp"
#include "context.hpp"
#include "float_mode.hpp"
#include "host.hpp"
#include "thread_pool.hpp"

namespace densekit {

struct UpdateStep {
  // Per optimizer. Calls before this one: with accumulation several make one update.
  const int64_t* iterations = nullptr;
  const double* learning_rates = nullptr;
  index_t batch = 0;
  Host* host = nullptr;
  const FlushDenormals* flush = nullptr;
  const std::vector<HostGradients>* host_gradients = nullptr;  // per host node
  const std::vector<const void*>* given = nullptr;  // per trainable parameter: its gradient, in place of the graph's
  double loss_scale = 1;                            // the graph's gradients are so many times too large
};

template <class T>
class Updater {
 public:
  void prepare(const Graph& graph, const Kernels<T>* kernels);
  // Cuts the work into items, anew when weights have moved.
  void cut(const WeightStore<T>& moved);
  // The update of this parameter looks at each weight alone, so that the weights may lie anywhere ...
  bool may_move(int parameter) const;
  // ... and its gradient is one product, so that the units may lie apart.
  bool may_lie_in_panels(int parameter) const;
  // Updates every trainable parameter; returns the penalties, taken before the update. With a dynamic loss scale gradients
  // that are not finite change nothing but the scale: then `left_out` becomes true.
  double update(const Context<T>& context, const UpdateStep& step, PoolLease& pool, bool* left_out);
  // The gradients alone, penalties' included; gradients[p] per trainable parameter.
  double gradients(const Context<T>& context, const UpdateStep& step, const std::vector<T*>& gradients);
  // The penalties of the present weights.
  double penalties(Host* host, const FlushDenormals& flush) const;
  int64_t elements() const { return elements_; }

 private:
  enum class Role { kernel, bias, op, host };
  struct Contribution {
    Role role;
    int op;
    std::size_t slot;  // op, host: position among the op's parameters
  };
  struct Work {  // a parameter and how it is treated
    int id = 0;
    bool buffered = false;  // the gradient is needed whole
    bool clamp = false;     // constraint folded into the update
    bool constrained_after = false;
    std::vector<Contribution> contributions;
    std::vector<std::size_t> sources;  // inputs of formulas that it is
    T* gradient = nullptr;             // buffered
    T clip_scale = 1;
    const T* host_gradient = nullptr;  // of its host regularizer
    double host_penalty = 0;
  };
  // Rows of a parameter, or of one panel of it, and where they lie.
  struct Block {
    index_t row = 0, rows = 0, unit = 0, units = 0;
    T* weights = nullptr;
    T* slots[3] = {nullptr, nullptr, nullptr};
    T* ema = nullptr;
    index_t size() const { return rows * units; }
  };
  struct Item {
    std::size_t work;
    Block block;
    int owner = -1;      // the thread that owns the weights; -1: none
    bool counts = true;  // false: the copies of other threads, whose penalty is the same
    double penalty = 0;
    bool finite = true;  // its gradient
  };
  // An optimizer, as it is in this step.
  struct Rule {
    OptimizerSpec spec;
    Update<T> update;  // what all its updates have in common
    int64_t iteration = 0;
    bool updates = true;  // false: gradients are only accumulated
  };

  void find_contributions(Work& work) const;
  index_t item_rows(const Work& work, index_t width) const;
  void take_formulas_back(const Context<T>& c, const UpdateStep& step, PoolLease* pool) const;
  const Work* find_work(int parameter) const;  // null: not trainable
  void cut_items(std::size_t work, const Panel<T>* panel, bool counts);
  void assign_items(int workers);
  static Block block_of(const Parameter& p, const Panel<T>* panel, index_t row, index_t rows);
  template <class Body>
  void for_workers(PoolLease& pool, bool parallel, Body body);
  void block_gradient(const Context<T>& c, const UpdateStep& step, const Work& work, const Block& block, T* g) const;
  double block_penalty(const Work& work, const Block& block) const;
  void add_penalty_gradient(const Work& work, const Block& block, T* g) const;
  Update<T> update_of(const Work& work, const Block& block, const T* g) const;
  void update_whole_parameters(PoolLease& pool, bool parallel);
  void update_scaled(const Work& work) const;
  void update_orthogonal(const Work& work, PoolLease& pool);
  void second_update(const Work& work, const Update<T>& all, double rate) const;
  bool is_scaled(const Work& work) const;
  bool is_orthogonal(const Work& work) const;
  void pack(const Context<T>& c, const Work& work, const Block& block) const;
  void first_pass(const Context<T>& c, const UpdateStep& step, Item& item);
  void ask_host_regularizers(const UpdateStep& step);
  void advance_product(const UpdateStep& step) const;
  void begin_updates(const UpdateStep& step);
  double whole_penalties();
  bool all_finite() const;
  void rescale(bool finite) const;
  void accumulate(const Work& work) const;
  void find_clip_scales();
  void moving_averages(const Work& work) const;
  bool constrain(const UpdateStep& step, PoolLease& pool);  // true if it looked at the weights
  bool overwrites(const Work& work) const;
  double sum_penalties() const;
  const Parameter& parameter(const Work& work) const { return graph_->parameters[static_cast<std::size_t>(work.id)]; }
  const Rule& rule(const Work& work) const { return rules_[static_cast<std::size_t>(parameter(work).optimizer)]; }
  const Optimizer& optimizer(const Work& work) const {
    return graph_->optimizers[static_cast<std::size_t>(parameter(work).optimizer)];
  }

  const Graph* graph_ = nullptr;
  const Kernels<T>* kernels_ = nullptr;
  std::vector<Work> works_;  // trainable parameters, in order
  std::vector<Work> fixed_;  // other parameters with a penalty
  std::vector<Work> made_;   // results of formulas, in their order; those without a gradient have no buffer
  std::vector<Item> items_;
  std::vector<std::vector<std::size_t>> items_of_;  // per thread: its items
  std::vector<Rule> rules_;                         // per optimizer
  Buffer<T> gradients_, orthogonal_, products_;
  int64_t elements_ = 0;
  bool any_buffered_ = false, any_constraint_ = false, any_scaled_ = false;
};

}  // namespace densekit
