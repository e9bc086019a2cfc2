// What a plan computes, as plain data: values, ops in the order they run, parameters, losses, the optimizer.
// Everything is sized per sample. Built call by call; each call checks its arguments and throws
// std::invalid_argument with one sentence, leaving the graph as it was.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "densekit/kernels.hpp"
#include "densekit/specs.hpp"
#include "op.hpp"

namespace densekit {

struct Value {
  index_t size = 0;
  int producer = -1;                      // op; -1 for an input
  Precision precision = Precision::full;  // of the op that made it: its gradient is rounded by whoever writes it
  std::vector<int> consumers;
};

// The write version of a parameter: another one after each change. A run that trains begins with `writers` and ends with `writes`, then `writers`; its
// owner sets `assigned` to a new number after each change of its own, so that neither has to wait for the other.
struct WriteVersion {
  std::atomic<int64_t> writers, writes;  // runs at it now; done so far
  std::atomic<int64_t> assigned;
};

struct Parameter {
  void* data = nullptr;  // rows x width elements of the plan's type, owned by the caller
  index_t rows = 0, width = 0;
  bool trainable = false;
  bool is_state = false;                  // written by an op
  bool is_result = false;                 // of a formula of other parameters: Formulas
  bool passes_gradient = false;           // and some of these are trainable
  WriteVersion* write_version = nullptr;  // null: unknown
  RegularizerSpec regularizer;
  bool host_regularizer = false;
  ConstraintSpec constraint;
  bool host_constraint = false;
  void* slots[3] = {nullptr, nullptr, nullptr};
  int n_slots = 0;
  bool factored = false;  // slots 1 and 2 are as long as `rows` and `width`: Adafactor's
  void* ema = nullptr;
  void* accumulator = nullptr;
  bool decay = true;
  int optimizer = 0;  // position among the graph's
  index_t size() const { return rows * width; }
  bool takes_gradient() const { return trainable || passes_gradient; }
};

enum class Reduction { mean, sum, mean_with_sample_weight };

struct Loss {
  int value = 0;  // what it is taken of
  int mask = -1;  // a value: 0 where a position does not count, 1 where it does; -1: all count
  bool host = false;
  bool given = false;  // the elements of the value are the row losses
  LossSpec spec;
  index_t width = 1;         // elements one row loss is taken over
  index_t positions = 1;     // row losses per sample
  bool whole_batch = false;  // one loss over all elements of a batch
  double weight = 1;
  Reduction reduction = Reduction::mean;
  bool sparse() const { return !host && !given && takes_labels(spec.kind); }
  bool has_target() const { return !host && !given; }
  index_t count(index_t rows) const { return whole_batch ? 1 : rows * positions; }
  bool by_rows() const { return !host && !whole_batch; }  // can be computed before the last row is known
};

// How the parameters that name it are updated.
struct Optimizer {
  enum class Where { none, native, host } where = Where::none;
  OptimizerSpec spec;
  int64_t ema_overwrite_frequency = 0;
  int64_t accumulation_steps = 1;
  void* product = nullptr;  // nadam: one element, updated in place
};

// Gradients are those of so many times the loss, and divided by it before they update. Dynamic: a step whose gradients are
// not all finite is left out and halves the scale; `growth_steps` steps in a row double it.
struct LossScale {
  double fixed = 1;
  float* scale = nullptr;  // dynamic; null: fixed
  int32_t* counter = nullptr;
  int64_t growth_steps = 0;
  double now() const { return scale != nullptr ? static_cast<double>(*scale) : fixed; }
};

class Graph;

// Parameters computed of others, by a graph that runs on one row: see formulas.hpp.
struct Formulas {
  std::shared_ptr<const Graph> graph;
  std::vector<int> sources;  // per input: the parameter it is
  std::vector<int> results;  // per output: the parameter it makes
};

class Graph {
 public:
  // Ops added from now on compute so: products on rounded operands, every result rounded. Float alone.
  void compute_in(Precision precision) { precision_ = precision; }

  int input(index_t size);
  // An op of ops/table.inl; gives its outputs.
  std::vector<int> op(const std::vector<int>& inputs, const std::vector<int>& parameters, const std::vector<int>& state,
                      const Attributes& attributes);
  std::vector<int> host(const std::vector<int>& xs, const std::vector<index_t>& sizes,
                        const std::vector<int>& parameters);

  int parameter(void* data, index_t rows, index_t width, bool trainable);
  Parameter& parameter_at(int id);
  // Parameters that others make: the inputs of `formulas` are `sources`, its outputs `results`.
  void compute_parameters(std::shared_ptr<const Graph> formulas, const std::vector<int>& sources,
                          const std::vector<int>& results);

  void output(int value);
  // A mask has one element for each position, or for each of the leading axes of the positions: it divides their number.
  int loss(int output, const LossSpec& spec, index_t width, double weight, const std::string& reduction, int mask = -1);
  int given_loss(int value, double weight, const std::string& reduction, int mask = -1);
  int host_loss(int output, double weight, int mask = -1);
  void check_trainable() const;  // slots and optimizer fit together; throws

  // Read by all; written only through the functions above.
  std::vector<Value> values;
  std::vector<Op> ops;
  std::vector<int> inputs, outputs;  // value ids
  std::vector<Parameter> parameters;
  std::vector<Loss> losses;
  std::vector<Optimizer> optimizers = std::vector<Optimizer>(1);
  LossScale loss_scale;
  Formulas formulas;
  int random_nodes = 0;
  int host_nodes = 0;

  int64_t flops_per_sample() const;    // of the products, forward, a multiply-add counted as two
  bool always_draws() const;           // whether some op draws in inference, too
  std::string describe(int op) const;  // "v3 = dense(v2, p0, p1) 784 -> 128 relu"

 private:
  void check_value(int id, const char* who) const;
  int add_value(index_t size, int producer);
  std::vector<int> add_op(Op op, const std::vector<index_t>& sizes);
  int output_value(int position) const;
  int add_loss(Loss loss, const std::string& reduction);

  Precision precision_ = Precision::full;
};

// True when relu is plain max(x, 0), which a GEMM does in its epilogue.
bool is_plain_relu(const ActivationSpec& spec);

}  // namespace densekit
