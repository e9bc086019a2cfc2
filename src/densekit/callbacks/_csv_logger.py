"""`CSVLogger`: the logs of every epoch as a table in a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from typing import TextIO

import numpy as np

from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs


@export("keras.callbacks")
class CSVLogger(Callback):
    """Writes one line per epoch to a CSV file; a value missing in an epoch is ``NA``.

    Args:
        filename: path of the file.
        separator: what stands between two values. Default: ``","``.
        append: keep what the file holds already. Default: ``False``.

    Example:

    >>> import densekit as keras, numpy as np, pathlib, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> path = pathlib.Path(tempfile.mkdtemp(), "log.csv")
    >>> log = keras.callbacks.CSVLogger(path)
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[log])
    >>> path.read_text().split()[0]
    'epoch,loss,val_loss'
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.writer: csv.DictWriter[str] | None = None
        self.keys: list[str] | None = None
        self.append_header = True
        self.csv_file: TextIO | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        if self.append and os.path.exists(self.filename):
            with open(self.filename) as file:
                self.append_header = not file.readline()
        self._dk_close()
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                # Validation may come in a later epoch: room for it must be made in the header.
                self.keys += [f"val_{key}" for key in self.keys]
        if self.writer is None:
            assert self.csv_file is not None
            self.writer = csv.DictWriter(self.csv_file, ["epoch", *self.keys], delimiter=self.sep)
            if self.append_header:
                self.writer.writeheader()
        self.writer.writerow(
            {"epoch": epoch, **{key: _cell(logs.get(key, "NA")) for key in self.keys}}
        )
        assert self.csv_file is not None
        self.csv_file.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._dk_close()

    def _dk_close(self) -> None:
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
        self.writer = None


def _cell(value: object) -> object:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
