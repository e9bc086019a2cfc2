// Runs a finished graph in one element type. `Engine` is what the bindings hold; `TypedEngine<T>` does the work.
#pragma once
#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "float_mode.hpp"
#include "formulas.hpp"
#include "graph.hpp"
#include "host.hpp"
#include "prepacked.hpp"
#include "program.hpp"
#include "rounded.hpp"
#include "run_guards.hpp"
#include "source.hpp"
#include "thread_pool.hpp"
#include "thread_tuner.hpp"
#include "update.hpp"
#include "weight_store.hpp"
#include "workspace.hpp"

namespace densekit {

// Key and counter of each random node.
struct Draws {
  std::vector<uint64_t> keys, counters;
};

// A chunk of batches: rows `index`, in order, `batch_size` at a time.
struct Request {
  std::vector<Source> inputs, targets, weights;  // per input, loss, loss; absent ones have no data
  const int64_t* index = nullptr;
  index_t n = 0;
  index_t batch_size = 1;
  std::vector<uint64_t> keys, counters;  // per random node
  double* losses = nullptr;              // [steps, 1 + losses]
  std::vector<void*> predictions;        // per output: [n, size] or null
  Host* host = nullptr;
  // train alone
  std::vector<int64_t> iterations;         // per optimizer
  const double* learning_rates = nullptr;  // [optimizers, steps]; steps left out take none
};

struct GradientRequest {
  bool training = true;
  std::vector<void*> parameters;  // per trainable parameter: receives its gradient
  std::vector<void*> inputs;      // per input
};

// Steps smaller than both never split: the pool is left to others.
constexpr double kSplitFlops = 1e6;
constexpr int64_t kSplitElements = 1 << 14;

// A batch run forward that waits for gradients of its outputs.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Both return the number of steps done, and keep it in steps_done() when they throw.
  virtual index_t train(const Request& request) = 0;
  virtual index_t evaluate(const Request& request) = 0;
  virtual void gradients(const Request& request, const GradientRequest& wanted) = 0;
  // Any number of threads at once. outputs: per output [n, size].
  // `draws`: of ops that draw in inference, too.
  virtual void predict(const std::vector<Source>& inputs, index_t n, const std::vector<void*>& outputs, Host* host,
                       Draws draws = {}) = 0;
  // One input, one output, both in the plan's type, dense: no checks.
  virtual void call(const void* x, index_t n, void* y) = 0;
  // All rows of the request as one batch, forward; then back, any number of times, from gradients of the outputs (null: zeros).
  // Neither asks the host. What is given back is used again.
  virtual std::unique_ptr<Recording> record(Request request, bool input_gradients, bool training) = 0;
  virtual void pull_back(Recording& recording, const std::vector<const void*>& d_outputs,
                         const GradientRequest& wanted) = 0;
  virtual void give_back(std::unique_ptr<Recording> recording) = 0;
  // One update of every trainable parameter by these gradients.
  virtual void apply(const std::vector<const void*>& gradients, int64_t iteration, double learning_rate,
                     Host* host) = 0;
  virtual const Program& training_program() = 0;
  virtual index_t prepacked_bytes() const = 0;
  // Calls change(), which may alter the graph's optimizer or slots, between runs.
  template <class Change>
  void optimizer_changes(Change change) {
    begin_change();
    change();
    end_change();
  }
  index_t steps_done() const { return steps_done_.load(std::memory_order_relaxed); }
  // Of them, those that changed nothing, as gradients were not finite.
  index_t steps_left_out() const { return steps_left_out_.load(std::memory_order_relaxed); }

 protected:
  virtual void begin_change() = 0;  // throws when a run is under way
  virtual void end_change() = 0;
  std::atomic<index_t> steps_done_{0}, steps_left_out_{0};
};

std::unique_ptr<Engine> make_engine(const Graph& graph, bool is_double, bool fuse);

// One batch in flight.
template <class T>
struct Batch {
  Context<T> context;
  const Request* request = nullptr;
  Workspace<T>* workspace = nullptr;
  RowPicker pick;
  index_t first = 0;  // row of the chunk
  index_t rows = 0;
  std::vector<LossSpec> loss_spec;            // per loss, with what depends on the batch
  std::vector<T> loss_scale;                  // per loss: what a row's gradient is multiplied by
  std::vector<double> loss_divisor;           // per loss: sum of weighted row losses -> loss
  std::vector<double> host_loss;              // per loss
  double extra_loss = 0;                      // of host nodes
  std::vector<HostGradients> host_gradients;  // per host node
  std::atomic<bool> bad_label{false};
  std::vector<Buffer<T>> worker_buffers;  // [worker, op]: what context.worker_inputs points to; none outside of runs
  std::vector<T*> worker_inputs;
};

// So few rows wait for weights, and take as long as one: inference shares them out by units.
constexpr index_t kFewRows = 4;

template <class T>
struct TypedRecording;

template <class T>
class TypedEngine final : public Engine {
 public:
  TypedEngine(const Graph& graph, bool fuse);
  index_t train(const Request& request) override;
  index_t evaluate(const Request& request) override;
  void gradients(const Request& request, const GradientRequest& wanted) override;
  void predict(const std::vector<Source>& inputs, index_t n, const std::vector<void*>& outputs, Host* host,
               Draws draws) override;
  void call(const void* x, index_t n, void* y) override;
  std::unique_ptr<Recording> record(Request request, bool input_gradients, bool training) override;
  void pull_back(Recording& recording, const std::vector<const void*>& d_outputs,
                 const GradientRequest& wanted) override;
  void give_back(std::unique_ptr<Recording> recording) override;
  void apply(const std::vector<const void*>& gradients, int64_t iteration, double learning_rate, Host* host) override;
  const Program& training_program() override { return train_; }
  index_t prepacked_bytes() const override { return prepacked_.bytes(); }

