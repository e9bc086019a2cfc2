"""What a user passes as data, as lists of arrays: one per input, one per output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, cast

import numpy as np

from densekit import engines
from densekit._core import settings, tree
from densekit._core.dtypes import STRING
from densekit._core.errors import StructureError, describe, message
from densekit._core.frames import warn
from densekit._core.text import as_strings
from densekit._core.types import Array
from densekit.data._arrays import as_array, is_sparse
from densekit.data._input_structure import in_structure
from densekit.data._tables import KnownColumns

Column = Array | None
Triple: TypeAlias = tuple[object, object, object]  # inputs, targets, weights as users pass them


class Columns(NamedTuple):
    """Data in the order of a model: a column for each input, one or None for each output."""

    inputs: list[Array]
    targets: list[Column]
    weights: list[Column]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.inputs[0])

    @property
    def are_readable(self) -> bool:
        """Whether the core can read all of them where they are."""
        for columns in self:
            for column in columns:
                if column is not None and not engines.is_readable(column):
                    return False
        return True


class Signature(NamedTuple):
    """What a model takes and gives.

    `input_shapes` and `output_shapes` have None for the batch and for sizes left open; structures
    are nested as in the model's call. `outputs_are_named` says whether the model itself knows its
    outputs by name; `optional_inputs` may be None.
    """

    where: str
    input_names: list[str]
    input_shapes: list[tuple[int | None, ...]]
    input_structure: object
    output_names: list[str]
    output_shapes: list[tuple[int | None, ...]]
    output_structure: object
    known_columns: KnownColumns
    input_dtypes: list[str]
    outputs_are_named: bool = False
    optional_inputs: frozenset[str] = frozenset()


def unpack_x_y_sample_weight(data: object) -> Triple:
    """``(x, y, sample_weight)`` from ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``."""
    if not isinstance(data, tuple | list):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            message(
                "data",
                "`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`",
                f"a {type(data).__name__} of {len(data)} entries",
                "Put several inputs into one list: ([x1, x2], y).",
            )
        )
    return (*data, None, None)[:3]


def match_inputs(x: object, signature: Signature) -> list[Array]:
    """The arrays of `x` in the order of the model's inputs, their shapes checked."""
    structure = signature.input_structure
    if is_sparse(x):
        x = as_array(x, "x")
    x = signature.known_columns.arrange(x, signature.input_names, signature.where)
    leaves = tree.flatten(in_structure(x, structure, signature.input_names, signature.where))
    if len(leaves) != len(signature.input_shapes):
        raise ValueError(
            message(
                signature.where,
                f"{len(signature.input_shapes)} input arrays for {signature.input_names}",
                f"{len(leaves)}" if isinstance(x, list | tuple | dict) else describe(x),
                "Pass one array per input; a list of numbers is no array: use np.asarray(x).",
            )
        )
    described = zip(
        leaves, signature.input_shapes, signature.input_names, signature.input_dtypes, strict=True
    )
    columns: list[Column] = []
    for leaf, shape, name, dtype in described:
        where = f"{signature.where} input {name!r}"
        is_left_out = leaf is None and name in signature.optional_inputs
        columns.append(None if is_left_out else conform(_column(leaf, dtype, where), shape, where))
    there = [column for column in columns if column is not None]
    if len(there) < len(columns):
        return cast("list[Array]", _with_missing(columns, signature))
    return there


def _with_missing(columns: list[Column], signature: Signature) -> list[Array | engines.Missing]:
    """Columns with something in place of optional inputs that are None."""
    rows = max((len(column) for column in columns if column is not None), default=0)
    return [
        engines.Missing((rows, *(n or 0 for n in shape[1:]))) if column is None else column
        for column, shape in zip(columns, signature.input_shapes, strict=True)
    ]


def _column(leaf: object, dtype: str, where: str) -> Array:
    return as_strings(leaf, where) if dtype == STRING else as_array(leaf, "x")


class SizeError(ValueError):
    """Rows of another shape than the model was built for; `shape` is theirs."""

    def __init__(self, text: str, shape: Sequence[int]) -> None:
        super().__init__(text)
        self.shape = tuple(shape)


