"""Every native kernel against the definition it stands for, values and gradients, both types.

A float64 kernel is held against the float64 definition. A float32 kernel is too, on the same
float32 inputs, where the formula has no constant that rounding changes; losses clip at epsilon and
1 - epsilon, and their float32 kernels are held against the float32 definition.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from densekit import activations, constraints, losses, regularizers
from densekit._core.native_form import NativeForm, native_form
from densekit._core.seeds import philox_words
from densekit.engines.op_rules.elementwise import _UNARY
from densekit.ops._gradient import value_and_vjp

from . import samples
from .compare import assert_close

FLOATS = ("float32", "float64")

ACTIVATIONS = [
    (n, s) for n, entries in samples.ACTIVATIONS.items() for s in entries if s.form is not None
]
LOSSES = [(n, s) for n, entries in samples.LOSSES.items() for s in entries]
REGULARIZERS = [(n, a) for n, entries in samples.REGULARIZERS.items() for a in entries]
CONSTRAINTS = [(n, a) for n, entries in samples.CONSTRAINTS.items() for a in entries]


@pytest.fixture(scope="module")
def native() -> Any:
    """The native module; without it these tests fail."""
    import densekit._native as module

    return module


def cotangent_like(y: Any, dtype: str) -> Any:
    return np.random.default_rng(21).standard_normal(np.shape(y)).astype(dtype)


# ---- Every kernel is reached


def test_every_activation_kernel_has_a_definition(native: Any) -> None:
    reached = {(s.form.kind, len(s.form.parameters)) for _, s in ACTIVATIONS}
    reached |= {(kind, 0) for kind in [*_UNARY.values(), "round"]}  # ops: test_native_ops.py
    assert reached == set(native.testing.activation_kinds().items())


def test_every_loss_kernel_has_a_definition(native: Any) -> None:
    forms = [getattr(losses, n)(**s.arguments).native_form() for n, s in LOSSES]
    reached = {(form.kind, len(form.parameters)) for form in forms if form is not None}
    assert reached == set(native.testing.loss_kinds().items())


def test_every_regularizer_and_constraint_kernel_has_a_definition(native: Any) -> None:
    for room, cases, kinds in (
        (regularizers, REGULARIZERS, native.testing.regularizer_kinds()),
        (constraints, CONSTRAINTS, native.testing.constraint_kinds()),
    ):
        forms = [native_form(getattr(room, n)(**a)) for n, a in cases]
        reached = {(form.kind, len(form.parameters)) for form in forms if form is not None}
        assert reached == {(kind, count) for kind, count in kinds.items() if kind != "none"}


# ---- Declarations


@pytest.mark.parametrize("name", samples.ACTIVATIONS)
def test_declared_forms_are_those_of_the_defaults(name: str) -> None:
    declared = native_form(getattr(activations, name))
    by_default = [s.form for s in samples.ACTIVATIONS[name] if not s.arguments]
    assert [declared] == (by_default or [None])


def test_forms_equal_themselves() -> None:
    """A plan is kept as long as they do: one NaN is not like another."""
    for name, sample in LOSSES:
        loss = getattr(losses, name)(**sample.arguments)
        assert native_form(loss) == native_form(loss), name


def test_a_subclass_has_no_native_form() -> None:
    """Its formula may be another one."""

    class Shifted(losses.MeanSquaredError):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return super().call(y_true, y_pred) + 1

    class Doubled(regularizers.L2):
        def __call__(self, x: Any) -> Any:
            return 2 * super().__call__(x)

    assert native_form(losses.MeanSquaredError()) == NativeForm("mean_squared_error")
    assert native_form(Shifted()) is None
    assert native_form(regularizers.L2(0.5)) == NativeForm("l1l2", (0.0, 0.5))
    assert native_form(Doubled(0.5)) is None


@pytest.mark.parametrize(
    "loss",
    [
        losses.BinaryCrossentropy(axis=0),
        losses.CategoricalCrossentropy(axis=1),
        losses.SparseCategoricalCrossentropy(ignore_class=0),
        losses.MeanSquaredError(dtype="float16"),
        losses.Huber(delta=np.ones(3)),
        losses.CosineSimilarity(axis=0),
        losses.CategoricalFocalCrossentropy(alpha=[0.25, 0.75]),
        losses.BinaryFocalCrossentropy(axis=0),
        losses.Dice(axis=0),
        losses.Tversky(axis=(0, 1)),
    ],
)
def test_what_a_kernel_cannot_express_has_no_form(loss: Any) -> None:
    assert native_form(loss) is None


@pytest.mark.parametrize("axis", [-1, (0,), 2])
def test_axes_a_kernel_cannot_express(axis: Any) -> None:
    assert native_form(constraints.MaxNorm(axis=axis)) is None
    assert native_form(constraints.UnitNorm(axis=axis)) is None
    assert native_form(constraints.MinMaxNorm(axis=axis)) is None


def test_functions_with_arguments_have_the_form_of_their_class() -> None:
    wrapped = losses.LossFunctionWrapper(losses.binary_crossentropy, label_smoothing=0.5)
    assert native_form(wrapped) == NativeForm("binary_crossentropy", (0.0, 0.5, 1e-7))
    assert native_form(losses.as_loss("mse")) == NativeForm("mean_squared_error")
    assert native_form(losses.as_loss(lambda y_true, y_pred: y_pred)) is None


# ---- Activations


def value_scale(name: str, x: Any, y: Any) -> Any:
    """The size of what was rounded on the way: the result, an exponent, a cancelled term."""
    size = np.nan_to_num(np.abs(x), posinf=0.0)
    if name in ("softmax", "log_softmax", "sparsemax", "glu"):
        size = np.max(size, axis=-1, keepdims=True)
    return np.abs(y) * (1 + size) + (size + 1 if name in samples.CANCELLING else 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "sample"), ACTIVATIONS)
def test_activation(native: Any, name: str, sample: samples.ActivationSample, dtype: str) -> None:
    def function(x: Any) -> Any:
        return getattr(activations, name)(x, **sample.arguments)

    kind, parameters = sample.form.kind, sample.form.parameters
    for given in samples.activation_inputs(dtype):
        given = np.clip(given, -80, 80) if name == "exponential" else given
        x = given.astype("float64")
        value, vjp = value_and_vjp(function, [x])
        found = native.testing.activation(kind, list(parameters), given)
        assert found.dtype == dtype
        assert_close(found, value, ulps=8, scale=value_scale(name, x, value), what=name)

        cotangent = cotangent_like(value, dtype)
        gradient = vjp(cotangent.astype("float64"))[0]
        found = native.testing.activation_gradient(kind, list(parameters), given, cotangent)
        assert found.dtype == dtype
        # Slopes read the rounded output y, so their error is absolute in units of 1 + abs(x).
        size = np.max(np.abs(x), axis=-1, keepdims=True) if name == "glu" else np.abs(x)
        scale = (1 + size) * (1 + np.abs(gradient)) * np.max(np.abs(cotangent))
        assert_close(found, gradient, ulps=16, scale=scale, what=f"gradient of {name}")


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "sample"), ACTIVATIONS)
def test_activation_of_infinities(
    native: Any, name: str, sample: samples.ActivationSample, dtype: str
) -> None:
    """NaN stays NaN everywhere; infinities have the limit of the formula as written, or NaN."""
    if name in ("softmax", "log_softmax", "sparsemax", "glu"):
        return  # rows: one NaN decides about all
    kind, parameters = sample.form.kind, sample.form.parameters
    x = samples.special_inputs(dtype)
    expected = np.asarray(getattr(activations, name)(x.astype("float64"), **sample.arguments))
    found = native.testing.activation(kind, list(parameters), x)
    assert np.isnan(found[0, 2]) and np.isnan(expected[0, 2])
    limits = np.isfinite(expected) | np.isinf(expected)
    assert_close(found[limits], expected[limits], ulps=8, scale=2 * np.abs(expected[limits]) + 1)


# ---- Losses


def native_targets(sample: samples.LossSample, y_true: Any) -> Any:
    return y_true.astype("int32") if sample.targets == "labels" else y_true


WHOLE_BATCH = {"Dice", "Tversky"}  # with their defaults


def as_a_row(form: NativeForm, y: Any) -> Any:
    """What the kernel takes for rows: of a loss over the whole batch there is one."""
    return y.reshape(1, -1) if form.whole_batch else y


def native_losses() -> list[tuple[str, samples.LossSample]]:
    """Losses with a kernel; ignored classes, which the class keeps from it, included."""
    found = []
    for name, sample in LOSSES:
        form = getattr(losses, name)(**sample.arguments).native_form()
        if form is not None or "ignore_class" in sample.arguments:
            found.append((name, sample))
    return found


def test_all_losses_have_a_kernel() -> None:
    host = ("Loss", "Circle")  # one abstract, one of pairs of rows
    by_default = {n: getattr(losses, n)() for n in samples.LOSSES if n not in host}
    assert not {n for n, loss in by_default.items() if native_form(loss) is None}
    assert {n for n, loss in by_default.items() if loss.native_form().whole_batch} == WHOLE_BATCH


def row_form(name: str, sample: samples.LossSample) -> NativeForm:
    """The kernel of a loss' rows."""
    arguments = dict(sample.arguments)
    ignored = arguments.pop("ignore_class", None)
    form = getattr(losses, name)(**arguments).native_form()
    assert form is not None
    if ignored is None:
        return form
    return NativeForm(form.kind, (form.parameters[0], float(ignored), form.parameters[2]))


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "sample"), native_losses())
def test_loss(native: Any, name: str, sample: samples.LossSample, dtype: str, edges: bool) -> None:
    y_true, y_pred = (samples.edge_predictions if edges else samples.loss_inputs)(sample, dtype)
    function = getattr(losses, name)(reduction=None, dtype=dtype, **sample.arguments)
    ignored = sample.arguments.get("ignore_class")
    value, vjp = value_and_vjp(lambda p: function.call(y_true, p), [y_pred])
    gradient = vjp(np.ones_like(value))[0]
    form = row_form(name, sample)
    y_true, y_pred, gradient = (as_a_row(form, a) for a in (y_true, y_pred, gradient))
    value = value.reshape(len(y_pred))
    targets = native_targets(sample, y_true)
    arguments = (form.kind, list(form.parameters), targets, y_pred)

    rows = native.testing.loss(*arguments)
    assert rows.shape == value.shape and rows.dtype == dtype
    assert_close(rows, value, ulps=16, scale=np.abs(value) + 1, what=name)
    if ignored is not None:
        assert not rows[y_true == ignored].any()

    found = native.testing.loss_gradient(*arguments)
    assert found.shape == y_pred.shape and found.dtype == dtype
    if edges and name == "CategoricalGeneralizedCrossEntropy":
        return  # the slope is infinite where the right class has probability 0
    scale = np.max(np.abs(gradient), axis=-1, keepdims=True) + 1
    assert_close(found, gradient, ulps=16, scale=scale, what=f"gradient of {name}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("name", "sample"), [(n, s) for n, s in native_losses() if s.targets != "labels"]
)
def test_loss_at_corners(native: Any, name: str, sample: samples.LossSample, dtype: str) -> None:
    """Which slope a corner has, and who shares a tie, is what `autograd` says of the definition."""
    y_true, y_pred = samples.kink_predictions(sample, dtype)
    function = getattr(losses, name)(reduction=None, dtype=dtype, **sample.arguments)
    value, vjp = value_and_vjp(lambda p: function.call(y_true, p), [y_pred])
    gradient = vjp(np.ones_like(value))[0]
    form = row_form(name, sample)
    y_true, y_pred, gradient = (as_a_row(form, a) for a in (y_true, y_pred, gradient))
    found = native.testing.loss_gradient(form.kind, list(form.parameters), y_true, y_pred)
    scale = np.max(np.abs(gradient), axis=-1, keepdims=True) + 1
    assert_close(found, gradient, ulps=16, scale=scale, what=f"gradient of {name}")


