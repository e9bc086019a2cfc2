"""Small objects and corners against Keras': `Function`, `SymbolicScope`, `utils.Config`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit

X = np.ones((2, 3), "float32")
BOTH = (densekit, keras)


def tensors(k: Any) -> list[Any]:
    return [k.KerasTensor((None, 3)), k.KerasTensor((None, 3))]


def of_two(k: Any) -> Any:
    a, b = tensors(k)
    return k.Function([a, b], k.ops.sigmoid(a + b), name="it")


def test_functions() -> None:
    found = []
    for k in BOTH:
        function = of_two(k)
        symbolic = function(tensors(k))
        structured = k.Function({"x": (x := tensors(k)[0])}, {"y": [x * 2]})({"x": X})
        layered = k.Function(x, k.layers.Dense(2, kernel_initializer="ones")(x))
        found.append(
            [
                np.asarray(function([X, X])).tolist(),
                (tuple(symbolic.shape), symbolic.dtype),
                function.compute_output_shape([(4, 3), (4, 3)]),
                [type(one).__name__ for one in function.operations],
                (len(function.inputs), len(function.outputs), function.name),
                np.asarray(structured["y"][0]).tolist(),
                np.asarray(layered(X)).tolist(),
            ]
        )
    assert found[0] == found[1]


def test_sources() -> None:
    for k in BOTH:
        a, b = k.Input((3,)), k.Input((3,))
        summed = k.layers.Dense(2)(k.layers.Add()([a, b, a]))
        sources = k.utils.get_source_inputs(summed)
        assert len(sources) == 2 and sources[0] is a and sources[1] is b
        assert k.utils.get_source_inputs(a)[0] is a
        c, d = tensors(k)
        loose = k.utils.get_source_inputs(k.ops.sigmoid(c + d))
        assert len(loose) == 2 and loose[0] is c and loose[1] is d
        assert k.utils.get_source_inputs(3) == 3
    x = first = densekit.Input((3,))
    for _ in range(2000):
        x = densekit.layers.Identity()(x)
    assert densekit.utils.get_source_inputs(x)[0] is first


def config(k: Any) -> Any:
    made = k.utils.Config(b=1, a="x")
    made.z = 3
    made["q"] = 4
    return made


def test_configs() -> None:
    found = []
    for k in BOTH:
        one = config(k)
        seen = [one.b, one["z"], list(one), len(one), "b" in one, one.as_dict(), one.to_json()]
        seen += [repr(one), list(one.keys()), list(one.values()), list(one.items())]
        seen += [one.get("n", 5), one.get("b"), one.pop("q"), one.pop("q", 7), one.frozen]
        one.freeze()
        seen.append(one.frozen)
        one.unfreeze()
        one.update({"b": 9}, c=1)
        del one["a"]
        found.append([*seen, one.as_dict(), one.frozen])
    assert found[0] == found[1]


def test_symbolic_scopes() -> None:
    for k in BOTH:
        scope = k.SymbolicScope()
        with scope as inside:
            assert inside is scope


def frozen(k: Any) -> Any:
    made = config(k)
    made.freeze()
    return made


ERRORS: dict[str, Any] = {
    "no inputs": lambda k: k.Function([], tensors(k)[0]),
    "no outputs": lambda k: k.Function(tensors(k), []),
    "not connected": lambda k: k.Function((t := tensors(k))[:1], t[0] + t[1]),
    "too few": lambda k: of_two(k)([X]),
    "not nested": lambda k: of_two(k)(X),
    "another shape": lambda k: of_two(k)([X, np.ones((2, 4), "float32")]),
    "no entry": lambda k: config(k).nothing,
    "no key": lambda k: config(k)["nothing"],
    "frozen attribute": lambda k: setattr(frozen(k), "b", 2),
    "frozen item": lambda k: frozen(k).__setitem__("b", 2),
    "frozen deletion": lambda k: frozen(k).__delitem__("b"),
    "frozen pop": lambda k: frozen(k).pop("b"),
    "frozen update": lambda k: frozen(k).update(b=2),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_type_is_that_of_keras(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        ERRORS[name](keras)
    with pytest.raises(theirs.type):
        ERRORS[name](densekit)


def test_a_mistyped_entry_is_named() -> None:
    made = densekit.utils.Config(learning_rate=0.1)
    with pytest.raises(AttributeError, match="'learning_rate'"):
        made.learningrate  # noqa: B018


def _policies(k: Any) -> list[str]:
    seen = []

    class Noting(k.layers.Dense):  # type: ignore[misc, name-defined]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            seen.append(repr(kwargs["dtype"]))
            super().__init__(*args, **kwargs)

    for dtype in ("bfloat16", "int8_from_bfloat16"):
        Noting.from_config(k.layers.Dense(2, dtype=dtype).get_config())
    return seen


def _own_mask(k: Any) -> Any:
    class Same(k.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any, mask: Any = None) -> Any:
            return x

        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            return x

    return np.asarray(Same()(np.array([0.0, 1.0]), mask=np.array([0, 1]))).tolist()


def _channels_first(k: Any) -> Any:
    k.config.set_image_data_format("channels_first")
    try:
        images = np.ones((2, 3, 4, 3), "float32")
        layer = k.layers.Rescaling(scale=[1.0, 2.0, 3.0], offset=0.5)
        model = k.Sequential([k.Input((3, 4, 3)), layer])
        return np.asarray(layer(images))[0].tolist(), model.predict(images, verbose=0)[0].tolist()
    finally:
        k.config.set_image_data_format("channels_last")


def _endless(k: Any) -> list[int]:
    class Numbers(k.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __getitem__(self, index: int) -> int:
            return index

    return [number for number, _ in zip(Numbers(), range(4), strict=False)]


def _solved(k: Any) -> Any:
    a = np.array([[[1, 0], [2, 4]]] * 2, "float32")
    return np.asarray(k.ops.solve_triangular(a, a[:, 1], lower=True)).tolist()


SAME = {
    "policies that constructors get": _policies,
    "a tensor that is its mask": _own_mask,
    "rescaled channels": _channels_first,
    "a data set of no length": _endless,
    "a vector for each triangle": _solved,
    "names of axes": lambda k: k.distribution.DeviceMesh((1,), ["a"], ["cpu:0"]).axis_names,
    "no type": lambda k: (k.backend.result_type(), k.backend.result_type(None)),
    "a block": lambda k: (
        k.ops.slice(k.KerasTensor((3, 3)), k.KerasTensor((2,), "int32"), (-1, 2)).shape
    ),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings("ignore:.*batched 1D solves:FutureWarning")
def test_same_as_in_keras(name: str) -> None:
    assert SAME[name](densekit) == SAME[name](keras)


REFUSED = {
    "no variable": lambda k: k.StatelessScope(state_mapping=[("x", np.ones(2))]),
    "value of another shape": lambda k: k.StatelessScope([(k.Variable([1.0]), np.ones(3))]),
    "value of a constructor": lambda k: k.layers.Dense.from_config({"units": -1}),
    "argument of a constructor": lambda k: k.layers.Dense.from_config({"foo": 1}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_type_of_keras(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        REFUSED[name](keras)
    with pytest.raises(theirs.type):
        REFUSED[name](densekit)


def test_h5_files_make_their_folders(tmp_path: Any) -> None:
    for k in BOTH:
        model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
        path = tmp_path / k.__name__ / "deep" / "m.h5"
        model.save(path)
        assert path.exists()
        with pytest.raises(FileNotFoundError):
            model.save(tmp_path / "no" / "m.keras")
