"""Sequences of unequal length to one array; windows over a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array
from densekit.data._pydataset import PyDataset


@export("keras.utils")
def pad_sequences(
    sequences: Sequence[Sequence[object] | Array],
    maxlen: int | None = None,
    dtype: npt.DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: object = 0.0,
) -> Array:
    """Sequences of unequal length as one array ``(sequences, maxlen, ...)``.

    Args:
        sequences: a list of sequences; their elements have one shape.
        maxlen: length of a row; longer sequences are cut. Default: the longest.
        dtype: of the array; ``object`` for text of unequal length. Default: ``"int32"``.
        padding: whether to fill ``"pre"``, before, or ``"post"``, behind. Default: ``"pre"``.
        truncating: where to cut, likewise. Default: ``"pre"``.
        value: what to fill with. Default: ``0.0``.

    Raises:
        ValueError: for elements that are no sequences, of unequal shape, or an unknown mode.

    Example:

    >>> import densekit as keras
    >>> keras.utils.pad_sequences([[1], [2, 3, 4]], maxlen=2).tolist()
    [[0, 1], [3, 4]]
    """
    for name, mode in (("padding", padding), ("truncating", truncating)):
        if mode not in ("pre", "post"):
            raise ValueError(
                message("pad_sequences", f"`{name}` 'pre' or 'post'", describe(mode), "Pass one.")
            )
    rows = _checked_rows(sequences)
    text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and np.dtype(dtype) != object and not text:
        raise ValueError(
            message(
                "pad_sequences",
                f"a `value` of the dtype {dtype}",
                describe(value),
                "Pass dtype=object for text of unequal length.",
            )
        )
    longest = max((len(row) for row in rows), default=0)
    length = longest if maxlen is None else maxlen
    shape = next((np.asarray(row).shape[1:] for row in rows if len(row)), ())
    result = np.full((len(rows), length, *shape), value, dtype=dtype)
    for index, row in enumerate(rows):
        cut = row[max(len(row) - length, 0) :] if truncating == "pre" else row[:length]
        if not len(cut):
            continue
        kept = np.asarray(cut, dtype=dtype)
        if kept.shape[1:] != shape:
            raise ValueError(
                message(
                    "pad_sequences",
                    f"elements of shape {shape}, as in the first sequence",
                    f"{kept.shape[1:]} in sequence {index}",
                    "Make them alike.",
                )
            )
        where = slice(length - len(kept), None) if padding == "pre" else slice(len(kept))
        result[index, where] = kept
    return result


def _checked_rows(
    sequences: Sequence[Sequence[object] | Array],
) -> Sequence[Sequence[object] | Array]:
    found = sequences if hasattr(sequences, "__len__") else None
    lonely = [] if found is None else [row for row in found if not hasattr(row, "__len__")]
    if found is None or lonely:
        raise ValueError(
            message(
                "pad_sequences",
                "a list of sequences",
                describe(lonely[0] if lonely else sequences),
                "Pass lists or arrays.",
            )
        )
    return found


class _Windows(PyDataset):
    """Batches of windows of one length over a series, cut when they are asked for."""

    def __init__(
        self,
        data: Array,
        targets: Array | None,
        starts: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64],
        batch_size: int | None,
        order: np.random.RandomState | None,
    ) -> None:
        super().__init__()
        self._data, self._targets = data, targets
        self._starts, self._offsets = starts, offsets
        self._batch_size, self._order = batch_size, order

    def __len__(self) -> int:
        return -(-len(self._starts) // (self._batch_size or 1))

    def __getitem__(self, index: int) -> Array | tuple[Array, Array]:
        if self._batch_size is None:
            starts = self._starts[index : index + 1].reshape(())
        else:
            starts = self._starts[index * self._batch_size : (index + 1) * self._batch_size]
        windows = self._data[np.add.outer(starts, self._offsets)]
        return windows if self._targets is None else (windows, self._targets[starts])

    def on_epoch_begin(self) -> None:
        if self._order is not None:
            self._order.shuffle(self._starts)


@export("keras.utils")
def timeseries_dataset_from_array(
    data: object,
    targets: object,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> PyDataset:
    """Windows over a series, batch by batch: a `PyDataset` of ``(windows, targets)``.

    Window i begins at ``start_index + i * sequence_stride`` and has every `sampling_rate`-th row;
    its target is that of its first row, counted from `start_index`.

    Args:
        data: the series, ``(rows, ...)``.
        targets: a target for each row where a window begins; None for windows alone.
        sequence_length: rows of a window.
        sequence_stride: rows between the starts of windows. Default: ``1``.
        sampling_rate: rows between rows of a window. Default: ``1``.
        batch_size: windows of a batch; None for single windows. Default: ``128``.
        shuffle: whether each epoch takes the windows in a new order. Default: ``False``.
        seed: of the order. Default: drawn.
        start_index: first row that is used. Default: ``0``.
        end_index: row at which to stop. Default: the number of rows.
        format: kept for Keras' signature, ``"tf"`` or ``"grain"``: the result is a `PyDataset`.
            Default: ``"tf"``.

    Raises:
        ValueError: for strides, rates or rows out of range.

    Example:

    >>> import densekit as keras, numpy as np
    >>> series = np.arange(6.0)
    >>> windows = keras.utils.timeseries_dataset_from_array(series[:-1], series[2:], 2)
    >>> x, y = windows[0]
    >>> x.tolist(), y.tolist()
    ([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]], [2.0, 3.0, 4.0, 5.0])
    """
    data = np.asarray(data)
    rows = len(data)

    def check(name: str, value: object, fits: bool, expected: str) -> None:
        if not fits:
            raise ValueError(
                message(
                    "timeseries_dataset_from_array", f"`{name}` {expected}", f"{value}", "Pass one."
                )
            )

    first, last = start_index or 0, end_index or rows
    check("start_index", first, 0 <= first < rows, f"from 0 to {rows - 1}")
    if end_index:
        low = max(first, 0) + 1
        check("end_index", end_index, low <= end_index < rows, f"from {low} to {rows - 1}")
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        check(name, value, 0 < value < rows, f"from 1 to {rows - 1}")
    check("format", format, format in ("tf", "grain"), "'tf' or 'grain'")

    count = last - first - (sequence_length - 1) * sampling_rate
    wanted = None if targets is None else np.asarray(targets)
    if wanted is not None:
        count = min(count, len(wanted))
        wanted = wanted[first:]
    starts = np.arange(0, count, sequence_stride)
    if wanted is not None:
        check("targets", len(wanted), len(starts) == 0 or starts[-1] < len(wanted), "for all rows")
    order = None
    if shuffle:
        order = np.random.RandomState(np.random.randint(10**6) if seed is None else seed)
        order.shuffle(starts)
    offsets = np.arange(sequence_length) * sampling_rate
    return _Windows(data[first:last], wanted, starts, offsets, batch_size, order)
