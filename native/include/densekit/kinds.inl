// Every formula that kernels know by name: a line is its name, which is Python's too, and how many numbers it takes, which
// the comment lists in order. Each list fills an enumeration (specs.hpp) and a table of names (runtime/names.cpp), and a
// switch in the kernels without a case is a compile error. Who includes this defines the macros that it wants.
// clang-format off
#ifndef DENSEKIT_ELEMENT
#define DENSEKIT_ELEMENT(name, numbers)
#endif
#ifndef DENSEKIT_ACTIVATION
#define DENSEKIT_ACTIVATION(name, numbers)
#endif
#ifndef DENSEKIT_LOSS
#define DENSEKIT_LOSS(name, numbers)
#endif
#ifndef DENSEKIT_REGULARIZER
#define DENSEKIT_REGULARIZER(name, numbers)
#endif
#ifndef DENSEKIT_CONSTRAINT
#define DENSEKIT_CONSTRAINT(name, numbers)
#endif
#ifndef DENSEKIT_OPTIMIZER
#define DENSEKIT_OPTIMIZER(name, numbers)
#endif

// Activations. DENSEKIT_ELEMENT: of single elements, whose backward reads the input; a value and a slope in
// generic/activations.inl are all they need. DENSEKIT_ACTIVATION: the others, with cases of their own.
DENSEKIT_ACTIVATION(linear, 0)
DENSEKIT_ACTIVATION(relu, 3)  // negative_slope, max_value (+inf: none), threshold
DENSEKIT_ELEMENT(elu, 1)  // alpha
DENSEKIT_ELEMENT(celu, 1)  // alpha
DENSEKIT_ELEMENT(selu, 0)
DENSEKIT_ACTIVATION(gelu, 1)  // approximate: 0 erf, 1 tanh form
DENSEKIT_ELEMENT(silu, 0)
DENSEKIT_ELEMENT(hard_silu, 0)
DENSEKIT_ACTIVATION(sigmoid, 0)
DENSEKIT_ELEMENT(hard_sigmoid, 0)
DENSEKIT_ACTIVATION(tanh, 0)
DENSEKIT_ELEMENT(hard_tanh, 0)
DENSEKIT_ELEMENT(softplus, 0)
DENSEKIT_ELEMENT(softsign, 0)
DENSEKIT_ACTIVATION(exponential, 0)
DENSEKIT_ELEMENT(mish, 0)
DENSEKIT_ELEMENT(log_sigmoid, 0)
DENSEKIT_ELEMENT(squareplus, 1)  // b
DENSEKIT_ELEMENT(hard_shrink, 1)  // threshold
DENSEKIT_ELEMENT(soft_shrink, 1)  // threshold
DENSEKIT_ELEMENT(tanh_shrink, 0)
DENSEKIT_ELEMENT(threshold, 2)  // threshold, default_value
DENSEKIT_ELEMENT(sparse_plus, 0)
DENSEKIT_ELEMENT(sparse_sigmoid, 0)
// Under their names in densekit.ops; the slope is 0 where a formula is flat.
DENSEKIT_ELEMENT(log, 0)
DENSEKIT_ELEMENT(log1p, 0)
DENSEKIT_ELEMENT(log2, 0)
DENSEKIT_ELEMENT(log10, 0)
DENSEKIT_ELEMENT(expm1, 0)
DENSEKIT_ELEMENT(exp2, 0)
DENSEKIT_ELEMENT(sqrt, 0)
DENSEKIT_ELEMENT(rsqrt, 0)
DENSEKIT_ELEMENT(square, 0)
DENSEKIT_ELEMENT(reciprocal, 0)
DENSEKIT_ELEMENT(negative, 0)
DENSEKIT_ELEMENT(absolute, 0)
DENSEKIT_ELEMENT(sign, 0)
DENSEKIT_ELEMENT(sin, 0)
DENSEKIT_ELEMENT(cos, 0)
DENSEKIT_ELEMENT(tan, 0)
DENSEKIT_ELEMENT(sinh, 0)
DENSEKIT_ELEMENT(cosh, 0)
DENSEKIT_ELEMENT(arcsin, 0)
DENSEKIT_ELEMENT(arccos, 0)
DENSEKIT_ELEMENT(arctan, 0)
DENSEKIT_ELEMENT(arctanh, 0)
DENSEKIT_ELEMENT(erf, 0)
DENSEKIT_ELEMENT(erfc, 0)
DENSEKIT_ELEMENT(floor, 0)
DENSEKIT_ELEMENT(ceil, 0)
DENSEKIT_ELEMENT(trunc, 0)
DENSEKIT_ELEMENT(round, 0)
DENSEKIT_ELEMENT(stop_gradient, 0)
DENSEKIT_ELEMENT(logical_not, 0)
DENSEKIT_ELEMENT(isnan, 0)
DENSEKIT_ELEMENT(isinf, 0)
DENSEKIT_ELEMENT(isfinite, 0)
// These need the whole last axis at once.
DENSEKIT_ACTIVATION(softmax, 0)
DENSEKIT_ACTIVATION(log_softmax, 0)
DENSEKIT_ACTIVATION(sparsemax, 0)
DENSEKIT_ACTIVATION(glu, 0)  // the output is half as wide as the input

