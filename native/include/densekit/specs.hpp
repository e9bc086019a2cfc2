// What a plan asks of a kernel, as plain data: which formula, with which numbers.
// Names are the ones Python uses; `names.cpp` holds the only string tables.
#pragma once
#include <cstdint>

namespace densekit {

// Formulas of one operand without numbers, under their names in densekit.ops.
// clang-format off: it never agrees with itself about a list of calls
#define DENSEKIT_UNARY(X)                                                                                       \
  X(log) X(log1p) X(log2) X(log10) X(expm1) X(exp2) X(sqrt) X(rsqrt) X(square) X(reciprocal) X(negative)         \
  X(absolute) X(sign) X(sin) X(cos) X(tan) X(sinh) X(cosh) X(arcsin) X(arccos) X(arctan) X(arctanh) X(erf)      \
  X(erfc) X(floor) X(ceil) X(trunc) X(round) X(stop_gradient) X(logical_not) X(isnan) X(isinf) X(isfinite)
// clang-format on

// Elementwise unless marked "row": a row formula needs the whole last axis at once.
// Parameters p[0..2] in the order of the Keras signature.
enum class ActivationKind : int32_t {
  linear,
  relu,  // negative_slope, max_value (+inf: none), threshold
  elu,   // alpha
  celu,  // alpha
  selu,
  gelu,  // approximate: 0 erf, 1 tanh form
  silu,
  hard_silu,
  sigmoid,
  hard_sigmoid,
  tanh,
  hard_tanh,
  softplus,
  softsign,
  exponential,
  mish,
  log_sigmoid,
  squareplus,   // b
  hard_shrink,  // threshold
  soft_shrink,  // threshold
  tanh_shrink,
  threshold,  // threshold, default_value
  sparse_plus,
  sparse_sigmoid,
#define DENSEKIT_KIND(name) name,
  DENSEKIT_UNARY(DENSEKIT_KIND)  // slope 0 where the formula is flat
#undef DENSEKIT_KIND
  softmax,      // row
  log_softmax,  // row
  sparsemax,    // row
  glu,          // row; the output is half as wide as the input
  count
};

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

// Per row of `width` predictions; a row has one loss.
enum class LossKind : int32_t {
  mean_squared_error,
  mean_absolute_error,
  binary_crossentropy,              // from_logits, label_smoothing, epsilon
  categorical_crossentropy,         // from_logits, label_smoothing, epsilon
  sparse_categorical_crossentropy,  // from_logits, ignore_class (NaN: none), epsilon
  mean_absolute_percentage_error,   // epsilon
  mean_squared_logarithmic_error,   // epsilon
  huber,                            // delta
  log_cosh,
  poisson,            // epsilon
  kl_divergence,      // epsilon
  cosine_similarity,  // epsilon
  hinge,              // see takes_plus_minus_labels
  squared_hinge,      // see takes_plus_minus_labels
  categorical_hinge,
  binary_focal_crossentropy,              // from_logits, label_smoothing, epsilon, gamma, alpha (NaN: no balancing)
  categorical_focal_crossentropy,         // from_logits, label_smoothing, epsilon, gamma, alpha
  categorical_generalized_cross_entropy,  // q, ignore_class (NaN: none)
  dice,                                   // epsilon
  tversky,                                // alpha, beta, epsilon
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

enum class RegularizerKind : int32_t {
  none,
  l1l2 /* l1, l2 */,
  orthogonal /* factor, mode: 0 rows, 1 columns */,
  count
};
struct RegularizerSpec {
  RegularizerKind kind = RegularizerKind::none;
  double p[2] = {0, 0};
};

// Norms run over `axis`: 0 a column (the incoming weights of a unit), 1 a row, -1 the whole array.
enum class ConstraintKind : int32_t {
  none,
  non_neg,
  clip,          // minimum, maximum
  max_norm,      // max_value, axis, epsilon
  min_max_norm,  // min_value, max_value, rate, axis, epsilon
  unit_norm,     // axis, epsilon
  count
};
struct ConstraintSpec {
  ConstraintKind kind = ConstraintKind::none;
  double p[5] = {0, 0, 0, 0, 0};
};

enum class OptimizerKind : int32_t {
  sgd,        // momentum, nesterov                 slots: momentum if momentum != 0
  rmsprop,    // rho, momentum, epsilon, centered   slots: velocity[, momentum][, average gradient]
  adam,       // beta_1, beta_2, epsilon, amsgrad   slots: momentum, velocity[, velocity hat]
  adagrad,    // epsilon                            slots: sum of squares
  adadelta,   // rho, epsilon                       slots: mean square of gradients, of steps
  adamax,     // beta_1, beta_2, epsilon            slots: momentum, norm
  nadam,      // beta_1, beta_2, epsilon            slots: momentum, velocity; and Update::product
  lion,       // beta_1, beta_2                     slots: momentum
  ftrl,       // learning_rate_power (below 0), l1, l2, l2_shrinkage, beta   slots: sum of squares, linear
  lamb,       // beta_1, beta_2, epsilon            slots: momentum, velocity; scaled by norms of the whole parameter
  adafactor,  // beta_2_decay, epsilon_1, epsilon_2, clip_threshold   slots: velocity[, rows, columns]; scaled as lamb is
  muon,  // adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, momentum, nesterov, ns_steps, a, b, c, rms_rate (-1: none),
         // adam_weight_decay   slots: momentum, or momentum and velocity of what takes adam's step; see update_muon
  schedule_free,  // beta_1, beta_2, epsilon, warmup_steps   slots: momentum (the weights z), velocity
  count
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
