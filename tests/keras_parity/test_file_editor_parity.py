"""The same edits by Keras' editor and ours, on files of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras as K
import numpy as np
import pytest

import densekit as D


def model(library: Any, *units: int) -> Any:
    return library.Sequential(
        [library.Input((2,)), *(library.layers.Dense(width) for width in units)]
    )


@pytest.mark.parametrize("writer", [K, D], ids=["file-of-keras", "file-of-densekit"])
def test_editors_agree(writer: Any, tmp_path: Path) -> None:
    model(writer, 3, 3).save(tmp_path / "m.keras")
    found: list[list[Any]] = []
    for library in (K, D):
        editor = library.saving.KerasFileEditor(str(tmp_path / "m.keras"))
        target, steps = model(library, 3, 3, 3), []

        def compare(editor: Any = editor, target: Any = target, steps: list[Any] = steps) -> None:
            seen = editor.compare(target)
            steps.append((seen["status"], seen["error_count"]))

        compare()
        editor.add_object("layers/dense_3", {"0": np.ones((3, 3))})
        compare()
        editor.rename_object("dense_3", "dense_2")
        editor.add_weights("dense_2", {"1": np.ones(3)})
        compare()
        editor.delete_weight("dense_2", "1")
        compare()
        editor.add_weights("dense_2", {"1": np.ones(7)})
        compare()
        editor.add_weights("dense_2", {"1": np.ones(3)})
        editor.delete_object("layers/dense_2")
        compare()
        steps.append(
            {key: [w.shape for w in value.values()] for key, value in layers(editor).items()}
        )
        found.append(steps)
    assert found[0] == found[1]


def layers(editor: Any) -> dict[str, Any]:
    return dict(editor.weights_dict["layers"])
