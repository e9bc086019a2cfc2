"""Files that each release of Keras wrote itself (`golden/write_golden.py`), read for ever."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

GOLDEN = Path(__file__).parent / "golden"
RELEASES = sorted(path.stem.removeprefix("keras-") for path in GOLDEN.glob("keras-*.zip"))
# Two evaluations of nets this small in float32 differ by the order of a few sums.
TOLERANCE = 1e-5


def files(release: str) -> list[str]:
    with zipfile.ZipFile(GOLDEN / f"keras-{release}.zip") as archive:
        return [name for name in archive.namelist() if not name.endswith(".npz")]


CASES = [(release, name) for release in RELEASES for name in files(release)]


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    release = request.node.callspec.params["release"]
    with zipfile.ZipFile(GOLDEN / f"keras-{release}.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def inputs(name: str, expected: Any) -> Any:
    x = expected["x"]
    return [x, x[::-1]] if name.startswith("functional") else x


def predicted(model: Any, name: str, expected: Any) -> list[Any]:
    outputs = model.predict(inputs(name, expected), verbose=0)
    return outputs if isinstance(outputs, list) else [outputs]


def test_there_are_files_of_every_age() -> None:
    assert {"2.2", "2.4", "2.8", "2.12", "2.15", "3.0", "3.3", "3.6", "3.10", "3.15"} <= {*RELEASES}


@pytest.mark.parametrize(("release", "name"), CASES)
def test_predictions_are_those_of_the_release(release: str, name: str, folder: Path) -> None:
    expected = np.load(folder / "expected.npz")
    if name.endswith(".weights.h5"):
        model = keras.models.load_model(folder / name.replace(".weights.h5", ".h5"))
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        model.load_weights(folder / name)
    else:
        model = keras.models.load_model(folder / name)
    stem = name.partition(".")[0]
    for i, outputs in enumerate(predicted(model, name, expected)):
        np.testing.assert_allclose(outputs, expected[f"{stem}_{i}"], TOLERANCE, TOLERANCE)


@pytest.mark.parametrize(
    ("release", "name"),
    [case for case in CASES if case[1] in ("functional.h5", "functional.keras")],
)
def test_training_goes_on_as_the_release_went_on(release: str, name: str, folder: Path) -> None:
    expected = np.load(folder / "expected.npz")
    model = keras.models.load_model(folder / name)
    target = expected["target"]
    model.fit(
        inputs(name, expected),
        [target, (target > 0).astype("float32")],
        epochs=1,
        batch_size=40,
        shuffle=False,
        verbose=0,
    )
    # Keras 2.2 on TensorFlow 1.14 itself lies some 1e-3 beside what its state gives, for a reason
    # that is not known; without the state it would be 0.7.
    tolerance = 5e-3 if release == "2.2" else TOLERANCE
    for i, outputs in enumerate(predicted(model, name, expected)):
        np.testing.assert_allclose(outputs, expected[f"resumed_{i}"], tolerance, tolerance)
