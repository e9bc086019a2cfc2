"""One table: constructor arguments and inputs for every built-in component.

A new component needs an entry here; `test_components.py` fails with a sentence until it has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit._core import registry
from densekit._core.native_form import NativeForm

Array = npt.NDArray[Any]
Arguments = dict[str, Any]

ROOMS = ("activations", "initializers", "regularizers", "constraints", "losses")


def components(room: str) -> dict[str, Any]:
    """Built-in components of a room by name."""
    return registry.components(f"keras.{room}")


def missing_entry(room: str, name: str) -> str:
    """What to tell the author of a component that has no samples."""
    return (
        f"keras.{room}.{name} has no entry in tests/contracts/samples.py: add constructor "
        f"arguments to {room.upper()} there, so that the contract tests cover it."
    )


# ---- Activations

_INF = math.inf


@dataclass(frozen=True)
class ActivationSample:
    """Arguments of an activation and their native form, by the table in specs.hpp, if any."""

    form: NativeForm | None = None
    arguments: Arguments = field(default_factory=dict)


def _plain(kind: str, *parameters: float) -> list[ActivationSample]:
    return [ActivationSample(NativeForm(kind, parameters))]


def _sample(kind: str, *parameters: float, **arguments: Any) -> ActivationSample:
    return ActivationSample(NativeForm(kind, parameters), arguments)


ACTIVATIONS: dict[str, list[ActivationSample]] = {
    "linear": _plain("linear"),
    "relu": [
        _sample("relu", 0.0, _INF, 0.0),
        _sample("relu", 0.1, _INF, 0.0, negative_slope=0.1),
        _sample("relu", 0.0, 2.0, 0.0, max_value=2.0),
        _sample("relu", 0.0, 6.0, 0.0, max_value=6.0),
        _sample("relu", 0.0, _INF, 1.0, threshold=1.0),
        _sample("relu", 0.25, 3.0, -0.5, negative_slope=0.25, max_value=3.0, threshold=-0.5),
        _sample("relu", 0.25, 6.0, 0.5, negative_slope=0.25, max_value=6.0, threshold=0.5),
    ],
    "relu6": _plain("relu", 0.0, 6.0, 0.0),
    "leaky_relu": [
        _sample("relu", 0.2, _INF, 0.0),
        _sample("relu", 0.01, _INF, 0.0, negative_slope=0.01),
    ],
    "elu": [_sample("elu", 1.0), _sample("elu", 0.5, alpha=0.5)],
    "celu": [_sample("celu", 1.0), _sample("celu", 0.5, alpha=0.5)],
    "selu": _plain("selu"),
    "gelu": [_sample("gelu", 0.0), _sample("gelu", 1.0, approximate=True)],
    "silu": _plain("silu"),
    "hard_silu": _plain("hard_silu"),
    "sigmoid": _plain("sigmoid"),
    "hard_sigmoid": _plain("hard_sigmoid"),
    "tanh": _plain("tanh"),
    "hard_tanh": _plain("hard_tanh"),
    "softplus": _plain("softplus"),
    "softsign": _plain("softsign"),
    "exponential": _plain("exponential"),
    "mish": _plain("mish"),
    "log_sigmoid": _plain("log_sigmoid"),
    "squareplus": [_sample("squareplus", 4.0), _sample("squareplus", 0.25, b=0.25)],
    "hard_shrink": [_sample("hard_shrink", 0.5), _sample("hard_shrink", 2.0, threshold=2.0)],
    "soft_shrink": [_sample("soft_shrink", 0.5), _sample("soft_shrink", 2.0, threshold=2.0)],
    "tanh_shrink": _plain("tanh_shrink"),
    "threshold": [_sample("threshold", 0.5, -2.0, threshold=0.5, default_value=-2.0)],
    "sparse_plus": _plain("sparse_plus"),
    "sparse_sigmoid": _plain("sparse_sigmoid"),
    "softmax": [
        _sample("softmax"),
        ActivationSample(None, {"axis": 0}),
        ActivationSample(None, {"axis": (0, 1)}),
    ],
    "log_softmax": [_sample("log_softmax"), ActivationSample(None, {"axis": 0})],
    "sparsemax": [_sample("sparsemax"), ActivationSample(None, {"axis": 0})],
    "glu": [_sample("glu"), ActivationSample(None, {"axis": 0})],
}

# Formulas that subtract terms of the size of x: their result is only good to eps * abs(x).
CANCELLING = frozenset(
    [
        "celu",
        "elu",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "selu",
        "soft_shrink",
        "softmax",
        "sparse_plus",
        "sparse_sigmoid",
        "sparsemax",
        "squareplus",
        "tanh_shrink",
    ]
)

# Where a formula changes its branch, and the far ends.
_EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 9.0, 20.0, 80.0, 1000.0, 1e-6, 1e-30)


def activation_inputs(dtype: str = "float64") -> list[Array]:
    """Matrices of even width: random values, edges, infinities with NaN."""
    rng = np.random.default_rng(3)
    edges = np.array([*_EDGES, *(-e for e in _EDGES)]).reshape(2, -1)
    edges = np.concatenate([edges, edges[::-1]], axis=1)
    return [(3 * rng.standard_normal((6, 8))).astype(dtype), edges.astype(dtype)]


def special_inputs(dtype: str = "float64") -> Array:
    """Infinities and NaN, for elementwise formulas."""
    return np.array([[np.inf, -np.inf, np.nan, 1.0]], dtype)


def smooth_activation_inputs() -> Array:
    """Values away from every branch point, for differences."""
    return np.linspace(-4.03, 7.11, 48).reshape(6, 8)


# ---- Initializers

INITIALIZERS: dict[str, list[Arguments]] = {
    "Initializer": [],  # abstract
    "Constant": [{}, {"value": 2.5}],
    "Zeros": [{}],
    "Ones": [{}],
    "Identity": [{}, {"gain": 2.0}],
    "RandomNormal": [{}, {"mean": 1.0, "stddev": 0.5, "seed": 3}],
    "TruncatedNormal": [{}, {"mean": 1.0, "stddev": 0.5, "seed": 3}],
    "RandomUniform": [{}, {"minval": -1.0, "maxval": 2.0, "seed": 3}],
    "Orthogonal": [{}, {"gain": 0.5, "seed": 3}],
    "VarianceScaling": [
        {},
        {"scale": 2.0, "mode": "fan_out", "distribution": "uniform", "seed": 3},
        {"mode": "fan_avg", "distribution": "untruncated_normal", "seed": 3},
        {"input_axes": [0], "output_axes": [1], "seed": 3},
    ],
    "GlorotUniform": [{}, {"seed": 3}],
    "GlorotNormal": [{}, {"seed": 3}],
    "HeUniform": [{}, {"seed": 3}],
    "HeNormal": [{}, {"seed": 3}],
    "LecunUniform": [{}, {"seed": 3}],
    "LecunNormal": [{}, {"seed": 3}],
}

# ---- Regularizers and constraints

REGULARIZERS: dict[str, list[Arguments]] = {
    "Regularizer": [],  # abstract
    "L1": [{}, {"l1": 0.25}],
    "L2": [{}, {"l2": 0.25}],
    "L1L2": [{}, {"l1": 0.25}, {"l2": 0.5}, {"l1": 0.25, "l2": 0.5}],
    "OrthogonalRegularizer": [{}, {"factor": 0.5}, {"factor": 0.5, "mode": "columns"}],
}

CONSTRAINTS: dict[str, list[Arguments]] = {
    "Constraint": [{}],
    "NonNeg": [{}],
    "Clip": [{"min_value": -0.5, "max_value": 0.25}],
    "MaxNorm": [{}, {"max_value": 0.5}, {"max_value": 0.5, "axis": 1}, {"axis": [0, 1]}],
    "MinMaxNorm": [
        {},
        {"min_value": 0.5, "max_value": 0.75, "rate": 0.5},
        {"min_value": 0.5, "max_value": 0.75, "axis": 1},
        {"axis": [0, 1]},
    ],
    "UnitNorm": [{}, {"axis": 1}, {"axis": [0, 1]}],
}


def weights(dtype: str = "float64") -> list[Array]:
    """Matrices: random, wide, with a row and a column of zeros, a single column."""
    rng = np.random.default_rng(4)
    square = rng.standard_normal((5, 5))
    square[2], square[:, 3] = 0.0, 0.0
    shapes = [rng.standard_normal(shape) for shape in ((7, 4), (3, 6))]
    return [w.astype(dtype) for w in (*shapes, square, rng.standard_normal((4, 2)) * 1e-3)]


# ---- Losses

_CLASSES = 4
_BATCH = 6


@dataclass(frozen=True)
class LossSample:
    """Constructor arguments of a loss, and what its targets and predictions are.

    targets: real, positive, plus_minus (-1 and 1), zero_one, distribution, one_hot, labels;
    predictions: real, positive, probability (each in (0, 1)), distribution (rows of sum 1), unit
    (rows of length 1).
    """

    targets: str
    predictions: str
    arguments: Arguments = field(default_factory=dict)


def _probability(name: str, targets: str, predictions: str, **more: Any) -> list[LossSample]:
    samples = [
        LossSample(targets, predictions, dict(more)),
        LossSample(targets, "real", {"from_logits": True, **more}),
    ]
    if targets != "labels":
        samples.append(LossSample(targets, predictions, {"label_smoothing": 0.125, **more}))
        samples.append(
            LossSample(targets, "real", {"from_logits": True, "label_smoothing": 0.125, **more})
        )
    return samples


LOSSES: dict[str, list[LossSample]] = {
    "Loss": [],  # abstract
    "MeanSquaredError": [LossSample("real", "real")],
    "MeanAbsoluteError": [LossSample("real", "real")],
    "MeanAbsolutePercentageError": [LossSample("real", "real")],
    "MeanSquaredLogarithmicError": [LossSample("positive", "positive")],
    "CosineSimilarity": [LossSample("real", "real"), LossSample("real", "real", {"axis": 0})],
    "Huber": [LossSample("real", "real"), LossSample("real", "real", {"delta": 0.5})],
    "LogCosh": [LossSample("real", "real")],
    "BinaryCrossentropy": _probability("BinaryCrossentropy", "zero_one", "probability"),
    "CategoricalCrossentropy": _probability("CategoricalCrossentropy", "one_hot", "distribution"),
    "SparseCategoricalCrossentropy": [
        *_probability("SparseCategoricalCrossentropy", "labels", "distribution"),
        LossSample("labels", "distribution", {"ignore_class": 1}),
        LossSample("labels", "real", {"ignore_class": 1, "from_logits": True}),
    ],
    "BinaryFocalCrossentropy": [
        *_probability("BinaryFocalCrossentropy", "zero_one", "probability"),
        LossSample("zero_one", "probability", {"apply_class_balancing": True, "gamma": 3.0}),
        LossSample("zero_one", "probability", {"gamma": 1.5}),
        LossSample("zero_one", "probability", {"gamma": 0.0}),
    ],
    "CategoricalFocalCrossentropy": [
        *_probability("CategoricalFocalCrossentropy", "one_hot", "distribution"),
        LossSample("one_hot", "distribution", {"alpha": 0.5, "gamma": 3.0}),
        LossSample("one_hot", "distribution", {"gamma": 1.5}),
    ],
    "CategoricalGeneralizedCrossEntropy": [
        LossSample("labels", "distribution"),
        LossSample("labels", "distribution", {"q": 0.75}),
    ],
    "Hinge": [LossSample("plus_minus", "real"), LossSample("zero_one", "real")],
    "SquaredHinge": [LossSample("plus_minus", "real"), LossSample("zero_one", "real")],
    "CategoricalHinge": [LossSample("one_hot", "real")],
    "KLDivergence": [LossSample("distribution", "distribution")],
    "Poisson": [LossSample("positive", "positive")],
    "Dice": [
        LossSample("zero_one", "probability"),
        LossSample("zero_one", "probability", {"axis": 1}),
        LossSample("zero_one", "probability", {"axis": -1}),
    ],
    "Tversky": [
        LossSample("zero_one", "probability"),
        LossSample("zero_one", "probability", {"alpha": 0.25, "beta": 0.75, "axis": 1}),
        LossSample("zero_one", "probability", {"alpha": 0.25, "beta": 0.75, "axis": -1}),
    ],
    "Circle": [
        LossSample("labels", "unit"),
        LossSample("labels", "unit", {"gamma": 8.0, "margin": 0.25}),
        LossSample("labels", "unit", {"remove_diagonal": False}),
    ],
}

# Functions are covered through their classes.
LOSS_FUNCTIONS: dict[str, str] = {
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "cosine_similarity": "CosineSimilarity",
    "huber": "Huber",
    "log_cosh": "LogCosh",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "categorical_generalized_cross_entropy": "CategoricalGeneralizedCrossEntropy",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "dice": "Dice",
    "tversky": "Tversky",
    "circle": "Circle",
}


def loss_inputs(sample: LossSample, dtype: str = "float64") -> tuple[Array, Array]:
    """Targets and predictions of a sample, away from branch points."""
    rng = np.random.default_rng(5)
    shape = (_BATCH, _CLASSES)
    labels = np.array([0, 3, 1, 1, 2, 0], "int32")
    targets = {
        "real": rng.standard_normal(shape),
        "positive": rng.uniform(0.1, 3.0, shape),
        "plus_minus": rng.choice([-1.0, 1.0], shape),
        "zero_one": rng.integers(0, 2, shape).astype(float),
        "distribution": _rows_of_sum_one(rng.uniform(0.1, 1.0, shape)),
        "one_hot": np.eye(_CLASSES)[labels],
        "labels": labels,
    }[sample.targets]
    predictions = {
        "real": 2 * rng.standard_normal(shape),
        "positive": rng.uniform(0.1, 3.0, shape),
        "probability": rng.uniform(0.05, 0.95, shape),
        "distribution": _rows_of_sum_one(rng.uniform(0.1, 1.0, shape)),
        "unit": _rows_of_length_one(rng.standard_normal(shape)),
    }[sample.predictions]
    return targets if sample.targets == "labels" else targets.astype(dtype), predictions.astype(
        dtype
    )


def edge_predictions(sample: LossSample, dtype: str = "float64") -> tuple[Array, Array]:
    """Targets and predictions at the clipping bounds and far out."""
    y_true, y_pred = loss_inputs(sample, dtype)
    y_pred = y_pred.copy()
    ends = {"real": (-80.0, 80.0), "positive": (1e-9, 1e4)}.get(sample.predictions, (0.0, 1.0))
    y_pred[0, 0], y_pred[1, 1] = ends
    if sample.predictions == "distribution":
        y_pred[2] = np.eye(_CLASSES)[1]
        y_pred[3] = np.eye(_CLASSES)[0]
    return y_true, y_pred


def kink_predictions(sample: LossSample, dtype: str = "float64") -> tuple[Array, Array]:
    """Targets and predictions exactly where a formula has a corner, a tie or a bound."""
    y_true, y_pred = loss_inputs(sample, dtype)
    y_pred = y_pred.copy()
    y_pred[0] = y_true[0]  # no error; the margin of signed targets
    y_pred[1] = y_true[1] + sample.arguments.get("delta", 1.0)
    y_pred[2] = 2 * y_true[2] - 1 if sample.predictions == "real" else y_true[2]
    y_pred[3] = 0  # ties
    y_pred[4, :2] = [1e-7, 1 - 1e-7]
    y_pred[5, 1:] = 1
    return y_true, y_pred


def _rows_of_sum_one(x: Array) -> Array:
    total = x.sum(axis=-1, keepdims=True)
    return x / total


def _rows_of_length_one(x: Array) -> Array:
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return x / length