PAIRS = [
    ("BinaryCrossentropy", "sigmoid", "zero_one"),
    ("CategoricalCrossentropy", "softmax", "one_hot"),
    ("SparseCategoricalCrossentropy", "softmax", "labels"),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize(("name", "activation", "targets"), PAIRS)
def test_fused_pair(
    native: Any, name: str, activation: str, targets: str, smoothing: float, dtype: str
) -> None:
    """Activation and loss in one: agrees with the loss from logits, and with the two apart."""
    smooth = {} if targets == "labels" else {"label_smoothing": smoothing}
    sample = samples.LossSample(targets, "real", {"from_logits": True, **smooth})
    y_true, z = samples.loss_inputs(sample, dtype)
    whole = getattr(losses, name)(reduction=None, dtype=dtype, **sample.arguments)
    apart = getattr(losses, name)(reduction=None, dtype=dtype, **smooth)
    value, vjp = value_and_vjp(lambda z: whole.call(y_true, z), [z])
    form = row_form(name, sample)
    kind, parameters = form.kind, form.parameters
    rows, y, dz = native.testing.loss_from_logits(
        kind, list(parameters), native_targets(sample, y_true), z
    )
    probabilities = getattr(activations, activation)(z)
    assert_close(rows, value, ulps=16, scale=np.abs(value) + 1, what="loss")
    assert_close(y, probabilities, ulps=16, scale=1.0, what="activation")
    assert_close(dz, vjp(np.ones_like(value))[0], ulps=16, scale=1.0, what="gradient")
    separate = apart.call(y_true, probabilities)
    # Apart, probabilities are rounded first and 1 - p cancels: an error of eps / p at the smallest.
    smallest = min(float(probabilities.min()), float((1 - probabilities).min()))
    assert_close(rows, separate, ulps=16, scale=1 / smallest, what="apart")


def test_a_label_without_class_is_refused(native: Any) -> None:
    """The definition, like Keras, has no target there; the kernel is never handed one."""
    y_pred = np.full((1, 3), 1 / 3)
    form = ("sparse_categorical_crossentropy", [0.0, math.nan, 1e-7])
    labels = np.array([7], "int32")
    assert losses.sparse_categorical_crossentropy(labels, y_pred).tolist() == [0.0]
    with pytest.raises(ValueError, match="label"):
        native.testing.loss(*form, labels, y_pred)


# ---- Regularizers and constraints


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_regularizer(native: Any, name: str, arguments: dict[str, Any], dtype: str) -> None:
    regularizer = getattr(regularizers, name)(**arguments)
    form = native_form(regularizer)
    assert form is not None
    for given in samples.weights(dtype):
        w = given.astype("float64")
        value, vjp = value_and_vjp(regularizer, [w])
        gradient = vjp(1.0)[0]
        found, slope = native.testing.regularizer(form.kind, list(form.parameters), given)
        eps = np.finfo(dtype).eps
        assert abs(found - value) <= 4 * eps * w.size * (abs(value) + eps)
        assert slope.dtype == dtype
        scale = np.abs(gradient) + np.max(np.abs(gradient))
        assert_close(slope, gradient, ulps=4 * w.size, scale=scale, what=name)


def test_one_vector_is_orthogonal(native: Any) -> None:
    value, slope = native.testing.regularizer("orthogonal", [0.5, 0.0], np.ones((1, 4)))
    assert value == 0
    assert not slope.any()
    assert float(regularizers.OrthogonalRegularizer(0.5)(np.ones((1, 4)))) == 0


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS)
def test_constraint(native: Any, name: str, arguments: dict[str, Any], dtype: str) -> None:
    constraint = getattr(constraints, name)(**arguments)
    form = native_form(constraint)
    if name == "Constraint":
        assert form is None
        return
    for given in samples.weights(dtype):
        expected = constraint(given.astype("float64"))
        found = native.testing.constraint(form.kind, list(form.parameters), given)
        assert found.dtype == dtype
        assert_close(found, expected, ulps=w_ulps(given), what=name)
        if given.shape[1] == 1 or dict(arguments).get("axis", 0) != 0:
            continue
        bias = given[:, 0].copy()  # a bias counts as a column
        expected = constraint(bias.astype("float64"))
        found = native.testing.constraint(form.kind, list(form.parameters), bias.reshape(-1, 1))
        assert_close(found.reshape(-1), expected, ulps=w_ulps(given), what=f"{name} of a bias")