def conform(array: Array, shape: Sequence[int | None], where: str) -> Array:
    """`array` in the rank of `shape`, where that differs by a last axis of size 1."""
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    elif array.ndim == len(shape) - 1 and shape[-1] == 1:
        array = array[..., None]
    if array.ndim != len(shape) or any(
        n is not None and n != m for n, m in zip(shape[1:], array.shape[1:], strict=True)
    ):
        raise SizeError(
            message(
                where,
                f"shape {(None, *shape[1:])}",
                f"input shape {array.shape}",
                "Reshape the data or build the model with another input shape.",
            ),
            array.shape,
        )
    return array


def match_outputs(
    y: object, signature: Signature, needed: Sequence[bool], what: str
) -> list[Column]:
    """The arrays of targets (or weights) in the order of the model's outputs, None where there is
    none.

    Args:
        needed: for each output whether something is to be computed from it.
    """
    n = len(signature.output_names)
    if y is None:
        return [None] * n
    nested = tree.is_deep(signature.output_structure) and tree.is_nested(y)
    found = tree.along(signature.output_structure, y) if nested else None
    if found is not None:
        columns = found
        _require(columns, output_keys(signature), needed, signature.where, what)
    elif isinstance(y, dict):
        names = output_keys(signature)
        unknown = [name for name in y if name not in names]
        if unknown:
            raise StructureError(
                message(
                    f"{signature.where} `{what}`",
                    f"keys among the outputs {names}",
                    f"{unknown[0]!r}",
                    "Name outputs as the model does.",
                )
            )
        given = [name if name in y else None for name in names]
        _require(given, names, needed, signature.where, what)
        columns = [y.get(name) for name in names]
    elif isinstance(y, list | tuple):
        columns = tree.flatten(y)
        if len(columns) != n:
            columns = _spread(columns, signature, needed, what)
    else:
        columns = _spread([y], signature, needed, what) if n > 1 else [y]
    return [None if column is None else as_array(column, what) for column in columns]


def _require(
    given: Sequence[object], names: Sequence[str], needed: Sequence[bool], where: str, what: str
) -> None:
    """Refuse targets that lack some which are needed."""
    for one, name, wanted in zip(given, names, needed, strict=True):
        if wanted and one is None and what == "y":
            raise StructureError(
                message(
                    f"{where} `{what}`",
                    f"the keys {list(names)}",
                    f"{[n for n, g in zip(names, given, strict=True) if g is not None]}",
                    f"Add targets for output {name!r}.",
                )
            )


def output_keys(signature: Signature) -> list[str]:
    """Key of each output in a dict of targets or losses, in flat order; a path in a deep one."""
    structure = signature.output_structure
    if tree.is_deep(structure):
        return tree.path_names(structure, signature.output_names)
    if isinstance(structure, dict) and len(structure) == len(signature.output_names):
        return sorted(structure)
    return signature.output_names


def _spread(
    columns: list[object], signature: Signature, needed: Sequence[bool], what: str
) -> list[object]:
    """Give `columns` to the outputs that need one."""
    if len(columns) != sum(needed):
        raise StructureError(
            message(
                f"{signature.where} `{what}`",
                f"one array per output {signature.output_names}",
                f"{len(columns)}",
                f"`{what}` and the outputs must have the same structure.",
            )
        )
    given = iter(columns)
    return [next(given) if wanted else None for wanted in needed]


def match_weights(
    sample_weight: object, targets: list[Column], signature: Signature, needed: Sequence[bool]
) -> list[Column]:
    """Weights in the order of the outputs; one array stands for all of them."""
    if sample_weight is None:
        return [None] * len(targets)
    if isinstance(sample_weight, list | tuple | dict):
        weights = match_outputs(sample_weight, signature, needed, "sample_weight")
    else:
        column = as_array(sample_weight, "sample_weight")
        per_sample = column.ndim == 1 or (column.ndim == 2 and column.shape[1] == 1)
        if len(targets) > 1 and not per_sample:
            raise ValueError(
                message(
                    "`sample_weight`",
                    "one number per sample, as the model has several outputs",
                    f"shape {column.shape}",
                    "Pass a list with one array per output.",
                )
            )
        weights = [column] * len(targets)
    for weight, shape in zip(weights, signature.output_shapes, strict=True):
        if weight is not None and weight.ndim > 1 and weight.shape[1:] != (1,):
            positions = shape[1:-1]
            if len(positions) != weight.ndim - 1 or any(
                n is not None and n != m for n, m in zip(positions, weight.shape[1:], strict=True)
            ):
                raise ValueError(
                    message(
                        "`sample_weight`",
                        f"shape (samples,) or {(None, *positions)}",
                        f"shape {weight.shape}",
                        "Give one weight per loss value.",
                    )
                )
    return weights


