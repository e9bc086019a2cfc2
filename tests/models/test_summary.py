"""The table of layers: what Keras' has not, or says less well."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras

L = keras.layers


def text(model, **kwargs) -> str:
    lines = []
    model.summary(print_fn=lines.append, **kwargs)
    (whole,) = lines
    return whole


class Custom(L.Layer):
    def call(self, x):
        return keras.ops.sinc(x)


def test_an_own_activation_is_marked() -> None:
    table = text(
        keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(3, activation=keras.ops.sinc, name="own"),
                keras.layers.Dense(3, activation="gelu", name="native"),
                keras.layers.Dense(1, name="linear"),
                keras.layers.Activation(lambda x: keras.ops.sinc(x), name="shifted"),
            ]
        )
    )
    assert "own (Dense) [python]" in table
    assert "shifted (Activation) [python]" in table
    assert table.count("[python]") == 2


def test_parts_on_the_host_are_marked() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, Custom()(L.Dense(3)(x)))
    table = text(model, line_length=100)
    assert "custom (Custom) [python]" in table
    assert table.count("[python]") == 1


@pytest.mark.filterwarnings("ignore:Looks.*can be followed")
def test_a_model_that_cannot_be_followed_is_marked() -> None:
    class Looks(keras.Model):
        def call(self, x):
            return x if float(keras.ops.sum(x)) > 0 else -x

    inner = Looks(name="looks")
    inner(np.ones((1, 4), "float32"))
    x = keras.Input((4,))
    assert "looks (Looks) [python]" in text(keras.Model(x, inner(x)), line_length=100)


def test_prints_by_default(capsys) -> None:
    keras.Sequential([keras.Input((4,)), L.Dense(3)], name="net").summary()
    out = capsys.readouterr().out
    assert out.startswith('Model: "net"\n┏') and out.endswith("Non-trainable params: 0 (0.00 B)\n")


def test_every_line_is_as_long_as_asked() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="n" * 90), L.Dense(2)])
    for width in (60, 88, 120):
        table = [line for line in text(model, line_length=width).split("\n") if line[:1] in "┏┡│├└"]
        assert {len(line) for line in table if line} == {width}
    shown = text(model, line_length=88).split("\n")
    cells = (line.split("│")[1].strip() for line in shown if "nnn" in line)
    assert "".join(cells) == "n" * 90 + " (Dense)"


def test_nested_structures_of_outputs() -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, {"a": L.Dense(2)(x), "b": [L.Dense(3)(x)]}, name="inner")
    y = keras.Input((4,))
    outer = keras.Model(y, inner(y)["a"])
    assert "{a: (None, 2), b: [(None, 3)]}" in text(outer, line_length=140)


@pytest.mark.parametrize(
    "options", [{"line_length": 8}, {"layer_range": ["a"]}, {"layer_range": ["zz", "zz"]}]
)
def test_what_cannot_be_shown(options) -> None:
    with pytest.raises(ValueError):
        text(keras.Sequential([keras.Input((4,)), L.Dense(3)]), **options)