def w_ulps(w: Any) -> float:
    """A norm adds up as many squares as there are weights."""
    return 8.0 + w.size


# ---- Random bits


@pytest.mark.parametrize(("key", "counter"), [(0, 0), (7, 1), (2**40 + 3, 2**33 + 5)])
def test_random_words(native: Any, key: int, counter: int) -> None:
    for count in (1, 3, 4, 5, 1001):
        words = native.testing.philox(key, counter, count)
        assert np.array_equal(words, philox_words(key, counter, count))


def shuffled(key: int, counter: int, n: int, block: int) -> list[int]:
    """Durstenfeld's shuffle inside blocks, with Lemire's bounded integers from a stream."""
    words = iter(philox_words(key, counter, 2 * n + 8).tolist())

    def below(bound: int) -> int:
        product = next(words) * bound
        while product % 2**32 < 2**32 % bound:
            product = next(words) * bound
        return product >> 32

    order = list(range(n))
    for first in range(0, n, block):
        for last in range(min(block, n - first) - 1, 0, -1):
            place = below(last + 1)
            a, b = first + last, first + place
            order[a], order[b] = order[b], order[a]
    return order


@pytest.mark.parametrize(("key", "counter"), [(0, 0), (7, 1), (2**40 + 3, 2**33 + 5)])
def test_permutation(native: Any, key: int, counter: int) -> None:
    for n, block in ((0, 1), (1, 1), (2, 2), (17, 17), (100, 7), (1000, 1000), (50, 80), (9, 1)):
        order = native.permutation(key, counter, n, block)
        assert order.dtype == np.int64
        assert order.tolist() == shuffled(key, counter, n, block)


def test_every_permutation_is_as_likely(native: Any) -> None:
    drawn = [tuple(native.permutation(9, counter, 4, 4).tolist()) for counter in range(24000)]
    counts = np.unique(np.array(drawn), axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert np.sum((counts - 1000) ** 2 / 1000) < 50  # chi-squared, 23 degrees: 1 in 1000 is above


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_dropout(native: Any, rate: float, dtype: str) -> None:
    x = np.random.default_rng(2).standard_normal((5, 7)).astype(dtype)
    kept = philox_words(9, 4, x.size).reshape(x.shape) >= rate * 2**32
    expected = np.where(kept & (rate < 1), x / (1 - rate) if rate < 1 else 0, 0)
    assert_close(native.testing.dropout(x, rate, 9, 4), expected, ulps=2)


def test_the_comparison_with_a_kernel_can_fail(native: Any) -> None:
    x = samples.activation_inputs("float32")[0]
    wrong = native.testing.activation("elu", [1.0 + 1e-4], x)
    value = activations.elu(x.astype("float64"))
    with pytest.raises(AssertionError, match="elu"):
        assert_close(wrong, value, ulps=8, scale=value_scale("elu", x, value), what="elu")
