"""Formats of exports by name: what writes each, or why it is not here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from densekit._core.errors import describe, message


class Writer(Protocol):
    """Writes a built model to a file or folder."""

    def __call__(
        self,
        model: object,
        path: Path,
        *,
        verbose: bool,
        input_signature: object,
        **options: object,
    ) -> None:
        """Write it.

        Args:
            model: the model.
            path: where to.
            verbose: whether to say what was written.
            input_signature: shapes and dtypes of the inputs, if they are not those of the model.
            options: whatever else the user passed.
        """


_writers: dict[str, Writer] = {}

# Keras' formats that nothing here writes: the type of the error, and a sentence.
_ABSENT: dict[str, tuple[type[Exception], str]] = {
    "tf_saved_model": (ImportError, "a SavedModel is TensorFlow's own: save a .keras file instead"),
    "onnx": (NotImplementedError, "ONNX is not there yet: save a .keras file for Keras' export"),
    "openvino": (NotImplementedError, "OpenVINO reads ONNX, which is not there yet"),
    "litert": (ValueError, "LiteRT is written by TensorFlow or PyTorch alone"),
    "torch": (ValueError, "an ExportedProgram is written by PyTorch alone"),
}


def register_format(name: str, writer: Writer) -> None:
    """Let `Model.export` write a format.

    Args:
        name: what users pass as `format`.
        writer: writes it.
    """
    _writers[name] = writer


def export_model(
    model: Any,
    filepath: str | Path,
    format: str,
    verbose: bool | None,
    input_signature: object,
    **options: object,
) -> None:
    """Write a built model in a format: see `Model.export`.

    Raises:
        ValueError: for an unknown format, a model that is not built, or a path that is none.
        ImportError, NotImplementedError: for a format of Keras that is not here.
    """
    where = f"export of {model.name!r}"
    writer = _writers.get(format)
    known = list(dict.fromkeys([*_ABSENT, *_writers]))
    if format not in known:
        raise ValueError(
            message(where, f"`format`, one of {known}", describe(format), "Pick one of them.")
        )
    if not model.built:
        raise ValueError(
            message(
                where,
                "a built model",
                "one that has not yet been built",
                "Call it on data or `build(input_shape)` first.",
            )
        )
    if writer is None:
        kind, reason = _ABSENT[format]
        raise kind(f"{where}: {reason}.")
    if not isinstance(filepath, str | os.PathLike):
        raise ValueError(message(where, "a path", describe(filepath), "Pass a str or Path."))
    writer(
        model,
        Path(filepath),
        verbose=verbose is not False,
        input_signature=input_signature,
        **options,
    )
