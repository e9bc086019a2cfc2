"""Memory that users see is theirs.

What goes into a component stays as it is, what comes out is the caller's own, and what was kept of
a model keeps its numbers when the model is trained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit._core import tree
from densekit._core.registry import components
from densekit._core.tensor import MaskedArray, Tensor, give, lend

from . import samples
from .test_layers_contract import create, double, each_sample, rows_of
from .test_metrics_contract import METRICS
from .test_metrics_contract import create as create_metric
from .test_metrics_contract import data as metric_data
from .test_optimizers_contract import OPTIMIZERS

ROWS = 5


def memory(structure: Any) -> list[np.ndarray]:
    """The arrays of a structure."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, np.ndarray)]


def copies(structure: Any) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in memory(structure)]


def overwrite(structure: Any) -> None:
    """Do to the arrays what a user may do to arrays of their own."""
    for array in memory(structure):
        array += np.ones((), array.dtype)
        array[...] = 0


def assert_apart(ours: Any, theirs: Any) -> None:
    assert not any(np.may_share_memory(x, y) for x in memory(ours) for y in memory(theirs))


def assert_own(results: Any, *others: Any) -> None:
    """The results are plain arrays that can be written to without anybody else noticing."""
    for result in memory(results):
        assert type(result) in (np.ndarray, MaskedArray)
        assert result.flags.writeable
    assert_apart(others, results)
    before = copies(others)
    overwrite(results)
    np.testing.assert_equal(copies(others), before)


def buffers(owner: Any) -> list[np.ndarray]:
    return [variable.array for variable in owner.variables]


# ---- Layers