 private:
  void begin_change() override;
  void end_change() override;
  // run.cpp
  index_t run_chunk(const Request& request, const Program& program, Workspace<T>& workspace, ThreadTuner& tuner);
  void start(Batch<T>& batch, const Request& request, const Program& program, Workspace<T>& workspace,
             bool training) const;
  void begin_batch(Batch<T>& batch, index_t step) const;
  void write_losses(Batch<T>& batch, double penalties, double* losses) const;
  Moves find_moves(index_t rows) const;
  void write_state(const Batch<T>& batch) const;
  // record.cpp
  static std::size_t turning_point(const Program& program);
  const Program& recorded_program(bool input_gradients);
  void copy_weights(TypedRecording<T>& recording, const Program& program) const;
  // step.cpp
  void run_stages(Batch<T>& batch, PoolLease& pool, const FlushDenormals& flush, std::size_t begin = 0,
                  std::size_t end = std::numeric_limits<std::size_t>::max()) const;
  void run_rows(Batch<T>& batch, const Stage& stage, int worker, index_t row, index_t rows) const;
  void gather_inputs(Batch<T>& batch, index_t row, index_t rows) const;
  void gather_targets(Batch<T>& batch, index_t row, index_t rows) const;
  void native_losses(Batch<T>& batch, index_t row, index_t rows) const;
  void native_loss(Batch<T>& batch, std::size_t i, index_t row, index_t rows) const;
  void batch_losses(Batch<T>& batch) const;
  void mask_losses(Batch<T>& batch) const;
  bool is_weighted(const Batch<T>& batch, std::size_t loss) const {
    return batch.request->weights[loss].data != nullptr || graph_.losses[loss].mask >= 0;
  }
  void host_losses(Batch<T>& batch) const;
  void host_forward(Batch<T>& batch, int op) const;
  void host_backward(Batch<T>& batch, int op) const;
  void write_predictions(Batch<T>& batch, index_t row, index_t rows) const;
  index_t block_rows(const Program& program) const;
  // regions.cpp
  static bool is_large(const Op& op);
  void run_stage(Batch<T>& batch, PoolLease& pool, const Stage& stage) const;
  void run_units(Batch<T>& batch, PoolLease& pool, int op) const;
  void run_inputs(Batch<T>& batch, PoolLease& pool, int op) const;
  int own_input(const Batch<T>& batch, int op) const;
  // infer.cpp
  index_t infer_rows();
  void place(Context<T>& context, int value, T* address) const;
  // Weights that a call has for itself, per parameter or null.
  struct Weights {
    T* const* rounded = nullptr;
    T* const* made = nullptr;
  };
  void infer(const Source* inputs, index_t n, void* const* outputs) const;
  using Prepacked = typename PrepackedWeights<T>::Copy;
  std::unique_ptr<FormulaRun<T>> new_formulas() const;
  class FormulaLease;  // of a call
  void infer_block(const Source* inputs, index_t first, index_t rows, void* const* outputs, Prepacked* prepacked,
                   const Weights& weights, PoolLease* by_units) const;
  index_t unit_rows(int workers) const;
  void infer_units(const Context<T>& context, int op, index_t rows, PoolLease& pool) const;
  void infer_with_host(const std::vector<Source>& inputs, index_t n, const std::vector<void*>& outputs, Host* host,
                       Draws draws) const;

  const Graph& graph_;
  const Kernels<T>* kernels_;
  Program train_, test_, infer_;
  Workspace<T> train_space_, test_space_;
  ThreadTuner train_tuner_, test_tuner_;
  std::vector<std::vector<T>> constants_;
  Updater<T> updater_;
  WeightStore<T> moved_;
  PackedOperands<T> packed_;
  RoundedWeights<T> rounded_;
  mutable PrepackedWeights<T> prepacked_;             // of inference
  mutable std::vector<ThreadTuner> few_rows_tuners_;  // by rows - 1
  index_t n_activities_ = 0;
  index_t train_block_ = 0, infer_block_ = 0;
  index_t infer_elements_ = 0;       // of a frame, per row
  std::vector<bool> direct_output_;  // per output: computed where the caller wants it
  bool any_alias_ = false, has_large_kernel_ = false, has_float16_ = false, always_draws_ = false;
  double flops_ = 0;                              // of one sample, forward
  bool prepared_ = false;                         // the updater, for the optimizer as it is
  std::unique_ptr<FormulaPlan<T>> formula_plan_;  // null: no parameter is made of others
  std::unique_ptr<FormulaRun<T>> formulas_;       // of training and testing
  mutable std::mutex inferring_;
  mutable std::vector<std::unique_ptr<FormulaRun<T>>> idle_formulas_;  // of inference; behind the mutex
  std::atomic<bool> running_{false};
  // Of recordings, without and with gradients of the inputs; behind the mutex.
  static constexpr std::size_t kIdleRecordings = 8;
  std::mutex recording_;
  std::unique_ptr<Program> recorded_[2];
  std::vector<std::unique_ptr<Recording>> idle_[2];
  Updater<T> gradient_updater_;
  bool gradients_prepared_ = false;
};

}  // namespace densekit
