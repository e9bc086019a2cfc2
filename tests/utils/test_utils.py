"""Small helpers: labels, data, names, policies, trees, settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import config, tree, utils
from densekit.engines import native


def test_to_categorical() -> None:
    wanted = np.eye(3)[[0, 2]]
    np.testing.assert_array_equal(utils.to_categorical([0, 2]), wanted)
    np.testing.assert_array_equal(utils.to_categorical(np.array([[0], [2]])), wanted)
    np.testing.assert_array_equal(utils.to_categorical([[0, 2]], 3), wanted[None])
    assert utils.to_categorical([], 3).shape == (0, 3)
    assert utils.to_categorical(1, 2).tolist() == [0.0, 1.0]
    for bad in ([3], [-1]):
        with pytest.raises(IndexError, match="from 0 to 2"):
            utils.to_categorical(bad, 3)
    with pytest.raises(ValueError, match="num_classes"):
        utils.to_categorical([])


def test_normalize() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(utils.normalize(x, axis=0), [[1.0, 1.0], [0.0, 0.0]])
    assert utils.normalize([[3, 4]]).dtype == utils.normalize([[0.5, 1.5]]).dtype == "float32"
    assert utils.normalize(np.array([[3.0, 4.0]])).dtype == "float64"
    np.testing.assert_allclose(utils.normalize(x, order=1), [[3 / 7, 4 / 7], [0.0, 0.0]])


def test_split_dataset_takes_the_arguments_of_keras() -> None:
    left, right = keras.utils.split_dataset(
        np.arange(4), left_size=0.5, right_size=None, seed=1, preferred_backend="tensorflow"
    )
    assert (left.tolist(), right.tolist()) == ([0, 1], [2, 3])


def test_split_dataset() -> None:
    x, y = np.arange(10), np.arange(10) * 2
    left, right = utils.split_dataset((x, y), left_size=0.7, shuffle=True, seed=1)
    assert (len(left[0]), len(right[1])) == (7, 3)
    assert sorted([*left[0], *right[0]]) == x.tolist()
    np.testing.assert_array_equal(left[1], left[0] * 2)
    left, right = utils.split_dataset(x, left_size=2, right_size=3)
    assert (left.tolist(), right.tolist()) == ([0, 1], [7, 8, 9])
    for bad in ({}, {"left_size": 1.5}, {"left_size": -1}, {"left_size": 8, "right_size": 3}):
        with pytest.raises(ValueError, match="split_dataset"):
            utils.split_dataset(x, **bad)
    with pytest.raises(ValueError, match="rows"):
        utils.split_dataset((x, y[1:]), left_size=1)


def test_triples() -> None:
    assert utils.unpack_x_y_sample_weight((1, 2)) == (1, 2, None)
    assert utils.unpack_x_y_sample_weight(5) == (5, None, None)
    assert utils.unpack_x_y_sample_weight(utils.pack_x_y_sample_weight(1, 2, 3)) == (1, 2, 3)
    with pytest.raises(ValueError, match="4 parts"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))


def test_clear_session_starts_anew() -> None:
    config.set_dtype_policy("float64")
    config.disable_interactive_logging()
    assert keras.layers.Dense(1).name == "dense"
    assert keras.backend.get_uid("a") == 1
    keras.backend.clear_session()
    assert keras.layers.Dense(1).name == "dense"
    assert keras.backend.get_uid("a") == 1
    assert config.dtype_policy().name == "float32"
    assert config.is_interactive_logging_enabled()


def test_settings() -> None:
    try:
        config.set_dtype_policy("mixed_float16")
        assert keras.layers.Dense(1).compute_dtype == "float16"
        config.set_image_data_format("channels_first")
        assert keras.layers.Flatten().data_format == config.image_data_format() == "channels_first"
        config.set_floatx("float64")
        assert config.floatx() == "float64"
    finally:
        config.set_floatx("float32")
        config.set_image_data_format("channels_last")
        utils.clear_session()
    for setter, bad in (
        (config.set_dtype_policy, "floaty"),
        (config.set_image_data_format, "last"),
        (config.set_floatx, "int8"),
        (config.set_threads, 0),
        (config.set_threads, 1.5),
    ):
        with pytest.raises(ValueError, match="expected"):
            setter(bad)


def test_show_and_threads(capsys: Any) -> None:
    before = config.threads()
    try:
        config.set_threads(1)
        config.show()
        lines = dict(
            line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line
        )
        assert lines["densekit"].strip() == keras.__version__
        assert lines["threads"].strip() == "1"
        assert "(of " in lines["instruction set"]
    finally:
        config.set_threads(before)


def test_show_says_why_tiles_are_not_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for note in ("not used: a signal stack is too small", None):
        monkeypatch.setattr(native, "tiles_note", lambda note=note: note)
        config.show()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tiles:")]
        assert [line.split(":", 1)[1].strip() for line in lines] == ([note] if note else [])


def test_policies_come_back() -> None:
    policy = keras.dtype_policies.get("mixed_float16")
    data = keras.dtype_policies.serialize(policy)
    assert keras.dtype_policies.deserialize(data) == policy
    assert data["config"] == {"name": "mixed_float16"}


def test_tree() -> None:
    nested = {"b": [1, (2,)], "a": 3}
    assert tree.flatten(nested) == [3, 1, 2]
    paths = [(("a",), 3), (("b", 0), 1), (("b", 1, 0), 2)]
    assert tree.flatten_with_path(nested) == paths
    assert tree.pack_sequence_as(nested, [7, 8, 9]) == {"b": [8, (9,)], "a": 7}
    assert tree.lists_to_tuples(nested) == {"b": (1, (2,)), "a": 3}
    assert tree.map_structure(lambda a, b: a + b, nested, nested) == {"b": [2, (4,)], "a": 6}
    assert tree.map_shape_structure(len, [(1, 2), {"x": (3, None, 4)}]) == [2, {"x": 3}]
    assert tree.map_structure_up_to([0, 0], len, [(1, 2), (3,)]) == [2, 1]
    assert tree.traverse(lambda x: 0 if isinstance(x, tuple) else None, nested)["b"] == [1, 0]
    assert tree.traverse(lambda x: tree.MAP_TO_NONE if x == 3 else None, nested)["a"] is None
    bottom_up = tree.traverse(lambda x: sum(x) if isinstance(x, tuple) else None, nested, False)
    assert bottom_up["b"] == [1, 2]
    tree.assert_same_structure(nested, {"b": [0, (0,)], "a": 0})
    tree.assert_same_paths(nested, {"b": (0, [0]), "a": 0})
    for other in ({"b": [0, [0]], "a": 0}, {"b": [0], "a": 0}, {"a": 0}, 3):
        with pytest.raises(ValueError, match="tree"):
            tree.assert_same_structure(nested, other)
    with pytest.raises(ValueError, match="3 leaves"):
        tree.pack_sequence_as(nested, [1])
