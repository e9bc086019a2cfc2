"""`Model.export`: formats by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import densekit as keras
from densekit.export import _formats, register_format


def model() -> Any:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="it")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tf_saved_model", ImportError),
        ("onnx", NotImplementedError),
        ("openvino", NotImplementedError),
        ("litert", ValueError),
        ("torch", ValueError),
    ],
)
def test_formats_of_keras_that_are_not_here_say_why(name: str, kind: Any, tmp_path: Any) -> None:
    with pytest.raises(kind, match=r"^export of 'it': [^.]+(\.keras[^.]*)?\.$"):
        model().export(tmp_path / "it", format=name)
    assert not list(tmp_path.iterdir())


def test_the_default_is_that_of_keras(tmp_path: Any) -> None:
    with pytest.raises(ImportError, match="TensorFlow"):
        model().export(tmp_path / "it")


def test_others_are_refused(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="'onnx'"):
        model().export(tmp_path / "it", format="pickle")
    with pytest.raises(ValueError, match="not yet been built"):
        keras.Sequential([keras.layers.Dense(1)]).export(tmp_path / "it", format="onnx")


def test_formats_are_registered(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_formats, "_writers", {})
    calls: list[Any] = []

    def write(
        model: Any, path: Path, *, verbose: bool, input_signature: Any, **options: Any
    ) -> None:
        calls.append((model.name, path, verbose, input_signature, options))
        path.write_text("written")

    register_format("text", write)
    model().export(str(tmp_path / "it.txt"), format="text", verbose=False, opset_version=3)
    assert (tmp_path / "it.txt").read_text() == "written"
    assert calls == [("it", tmp_path / "it.txt", False, None, {"opset_version": 3})]
    with pytest.raises(ValueError, match="path"):
        model().export(3, format="text")
    register_format("onnx", write)  # takes the place of the sentence
    model().export(tmp_path / "it.onnx", format="onnx")
    assert len(calls) == 2
