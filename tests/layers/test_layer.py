"""The base class: state, calls, losses, configs, copies."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.layers import Dense, Dropout, Layer
from densekit.layers._base.tracking import no_tracking
from densekit.ops._gradient import value_and_vjp

X = np.ones((2, 3), np.float32)


class Block(Layer):
    """Sub-layers in every kind of container, built by the first call."""

    def __init__(self, units: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = [Dense(units)]
        self.named = {"b": Dense(units)}
        self.pair = (Dense(units), {Dense(units)})
        self.parts.append(Dropout(0.5))

    def call(self, x: Any, training: Any = None) -> Any:
        self.add_loss(keras.ops.sum(x))
        x = self.parts[1](self.parts[0](x))
        y = self.named["b"](x) + self.pair[0](x)
        return y + sum(layer(x) for layer in self.pair[1])


def test_state_is_found_in_containers() -> None:
    block = Block()
    assert [type(layer) for layer in block._dk_layers] == [Dense, Dense, Dense, Dense, Dropout]
    assert block.weights == []
    block(X)
    assert len(block.weights) == 8
    assert len(block.variables) == 9
    assert {v.path.split("/")[0] for v in block.weights} == {"block"}


def test_state_in_containers_is_locked_after_build() -> None:
    block = Block()
    block(X)
    changes: list[Any] = [
        lambda: block.parts.append(Dense(1)),
        lambda: block.parts.extend([Dense(1)]),
        lambda: block.parts.__setitem__(0, Dense(1)),
        lambda: block.named.update(c=Dense(1)),
        lambda: block.pair[1].add(Dense(1)),
        lambda: setattr(block, "new", [[Dense(1)]]),
    ]
    for change in changes:
        with pytest.raises(ValueError, match="already built"):
            change()
    block.note = "plain attributes are free"
    with no_tracking():
        block.free = Dense(1)
    assert len(block._dk_layers) == 5


def test_copies_keep_containers_and_state() -> None:
    block = Block()
    wanted = block(X)
    again = pickle.loads(pickle.dumps(block))
    np.testing.assert_array_equal(again(X), wanted)
    assert again.parts[0] is again._dk_layers[0]
    assert again.named["b"] is again._dk_layers[1]
    with pytest.raises(ValueError, match="already built"):
        again.parts.append(Dense(1))


def test_training_reaches_inner_layers() -> None:
    class Outer(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Dropout(0.5, seed=1)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer, x = Outer(), np.ones((8, 8), np.float32)
    assert (layer(x) == 1).all()
    assert (layer(x, training=False) == 1).all()
    assert set(np.unique(layer(x, training=True))) == {0.0, 2.0}


def test_own_default_of_training_wins_outside() -> None:
    class Always(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Dropout(0.5, seed=1)

        def call(self, x: Any, training: bool = True) -> Any:
            return self.inner(x)

    x = np.ones((8, 8), np.float32)
    assert (Always()(x) == 0).any()
    assert (Always()(x, training=False) == 1).all()


def test_losses_of_a_call_replace_those_of_the_last() -> None:
    block = Block()
    for _ in range(3):
        block(X)
        assert [float(loss) for loss in block.losses] == [6.0]


def test_stateless_call_changes_nothing() -> None:
    block = Block()
    block(X)
    before = [v.numpy() for v in block.variables]
    losses = list(block._dk_losses)
    values = [v.numpy() * 0 for v in block.trainable_variables]
    state = [v.numpy() for v in block.non_trainable_variables]
    y, updated, collected = block.stateless_call(
        values, state, X, training=True, return_losses=True
    )
    assert not y.any()
    assert [float(loss) for loss in collected] == [6.0]
    assert updated[0][1] == state[0][1] + 1  # the counter of the dropout
    assert block._dk_losses == losses
    for a, v in zip(before, block.variables, strict=True):
        np.testing.assert_array_equal(a, v.numpy())


def test_configs_of_plain_constructors_write_themselves() -> None:
    block = Block(3, name="b", trainable=False)
    config = block.get_config()
    assert list(config) == ["name", "units", "trainable", "dtype"]
    again = Block.from_config(config)
    assert (again.name, again.trainable, again.parts[0].units) == ("b", False, 3)

    class Strict(Layer):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

    assert Strict(2).get_config() == {"n": 2}
    assert Strict.from_config(Strict(2).get_config()).n == 2


def test_configs_of_other_constructors_ask_for_get_config() -> None:
    class Custom(Layer):
        def __init__(self, thing: Any) -> None:
            super().__init__()

    with pytest.raises(NotImplementedError, match="get_config"):
        Custom(object()).get_config()


def test_super_must_be_called() -> None:
    class Forgot(Layer):
        def __init__(self) -> None:
            self.inner = Dense(1)

    with pytest.raises(RuntimeError, match="super"):
        Forgot()(X)


def test_a_mask_that_is_given_by_name_has_a_shape_for_build() -> None:
    class Attending(Layer):
        def build(self, inputs_shape: Any, attention_mask_shape: Any = None) -> None:
            self.seen = attention_mask_shape

        def call(self, inputs: Any, attention_mask: Any = None) -> Any:
            return inputs

    layer, plain = Attending(), Attending()
    layer(X, attention_mask=np.ones((2, 1)))
    plain(X)
    assert (layer.seen, plain.seen) == ((2, 1), None)
    assert Attending()(keras.Input((3,)), attention_mask=keras.Input((1,))).shape == (None, 3)


def test_build_may_call_that_of_the_parent_and_add_to_it() -> None:
    class Scaled(Dense):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.factor = self.add_weight(name="factor", initializer="ones")

    layer = Scaled(2, name="s")
    layer(X)
    assert [v.path for v in layer.weights] == ["s/kernel", "s/bias", "s/factor"]
    assert layer.get_build_config() == {"input_shape": (2, 3)}
    other = Scaled(2)
    other.build_from_config(layer.get_build_config())
    assert len(other.weights) == 3


def test_build_with_several_shapes() -> None:
    class Two(Layer):
        def build(self, a_shape: Any, b_shape: Any) -> None:
            self.w = self.add_weight(shape=(a_shape[-1], b_shape[-1]))

        def call(self, a: Any, b: Any) -> Any:
            return keras.ops.matmul(a, self.w) + b

    layer = Two()
    assert layer(X, b=np.ones((2, 4), np.float32)).shape == (2, 4)
    assert layer.get_build_config() == {"shapes_dict": {"a_shape": (2, 3), "b_shape": (2, 4)}}
    other = Two()
    other.build_from_config(layer.get_build_config())
    assert other.w.shape == (3, 4)
    spec = other(keras.Input((3,)), keras.Input((4,)))
    assert spec.shape == (None, 4)

    class Wrong(Two):
        def build(self, a_shape: Any, c_shape: Any) -> None:
            pass

    with pytest.raises(ValueError, match="c_shape"):
        Wrong()(X, X)


def test_a_variable_in_a_formula_gets_its_gradient() -> None:
    class Scale(Layer):
        def build(self, input_shape: Any) -> None:
            self.factor = self.add_weight(shape=(3,), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.factor

    layer = Scale()
    layer(X)

    def loss(factor: Any, x: Any) -> list[Any]:
        return [keras.ops.sum(layer.stateless_call([factor], [], x)[0])]

    _, vjp = value_and_vjp(loss, [np.full(3, 5.0), X * 2])
    d_factor, d_x = vjp([np.float64(1)])
    assert d_factor.tolist() == [4.0, 4.0, 4.0]
    assert (d_x == 5).all()


def test_deleting_a_variable_forgets_it() -> None:
    layer = Dense(2)
    layer(X)
    del layer.bias
    assert [v.name for v in layer.weights] == ["kernel"]


def test_input_shape_is_accepted_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="input_shape"):
        layer = Dense(2, input_shape=(3,))
    assert layer._input_shape_arg == (3,)
    with pytest.warns(UserWarning, match="input_shape"):
        assert Dense(2, input_dim=4)._input_shape_arg == (4,)


def test_building_unbuilt_parts_by_hand_warns() -> None:
    with pytest.warns(UserWarning, match="sub-layers"):
        Block().build((None, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Block()(X)
        Block()(keras.Input((3,)))


def test_symbolic_calls_leave_nodes_and_build_inner_layers() -> None:
    block, x = Block(), keras.Input((3,))
    y = block(x)
    assert y.shape == (None, 2)
    assert block.built
    assert len(block.weights) == 8
    assert (block.input is x, block.output is y) == (True, True)
    assert block._inbound_nodes[0].input_tensors == [x]
    assert block.losses == []


def test_float_inputs_are_cast_and_integers_are_not() -> None:
    class See(Layer):
        def call(self, x: Any) -> Any:
            self.seen = x.dtype
            return x

    layer = See(dtype="float16")
    for given, wanted in (("float64", "float16"), ("int32", "int32"), ("bool", "bool")):
        layer(np.ones((1, 2), given))
        assert layer.seen == wanted
    layer = See(autocast=False)
    layer(np.ones((1, 2), "float64"))
    assert layer.seen == "float64"


def test_nested_inputs_and_keyword_inputs() -> None:
    class Pick(Layer):
        def call(self, data: Any, other: Any = None) -> Any:
            return data["a"] + (0 if other is None else other)

    layer = Pick()
    assert layer({"a": X, "b": X}).tolist() == X.tolist()
    assert layer({"a": X}, other=X).tolist() == (2 * X).tolist()
    assert layer(data={"a": X}).tolist() == X.tolist()


def test_metrics_are_tracked() -> None:
    class Measured(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.mean = keras.metrics.Mean(name="m")

        def call(self, x: Any) -> Any:
            return x

    layer = Measured()
    assert layer.metrics == [layer.mean]
    assert layer.metrics_variables == layer.mean.variables
    assert layer.weights == []