@each_sample
def test_a_layer_gives_arrays_of_the_callers_own(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    layer, inputs = create(name, arguments), rows_of(shape, ROWS, rng)
    given = copies(inputs)
    for training in (False, True):
        assert_own(layer(inputs, training=training), inputs, buffers(layer))
    np.testing.assert_equal(copies(inputs), given)


@each_sample
def test_a_model_gives_arrays_of_the_callers_own(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    inputs = rows_of(shape, ROWS, rng)
    tensors = tree.map_structure(lambda x: keras.Input(x.shape[1:]), inputs)
    model = keras.Model(tensors, create(name, arguments)(tensors))
    given = copies(inputs)
    calls = (
        lambda: model(inputs),
        lambda: model(inputs, training=True),
        lambda: model.predict(inputs, verbose=0),
        lambda: model.predict(inputs, batch_size=2, verbose=0),
        lambda: model.predict_on_batch(inputs),
    )
    first = None
    for call in calls:
        outputs = call()
        kept = copies(outputs)
        call()
        np.testing.assert_equal(copies(outputs), kept)
        assert_own(outputs, inputs, buffers(model), first)
        first = call()
    np.testing.assert_equal(copies(inputs), given)


@each_sample
def test_layers_lend_each_other_what_they_hold(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    """Inside a definition, in-place operators make new arrays, and elements stay."""

    class Careless(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = create(name, arguments)

        def call(self, inputs: Any) -> Any:
            for x in tree.flatten(inputs):
                before = np.array(x)
                h = x
                h += 1
                h *= 2
                np.testing.assert_equal(np.array(x), before)
                with pytest.raises((TypeError, ValueError)):
                    x[0] = 0
            y = self.inner(inputs)
            same = self.inner(inputs)
            for h in tree.flatten(y):
                h -= 1
                with pytest.raises((TypeError, ValueError)):
                    ops.reshape(inputs if not isinstance(inputs, list) else inputs[0], (-1,))[0] = 0
            np.testing.assert_equal(copies(y), copies(same))
            return y

    if "rate" in arguments or "stddev" in arguments:
        arguments = {**arguments, "seed": 3}
    inputs = rows_of(shape, ROWS, rng)
    given = copies(inputs)
    layer = Careless()
    layer(inputs)
    weights = copies(buffers(layer))
    layer(inputs)
    np.testing.assert_equal(copies(inputs), given)
    np.testing.assert_equal(copies(buffers(layer)), weights)


# ---- Formulas


@pytest.mark.parametrize("name", sorted(samples.ACTIVATIONS))
def test_activations(name: str) -> None:
    for sample in samples.ACTIVATIONS[name]:
        for x in samples.activation_inputs("float32"):
            given = x.copy()
            with np.errstate(all="ignore"):
                y = components("keras.activations")[name](x, **sample.arguments)
            assert_apart(x, y)
            overwrite(y)
            np.testing.assert_equal(x, given)


@pytest.mark.parametrize("name", sorted(n for n, s in samples.LOSSES.items() if s))
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
def test_losses(name: str, reduction: Any) -> None:
    for sample in samples.LOSSES[name]:
        loss = components("keras.losses")[name](**sample.arguments, reduction=reduction)
        given = [*samples.loss_inputs(sample, "float32")]
        if "axis" not in sample.arguments and name not in ("Dice", "Tversky"):
            given.append(np.ones(len(given[0]), "float32"))
        before = copies(given)
        with np.errstate(all="ignore"):
            values = loss(*given)
        assert_apart(given, values)
        overwrite(values)
        np.testing.assert_equal(copies(given), before)


@pytest.mark.parametrize("room", ["regularizers", "constraints"])
def test_regularizers_and_constraints(room: str) -> None:
    table = samples.REGULARIZERS if room == "regularizers" else samples.CONSTRAINTS
    for name, entries in table.items():
        for arguments in entries:
            function = components(f"keras.{room}")[name](**arguments)
            for w in samples.weights("float32"):
                variable = keras.Variable(w)
                for given, held in ((w, w), (variable, variable.array)):
                    result = function(given)
                    assert_apart(held, result)
                    overwrite(result)
                    np.testing.assert_equal(held, w)


@pytest.mark.parametrize("name", sorted(n for n, s in samples.INITIALIZERS.items() if s))
def test_initializers(name: str) -> None:
    for arguments in samples.INITIALIZERS[name]:
        initializer = components("keras.initializers")[name](
            **{"seed": 3, **arguments} if "seed" in arguments else arguments
        )
        first = initializer((4, 4))
        kept = np.array(first)
        second = initializer((4, 4))
        overwrite(second)
        np.testing.assert_equal(np.array(first), kept)


def test_an_initializer_does_not_give_its_array_away() -> None:
    value = np.ones((2, 2), "float32")
    initializer = keras.initializers.Constant(value)
    overwrite(initializer((2, 2)))
    np.testing.assert_equal(value, np.ones((2, 2)))
    np.testing.assert_equal(initializer((2, 2)), np.ones((2, 2)))


# ---- Metrics


@pytest.mark.parametrize("name", sorted(METRICS))
def test_metrics(name: str) -> None:
    metric, given = create_metric(name), metric_data(name)
    before = copies(given)
    result = metric(*given)
    kept = copies(result)
    assert_apart((given, buffers(metric)), result)
    metric.update_state(*given)
    metric.reset_state()
    np.testing.assert_equal(copies(result), kept)
    np.testing.assert_equal(copies(given), before)


# ---- Optimizers


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_optimizers_leave_gradients_alone(name: str) -> None:
    ws = [keras.Variable(np.ones((3, 2), "float32")), keras.Variable(np.ones(2, "float32"))]
    gradients = [np.full(w.shape, 0.5, "float32") for w in ws]
    optimizer = OPTIMIZERS[name](learning_rate=0.1, clipnorm=0.1, weight_decay=0.1)
    kept = [w.value for w in ws], optimizer.learning_rate.value, optimizer.iterations.value
    numbers = copies(kept)
    for _ in range(3):
        optimizer.apply(gradients, ws)
    np.testing.assert_equal(gradients, [np.full(w.shape, 0.5, "float32") for w in ws])
    np.testing.assert_equal(copies(kept), numbers)
    assert_apart((buffers(optimizer), [w.array for w in ws]), gradients)


# ---- Values of a model

READERS = {
    "value": lambda v: v.value,
    "numpy": lambda v: v.numpy(),
    "asarray": np.asarray,
    "all": lambda v: v[...],
    "slice": lambda v: v[:1],
    "convert_to_numpy": ops.convert_to_numpy,
    "convert_to_tensor": ops.convert_to_tensor,
    "reshape": lambda v: ops.reshape(v, (-1,)),
    "transpose": ops.transpose,
    "squeeze": ops.squeeze,
    "cast": lambda v: ops.cast(v, v.dtype),
    "expand_dims": lambda v: ops.expand_dims(v, 0),
    "stop_gradient": ops.stop_gradient,
    "stack": lambda v: ops.stack([v, v]),
    "unstack": ops.unstack,
    "list": lambda v: list(v),
    "iterator": lambda v: tuple(iter(v)),
    "linear": lambda v: keras.activations.linear(v[...]),
}


def compiled(**arguments: Any) -> Any:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse", **arguments)
    return model


@pytest.mark.parametrize("reader", sorted(READERS))
def test_what_was_read_of_a_variable_stays(reader: str, rng: Any) -> None:
    model = compiled()
    x, y = rng.standard_normal((8, 3)).astype("float32"), np.ones((8, 1), "float32")
    model.train_on_batch(x, y)
    variables = [*model.variables, *model.optimizer.variables]
    vectors = [v for v in variables if v.ndim or reader in ("value", "numpy", "asarray", "cast")]
    read = [READERS[reader](v) for v in vectors]
    kept = copies(read)
    assert kept
    assert_apart([v.array for v in variables], read)
    model.fit(x, y, epochs=2, verbose=0)
    for variable in vectors:
        variable.assign(variable + 1)
    np.testing.assert_equal(copies(read), kept)
    now = copies([v.array for v in variables])
    for array in memory(read):
        if array.flags.writeable:
            overwrite(array)
        array += np.ones((), array.dtype)
    np.testing.assert_equal(copies([v.array for v in variables]), now)


def test_what_was_read_of_a_model_stays(rng: Any) -> None:
    model = compiled(metrics=["mae"])
    x, y = rng.standard_normal((8, 3)).astype("float32"), np.ones((8, 1), "float32")
    logs = model.fit(x, y, verbose=0).history
    before = {name: list(values) for name, values in logs.items()}
    read = (
        model.get_weights(),
        model.layers[0].get_weights(),
        model(x),
        model.predict(x, verbose=0),
        model.evaluate(x, y, verbose=0),
        [metric.result() for metric in model.metrics],
        model.get_metrics_result(),
    )
    kept = [np.array(leaf) for leaf in tree.flatten(read)]
    model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y))
    np.testing.assert_equal([np.array(leaf) for leaf in tree.flatten(read)], kept)
    assert logs == before
    weights = copies(model.get_weights())
    overwrite(read)
    overwrite(model.get_weights())
    np.testing.assert_equal(copies(model.get_weights()), weights)


class Counting(keras.layers.Layer):
    """Counts its calls in place of an own state, and keeps what it saw."""

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(2,), initializer="ones")
        self.calls = self.add_weight(shape=(2,), initializer="zeros", trainable=False)

    def call(self, inputs: Any) -> Any:
        scale, calls = self.scale.value, self.calls.value
        scale *= 2
        calls += 1
        self.calls.assign(calls)
        calls *= 0
        return inputs * scale


def test_values_handed_in_are_not_changed_nor_handed_on() -> None:
    layer = Counting()
    layer.build((None, 2))
    given = [np.ones(2, "float32")], [np.full(2, 7.0, "float32")]
    x = np.ones((3, 2), "float32")
    outputs, state = layer.stateless_call(*given, x)
    np.testing.assert_equal(state, [[8.0, 8.0]])
    np.testing.assert_equal(outputs, np.full((3, 2), 2.0))
    assert_own((outputs, state), given, buffers(layer), x)
    np.testing.assert_equal(given, ([[1.0, 1.0]], [[7.0, 7.0]]))
    np.testing.assert_equal(layer(x), np.full((3, 2), 2.0))
    np.testing.assert_equal(layer.calls.numpy(), [1.0, 1.0])


# ---- The tensor itself


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "**"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_in_place_operators_make_new_arrays(operator: str, dtype: str) -> None:
    own = np.array([1, 2, 3], dtype)
    names = {"x": lend(own), "y": np.float32(2)}
    exec(f"h = x; h {operator}= y; z = x {operator} y", names)
    assert isinstance(names["h"], Tensor)
    np.testing.assert_allclose(names["h"], names["z"], rtol=1e-6)
    np.testing.assert_equal(own, np.array([1, 2, 3], dtype))
    assert names["h"].dtype == (dtype if dtype != "int32" else "float32")


def test_a_wider_operand_does_not_widen_in_place() -> None:
    x = lend(np.ones(2, "float32"))
    x += np.ones(2)
    assert x.dtype == "float32"


def test_a_given_array_is_plain() -> None:
    own = np.ones(3)
    assert type(give(lend(own))) is np.ndarray
    assert give("text") == lend("text") == "text"
    with pytest.raises(TypeError, match="item assignment"):
        lend(own)[0] = 2
    assert repr(lend(own)) == repr(own)
    assert double(lend(own)).sum() == 6
