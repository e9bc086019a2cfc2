// One way to run a graph - to train it, to test it, to infer - worked out once: which gradients exist, who sets a
// gradient and who adds to it, what is fused, which buffers are kept, and where the host interrupts.
#pragma once
#include <vector>

#include "graph.hpp"

namespace densekit {

enum class GradientWrite : uint8_t { none, set, add };

// Where a dense op's activation is computed.
enum class Activates : uint8_t { nowhere, in_product, by_units, by_rows };

struct ProgramOp {
  std::vector<GradientWrite> writes;         // per input: what the backward does with its gradient
  bool backward = false;                     // takes part in the backward pass
  bool keeps_pre = false;                    // dense: the activation's input z is what is saved
  index_t saved = 0;                         // elements a sample that the forward saves, for the backward mostly
  bool own_dz = false;                       // dz has a buffer of its own (glu); else it replaces the output's gradient
  bool fused_loss = false;                   // its activation is left to the loss
  Activates activates = Activates::nowhere;  // dense: nowhere if it is linear or left to the loss
};

struct ProgramLoss {
  GradientWrite write = GradientWrite::none;
  int fused_op = -1;  // the op whose activation this loss computes
};

// A stretch of the run. `rows` stages are split over threads, and so is what an op over the batch does in blocks; those of
// the host and of losses over the whole batch run on the caller alone. At `seeds` the caller puts in the gradients of the
// outputs.
struct Stage {
  // before_forward, before_backward: what an op over the batch does with all rows; its row by row part is in `rows`.
  // loss_weights: masks become weights of the losses, by the caller alone.
  enum class Kind {
    rows,
    host_forward,
    loss_weights,
    batch_losses,
    seeds,
    host_backward,
    before_forward,
    before_backward
  } kind = Kind::rows;
  bool gather = false, losses = false;       // rows: fetch the batch first; native losses after the forward
  int forward_begin = 0, forward_end = 0;    // ops, ascending
  int backward_begin = 0, backward_end = 0;  // ops, run from end - 1 down to begin
  int dz = -1;                               // rows: at last only dZ of this dense op
  int op = -1;                               // all other stages but those of losses
};

struct ProgramOptions {
  bool losses = false;  // compute losses (train, evaluate, gradients)
  bool backward = false;
  bool input_gradients = false;  // of the plan's inputs too
  bool fuse = true;              // softmax/sigmoid with its cross-entropy
  bool seeds = false;            // backward from gradients of the outputs, given by the caller
  bool alias_dropout = false;    // dropout is the identity: its output is its input
};

struct Program {
  ProgramOptions options;
  std::vector<ProgramOp> ops;
  std::vector<ProgramLoss> losses;
  std::vector<bool> has_gradient;  // per value
  std::vector<int> alias;          // per value: the value whose buffer it shares (itself, mostly)
  std::vector<Stage> stages;
  bool has_host = false, has_batch_ops = false;
  index_t elements_per_sample = 0;  // of all buffers
};

Program make_program(const Graph& graph, const ProgramOptions& options);

}  // namespace densekit