def check_weight_structure(y: object, sample_weight: object) -> None:
    """Weights of several outputs come in the structure of the targets."""
    if not isinstance(y, list | tuple | dict) or not isinstance(sample_weight, list | tuple | dict):
        return
    named = isinstance(y, dict), isinstance(sample_weight, dict)
    if named[0] is not named[1] or (all(named) and set(y) != set(sample_weight)):
        keys = [
            sorted(map(str, given)) if isinstance(given, dict) else "a list"
            for given in (y, sample_weight)
        ]
        raise ValueError(
            message(
                "`sample_weight`",
                f"the structure of `y`, {keys[0]}",
                f"{keys[1]}",
                "Give one array for each array of `y`; None for an output without weights.",
            )
        )


def class_weights(y: Array, class_weight: object, classes: int | None) -> Array:
    """The weight of each sample's class; 1 for classes that are not listed, which is said.

    Args:
        class_weight: a weight for each class; or ``"balanced"``: ``n / (classes * count)``, which
            gives every class that occurs the same share.
    """
    balanced = isinstance(class_weight, str) and class_weight == "balanced"
    by_class: Mapping[int, float] = {}
    if isinstance(class_weight, Mapping):
        by_class = class_weight
    elif not balanced:
        raise TypeError(
            message(
                "`class_weight`",
                "a dict of a weight for each class",
                describe(class_weight),
                "Pass e.g. {0: 1.0, 1: 5.0}, or 'balanced'.",
            )
        )
    if y.ndim > 1:
        y = y[..., 0] if y.shape[-1] == 1 else np.argmax(y, axis=-1)
    if y.ndim != 1:
        raise ValueError(
            message("`class_weight`", "one class per sample", f"targets {y.shape}", "Use weights.")
        )
    labels = np.rint(y).astype(np.int64)
    if balanced:
        found, counts = np.unique(labels, return_counts=True)
        by_class = dict(zip(found.tolist(), len(labels) / (len(found) * counts), strict=True))
    for key, weight in by_class.items():
        whole = isinstance(key, int | float | np.integer | np.floating) and key == int(key)
        if not whole or key < 0 or (classes is not None and key >= classes):
            raise ValueError(
                message(
                    "`class_weight`",
                    "integer keys"
                    + ("" if classes is None else f" from 0 to {classes - 1}, the model's classes"),
                    f"key {key!r}",
                    "Number classes as in `y`.",
                )
            )
        if not isinstance(weight, int | float | np.number) or not 0 <= weight < math.inf:
            raise ValueError(
                message("`class_weight`", "finite weights >= 0", f"{weight!r}", "Pass e.g. 1.0.")
            )
    unlisted = sorted(set(np.unique(labels).tolist()) - {int(key) for key in by_class})
    if unlisted:
        listed = ", ".join(map(str, unlisted[:5]))
        warn(
            message(
                "`class_weight`",
                "a weight for every class",
                f"none for class {listed}, which is given 1",
                f"Add e.g. {{{unlisted[0]}: 1.0}}.",
            )
        )
    top = int(labels.max(initial=0))
    table = np.ones(max(top, *(int(k) for k in by_class), 0) + 1, settings.floatx())
    for key, weight in by_class.items():
        table[int(key)] = weight
    if labels.size and labels.min() < 0:
        return np.where(labels < 0, table.dtype.type(1), table[np.maximum(labels, 0)])
    return table[labels]


def check_rows(columns: dict[str, Sequence[Column]]) -> int:
    """The common number of rows of all columns."""
    sizes = {name: [len(a) for a in arrays if a is not None] for name, arrays in columns.items()}
    found = {size for group in sizes.values() for size in group}
    if len(found) > 1:
        listed = ", ".join(f"{name!r} sizes: {s}" for name, s in sizes.items() if s)
        raise ValueError(
            "Data cardinality is ambiguous: expected the same number of samples in all arrays, "
            f"got {listed}. Cut them to one length."
        )
    return found.pop()
