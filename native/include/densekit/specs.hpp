// What a plan asks of a kernel, as plain data: which formula, with which numbers.
// Which formulas there are is listed in kinds.inl, under the names that Python uses.
#pragma once
#include <cstdint>

namespace densekit {

// The lists of kinds.inl, and how many each has.
enum class ActivationKind : int32_t {
#define DENSEKIT_ELEMENT(name, numbers) name,
#define DENSEKIT_ACTIVATION(name, numbers) name,
#include "densekit/kinds.inl"
  count
};
enum class LossKind : int32_t {
#define DENSEKIT_LOSS(name, numbers) name,
#include "densekit/kinds.inl"
  count
};
enum class RegularizerKind : int32_t {
#define DENSEKIT_REGULARIZER(name, numbers) name,
#include "densekit/kinds.inl"
  count
};
enum class ConstraintKind : int32_t {
#define DENSEKIT_CONSTRAINT(name, numbers) name,
#include "densekit/kinds.inl"
  count
};
enum class OptimizerKind : int32_t {
#define DENSEKIT_OPTIMIZER(name, numbers) name,
#include "densekit/kinds.inl"
  count
};

// Numbers in the order of Keras' signature.
struct ActivationSpec {
  ActivationKind kind = ActivationKind::linear;
  double p[3] = {0, 0, 0};
};

// Formulas of two operands, elementwise; `where` has three: condition, then, else. Comparisons give 1 or 0.
// clang-format off: it never agrees with itself about a list of calls
#define DENSEKIT_ELEMENTWISE(X)                                                                                 \
  X(add) X(subtract) X(multiply) X(divide) X(power) X(maximum) X(minimum) X(arctan2) X(mod) X(floor_divide)      \
  X(logaddexp) X(prelu) X(less) X(less_equal) X(greater) X(greater_equal) X(equal) X(not_equal) X(logical_and)   \
  X(logical_or) X(logical_xor) X(where)
// clang-format on

enum class ElementwiseKind : int32_t {
#define DENSEKIT_KIND(name) name,
  DENSEKIT_ELEMENTWISE(DENSEKIT_KIND)
#undef DENSEKIT_KIND
      count
};

// Along one axis. argmax and argmin give the first position, and no gradient.
#define DENSEKIT_REDUCTIONS(X) X(sum) X(max) X(min) X(prod) X(logsumexp) X(argmax) X(argmin)

enum class ReductionKind : int32_t {
#define DENSEKIT_KIND(name) name,
  DENSEKIT_REDUCTIONS(DENSEKIT_KIND)
#undef DENSEKIT_KIND
      count
};

// Of a row x: layer (x - mean) / sqrt(variance + epsilon), rms x / sqrt(mean x^2 + epsilon), unit x / max(|x|, epsilon).
#define DENSEKIT_NORMALIZATIONS(X) X(layer) X(rms) X(unit)

enum class NormalizationKind : int32_t {
#define DENSEKIT_KIND(name) name,
  DENSEKIT_NORMALIZATIONS(DENSEKIT_KIND)
#undef DENSEKIT_KIND
      count
};

struct LossSpec {
  LossKind kind = LossKind::mean_squared_error;
  double p[5] = {0, 0, 0, 0, 0};
};

// Targets are class labels instead of rows.
inline bool takes_labels(LossKind kind) {
  return kind == LossKind::sparse_categorical_crossentropy || kind == LossKind::categorical_generalized_cross_entropy;
}
// Targets are -1 and 1, or 0 and 1 when p[0] != 0. Keras decides by the batch: whoever sees all of it sets p[0].
inline bool takes_plus_minus_labels(LossKind kind) {
  return kind == LossKind::hinge || kind == LossKind::squared_hinge;
}

struct RegularizerSpec {
  RegularizerKind kind = RegularizerKind::none;
  double p[2] = {0, 0};
};

struct ConstraintSpec {
  ConstraintKind kind = ConstraintKind::none;
  double p[5] = {0, 0, 0, 0, 0};
};

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::sgd;
  double p[12] = {};
  double weight_decay = 0;  // w -= w * weight_decay * lr, before the update; AdamW is adam with this set
  double clip_value = 0;    // 0: off
  double clip_norm = 0;     // per variable; 0: off
  double global_clip_norm = 0;
  double ema_momentum = -1;  // < 0: no EMA. average = m * average + (1 - m) * w
};

}  // namespace densekit
