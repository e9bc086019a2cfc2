"""Single batches by the short way: the same bits and the same refusals as by the long one."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import densekit as keras
from densekit import losses

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 5)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")
WEIGHTS = RNG.uniform(size=24).astype("float32")
LABELS = RNG.integers(3, size=24)


def compiled(loss="mse", units=2, metrics=None, optimizer="adam", **options):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(8, "relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.3, seed=2),
            keras.layers.Dense(units, **options),
        ]
    )
    model.compile(optimizer, loss, metrics=metrics)
    return model


def is_quick(model, training=True):
    """Whether the next batch like the last one takes the short way."""
    return model._dk_batches.quick.get(training) is not None


def state(model):
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(state(a), state(b), strict=True))


@pytest.mark.parametrize("metrics", [None, ["mae", keras.metrics.RootMeanSquaredError]])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("training", [True, False])
def test_gives_the_bits_of_the_long_way(metrics, weights, training):
    made = [m if isinstance(m, str) else m() for m in metrics or ()]
    quick = compiled(metrics=made)
    long = compiled(metrics=[m if isinstance(m, str) else m() for m in metrics or ()])
    for rows in (24, 24, 7, 24, 1):
        logs = []
        for model in (quick, long):
            call = model.train_on_batch if training else model.test_on_batch
            long._dk_batches.quick.clear()
            w = None if weights is None else weights[:rows]
            logs.append(call(X[:rows], Y[:rows], w, return_dict=True))
        assert logs[0] == logs[1]
        assert same(quick, long)
    assert is_quick(quick, training)


def test_returns_what_it_returned_before():
    model = compiled(metrics=["mae"])
    first = model.test_on_batch(X, Y)
    assert is_quick(model, False)
    assert model.test_on_batch(X, Y) == first
    assert [type(value) for value in first] == [float, float]


def test_labels_are_looked_at_each_time():
    model = compiled("sparse_categorical_crossentropy", 3, activation="softmax")
    model.train_on_batch(X, LABELS)
    assert is_quick(model)
    before = state(model)
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        model.train_on_batch(X, LABELS + 1)
    floats = LABELS.astype("float32")
    model.train_on_batch(X, floats)
    before = state(model)
    for bad in (np.nan, 0.5):
        with pytest.raises(ValueError, match="labels"):
            model.train_on_batch(X, np.where(floats == 1, np.float32(bad), floats))
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))


def test_plus_minus_labels_are_warned_of_each_time():
    model = compiled("binary_crossentropy", 2, activation="sigmoid")
    model.train_on_batch(X, (Y > 0).astype("float32"))
    assert is_quick(model)
    with pytest.warns(UserWarning, match="targets from 0 to 1"):
        model.train_on_batch(X, np.sign(Y))


@pytest.mark.parametrize(
    ("x", "y", "weight", "text"),
    [
        (X[:, :4].copy(), Y, None, "input shape"),
        (X, Y[:, :1].repeat(3, 1), None, "shape"),
        (X, Y[:5].copy(), None, "cardinality"),
        (X, Y, WEIGHTS[:3], "cardinality"),
        (X[:0], Y[:0], None, "at least one sample"),
        (X, None, None, "targets"),
    ],
)
def test_refuses_what_does_not_fit(x, y, weight, text):
    model = compiled()
    for _ in range(2):
        model.train_on_batch(X, Y, None if weight is None else WEIGHTS)
    assert is_quick(model)
    before = state(model)
    with pytest.raises(ValueError, match=text):
        model.train_on_batch(x, y, weight)
    assert all(np.array_equal(a, b) for a, b in zip(before, state(model), strict=True))


@pytest.mark.parametrize(
    "other",
    [X.astype("float64"), np.asfortranarray(X), X[::-1], X.tolist(), X.astype("float16")],
    ids=["double", "fortran", "reversed", "list", "half"],
)
def test_other_kinds_of_arrays_are_taken_as_before(other):
    quick, long = compiled(), compiled()
    quick.train_on_batch(X, Y)
    long.train_on_batch(X, Y)
    long._dk_batches.quick.clear()
    other = other if isinstance(other, np.ndarray) else np.array(other)
    assert quick.train_on_batch(other, Y) == long.train_on_batch(other, Y)
    assert same(quick, long)


@pytest.mark.parametrize("name", ["predict", "predict_on_batch"])
def test_numbers_that_are_objects_are_predicted_each_time(name):
    model = compiled()
    predict = getattr(model, name)
    expected = predict(X)
    for x in (X.astype(object), X, X.astype(object)):
        np.testing.assert_allclose(predict(x), expected, rtol=1e-6)


def freeze(model):
    model.layers[0].trainable = False


def set_rate(model):
    model.optimizer.learning_rate = 0.5


def clip(model):
    model.optimizer.clipnorm = 1e-3


def penalize(model):
    model.layers[0].kernel.regularizer.l2 = np.float32(3.0)


def compile_anew(model):
    model.compile("sgd", "mae")


def replace_optimizer(model):
    model.optimizer = keras.optimizers.SGD(0.1)


def assign(model):
    model.layers[-1].kernel.assign(np.ones((8, 2)))


def constrain(model):
    model.layers[-1].kernel.constraint = keras.constraints.NonNeg()


@pytest.mark.parametrize(
    "change",
    [
        freeze,
        set_rate,
        clip,
        penalize,
        compile_anew,
        replace_optimizer,
        assign,
        constrain,
    ],
)
def test_changes_of_the_model_count_at_once(change):
    quick, long, unchanged = compiled(), compiled(), compiled()
    for model in (quick, long, unchanged):
        model.train_on_batch(X, Y)
        model.train_on_batch(X, Y)
        if model is not unchanged:
            change(model)
    long._dk_batches.quick.clear()
    results = [model.train_on_batch(X, Y) for model in (quick, long, unchanged)]
    assert results[0] == results[1]
    weights = [[v.numpy() for v in model.variables] for model in (quick, long, unchanged)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def test_a_layer_that_is_added_counts():
    model = compiled()
    model.train_on_batch(X, Y)
    model.add(keras.layers.Dense(4))
    with pytest.raises(ValueError, match="shape"):
        model.train_on_batch(X, Y)


def test_copies_of_a_model_begin_anew():
    model = compiled()
    model.train_on_batch(X, Y)
    copied = copy.deepcopy(model)
    assert is_quick(model)
    assert not is_quick(copied)
    assert copied.train_on_batch(X, Y) == model.train_on_batch(X, Y)


def test_the_loss_can_be_read_from_its_variables():
    model = compiled()
    for rows in (24, 10):
        loss = model.train_on_batch(X[:rows], Y[:rows])
        tracker = model.metrics[0]
        assert float(tracker.count.numpy()) == rows
        assert float(tracker.total.numpy()) / rows == pytest.approx(loss, rel=1e-6)


@pytest.mark.filterwarnings("ignore:t[a-z]+_on_batch:RuntimeWarning")
def test_a_loss_beyond_float32_reads_as_infinity():
    model = compiled("mse")
    model.layers[-1].kernel.assign(np.full((8, 2), 1e30))
    for _ in range(2):
        assert model.test_on_batch(np.abs(X) * 1e7, Y) == np.inf


_BUILT_IN = {
    name
    for name, kind in ((name, getattr(losses, name)) for name in dir(losses))
    if isinstance(kind, type)
    and issubclass(kind, losses.LossFunctionWrapper)
    and kind is not losses.LossFunctionWrapper
}


def _outcome(loss, targets):
    """What the checks say of targets: the text of an error or a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            losses.check_targets(loss, targets, (None, 3), "y")
        except ValueError as error:
            return str(error)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", sorted(_BUILT_IN))
def test_losses_whose_checks_look_at_values_say_so(name):
    kind = getattr(keras.losses, name)
    loss = kind()
    for shape in ((4,), (4, 1), (4, 3)):
        outcomes = [
            _outcome(loss, np.full(shape, value, "float32")) for value in (0, 0.5, -1, 7, np.nan)
        ]
        looks = any(outcome != outcomes[0] for outcome in outcomes)
        assert losses.checks_values(loss) or not looks
