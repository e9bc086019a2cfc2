// The Python class Plan: a graph under construction, then an engine; the arrays and callables it keeps alive.
#pragma once
#include <memory>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "arrays.hpp"
#include "runtime/engine.hpp"

namespace densekit::bindings {

struct HostNode {
  nb::object forward, backward;
  std::vector<index_t> input_sizes, output_sizes;
  std::vector<int> parameters;
};

// Of one optimizer, or of each.
using Iterations = std::variant<int64_t, std::vector<int64_t>>;

class Plan {
 public:
  explicit Plan(const std::string& dtype, std::optional<bool> fuse);

  // Building. Each may be called until finalize().
  Graph& building();
  void compute_in(const std::string& dtype);
  std::vector<int> host(const std::vector<int>& inputs, const std::vector<index_t>& sizes,
                        const std::vector<int>& parameters, nb::object forward, nb::object backward);
  int parameter(nb::object array, bool trainable, nb::object write_version);
  void set_host_regularizer(int parameter, nb::object function);
  void set_host_constraint(int parameter, nb::object function);
  int host_loss(int output, nb::object function, double weight, int mask);
  void finalize();

  // The optimizer may be set again at any time.
  void set_optimizer(const std::string& kind, const std::vector<double>& parameters, double weight_decay,
                     double clip_value, double clip_norm, double global_clip_norm, double ema_momentum,
                     int64_t ema_overwrite_frequency, int64_t accumulation_steps, nb::object product,
                     std::size_t index);
  void set_slots(int parameter, const nb::list& slots, nb::object ema, nb::object accumulator, bool decay,
                 int optimizer);
  void set_loss_scale(double fixed, nb::object scale, nb::object counter, int64_t growth_steps);
  void set_host_optimizer(nb::object function);

  std::vector<std::string> describe();
  int64_t flops_per_sample() const { return graph.flops_per_sample(); }
  index_t prepacked_bytes() const { return engine ? engine->prepacked_bytes() : 0; }
  index_t steps_done() const { return engine ? engine->steps_done() : 0; }
  index_t steps_left_out() const { return engine ? engine->steps_left_out() : 0; }

  // Running: plan_run.cpp.
  index_t train(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                index_t batch_size, Iterations iterations, nb::handle learning_rates, std::vector<uint64_t> keys,
                std::vector<uint64_t> counters, nb::handle losses, const nb::list& predictions);
  index_t evaluate(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                   index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters, nb::handle losses,
                   const nb::list& predictions);
  // The same, checked and ready; what they point into stays with the caller.
  Request training_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                           index_t batch_size, Iterations iterations, nb::handle learning_rates,
                           std::vector<uint64_t> keys, std::vector<uint64_t> counters, nb::handle losses,
                           const nb::list& predictions);
  Request test_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights, nb::handle index,
                       index_t batch_size, std::vector<uint64_t> keys, std::vector<uint64_t> counters,
                       nb::handle losses, const nb::list& predictions);
  // Whether a run calls Python.
  bool asks_host() const {
    return !host_nodes.empty() || !host_losses.empty() || !host_regularizers.empty() || !host_constraints.empty() ||
           host_optimizer.is_valid();
  }
  void predict(const nb::list& inputs, index_t n, const nb::list& outputs, std::vector<uint64_t> keys,
               std::vector<uint64_t> counters);
  nb::object call(nb::handle x);
  void set_call_shape(const std::vector<npy_intp>& in_shape, const std::vector<npy_intp>& out_shape);
  nb::object gradients(const nb::list& inputs, const nb::list& targets, const nb::list& weights,
                       std::vector<uint64_t> keys, std::vector<uint64_t> counters, bool training);

  // Every Python function held, for the garbage collector.
  template <class Visit>
  void for_each_callable(Visit visit) {
    for (auto& node : host_nodes) visit(node.forward), visit(node.backward);
    for (auto* table : {&host_losses, &host_regularizers, &host_constraints}) {
      for (auto& entry : *table) visit(entry.second);
    }
    visit(host_optimizer);
  }

  const bool is_double;
  Graph graph;
  std::vector<HostNode> host_nodes;
  std::unordered_map<int, nb::object> host_losses, host_regularizers, host_constraints;
  nb::object host_optimizer;
  std::vector<nb::object> arrays;          // parameters' memory, by id
  std::vector<nb::object> write_versions;  // and their write versions, or None

  // recording.cpp
  nb::object record(const nb::list& inputs, std::vector<uint64_t> keys, std::vector<uint64_t> counters, bool training,
                    bool input_gradients);
  void apply(const nb::list& gradients, int64_t iteration, double learning_rate);
  nb::object sum_rows(const nb::list& inputs, const nb::list& seeds);
  bool apply_like(const nb::list& gradients, int64_t iteration, double learning_rate);

 private:
  friend class Recorded;
  friend class PreparedRun;
  Engine& running();
  Request make_request(const nb::list& inputs, const nb::list& targets, const nb::list& weights, index_t n);
  void finish_request(Request& request, nb::handle index, index_t batch_size, std::vector<uint64_t> keys,
                      std::vector<uint64_t> counters, nb::handle losses, const nb::list& predictions) const;
  void* slot_data(nb::handle array, index_t size, const std::string& what);

  const bool fuse_;
  std::unique_ptr<Engine> engine;
  std::vector<std::vector<nb::object>> slot_arrays_;
  std::vector<nb::object> product_arrays_;  // per optimizer
  nb::object loss_scale_arrays_;
  std::vector<npy_intp> call_in_, call_out_;  // without the batch axis
  bool callable_ = false;
  double call_work_ = 0;  // multiply-adds a sample
};

void bind_recording(nb::module_& m, nb::class_<Plan>& plan);
void bind_many(nb::module_& m, nb::class_<Plan>& plan);
void bind_plan(nb::module_& m);
void bind_functions(nb::module_& m);
void bind_testing(nb::module_& m);
void bind_notes(nb::module_& m);

}  // namespace densekit::bindings