// Per row of `width` predictions; a row has one loss.
DENSEKIT_LOSS(mean_squared_error, 0)
DENSEKIT_LOSS(mean_absolute_error, 0)
DENSEKIT_LOSS(binary_crossentropy, 3)  // from_logits, label_smoothing, epsilon
DENSEKIT_LOSS(categorical_crossentropy, 3)  // from_logits, label_smoothing, epsilon
DENSEKIT_LOSS(sparse_categorical_crossentropy, 3)  // from_logits, ignore_class (NaN: none), epsilon
DENSEKIT_LOSS(mean_absolute_percentage_error, 1)  // epsilon
DENSEKIT_LOSS(mean_squared_logarithmic_error, 1)  // epsilon
DENSEKIT_LOSS(huber, 1)  // delta
DENSEKIT_LOSS(log_cosh, 0)
DENSEKIT_LOSS(poisson, 1)  // epsilon
DENSEKIT_LOSS(kl_divergence, 1)  // epsilon
DENSEKIT_LOSS(cosine_similarity, 1)  // epsilon
DENSEKIT_LOSS(hinge, 0)  // see takes_plus_minus_labels
DENSEKIT_LOSS(squared_hinge, 0)  // see takes_plus_minus_labels
DENSEKIT_LOSS(categorical_hinge, 0)
DENSEKIT_LOSS(binary_focal_crossentropy, 5)  // from_logits, label_smoothing, epsilon, gamma, alpha (NaN: no balancing)
DENSEKIT_LOSS(categorical_focal_crossentropy, 5)  // from_logits, label_smoothing, epsilon, gamma, alpha
DENSEKIT_LOSS(categorical_generalized_cross_entropy, 2)  // q, ignore_class (NaN: none)
DENSEKIT_LOSS(dice, 1)  // epsilon
DENSEKIT_LOSS(tversky, 3)  // alpha, beta, epsilon

DENSEKIT_REGULARIZER(none, 0)
DENSEKIT_REGULARIZER(l1l2, 2)  // l1, l2
DENSEKIT_REGULARIZER(orthogonal, 2)  // factor, mode: 0 rows, 1 columns

// Norms run over `axis`: 0 a column (the incoming weights of a unit), 1 a row, -1 the whole array.
DENSEKIT_CONSTRAINT(none, 0)
DENSEKIT_CONSTRAINT(non_neg, 0)
DENSEKIT_CONSTRAINT(clip, 2)  // minimum, maximum
DENSEKIT_CONSTRAINT(max_norm, 3)  // max_value, axis, epsilon
DENSEKIT_CONSTRAINT(min_max_norm, 5)  // min_value, max_value, rate, axis, epsilon
DENSEKIT_CONSTRAINT(unit_norm, 2)  // axis, epsilon

DENSEKIT_OPTIMIZER(sgd, 2)  // momentum, nesterov; slots: momentum if momentum != 0
DENSEKIT_OPTIMIZER(rmsprop, 4)  // rho, momentum, epsilon, centered; slots: velocity[, momentum][, average gradient]
DENSEKIT_OPTIMIZER(adam, 4)  // beta_1, beta_2, epsilon, amsgrad; slots: momentum, velocity[, velocity hat]
DENSEKIT_OPTIMIZER(adagrad, 1)  // epsilon; slots: sum of squares
DENSEKIT_OPTIMIZER(adadelta, 2)  // rho, epsilon; slots: mean square of gradients, of steps
DENSEKIT_OPTIMIZER(adamax, 3)  // beta_1, beta_2, epsilon; slots: momentum, norm
DENSEKIT_OPTIMIZER(nadam, 3)  // beta_1, beta_2, epsilon; slots: momentum, velocity, and Update::product
DENSEKIT_OPTIMIZER(lion, 2)  // beta_1, beta_2; slots: momentum
DENSEKIT_OPTIMIZER(ftrl, 5)  // learning_rate_power (below 0), l1, l2, l2_shrinkage, beta; slots: sum of squares, linear
DENSEKIT_OPTIMIZER(lamb, 3)  // beta_1, beta_2, epsilon; slots: momentum, velocity (scaled by norms of the whole parameter)
DENSEKIT_OPTIMIZER(adafactor, 4)  // beta_2_decay, epsilon_1, epsilon_2, clip_threshold; slots: velocity[, rows, columns] (scaled as lamb is)
// adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, momentum, nesterov, ns_steps, a, b, c, rms_rate (-1: none),
// adam_weight_decay; slots: momentum, or momentum and velocity of what takes adam's step, see update_muon
DENSEKIT_OPTIMIZER(muon, 12)
DENSEKIT_OPTIMIZER(schedule_free, 4)  // beta_1, beta_2, epsilon, warmup_steps; slots: momentum (the weights z), velocity

#undef DENSEKIT_ELEMENT
#undef DENSEKIT_ACTIVATION
#undef DENSEKIT_LOSS
#undef DENSEKIT_REGULARIZER
#undef DENSEKIT_CONSTRAINT
#undef DENSEKIT_OPTIMIZER
// clang-format on
