"""Symbolic tensors and the graph they grow: functional models are recorded here."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from densekit._core import settings, tree
from densekit._core.allowance import claim_for_a_while, elements
from densekit._core.auto_config import AutoConfig
from densekit._core.dtypes import STRING, data_dtype, standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.masks import HasMask
from densekit._core.naming import auto_name
from densekit._core.registry import export
from densekit._core.scope import Trial
from densekit._core.tensor import lend
from densekit._core.types import Array, Config, PartialShape
from densekit.ops._growth import check_growth


def standardize_shape(shape: Any) -> PartialShape:
    """A shape as a tuple of non-negative ints and None."""
    try:
        checked = tuple(None if n is None else n.__index__() for n in shape)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            message("shape", "a tuple of ints or None", describe(shape), "Write e.g. (784,).")
        ) from error
    if any(n is not None and n < 0 for n in checked):
        raise ValueError(
            message("shape", "sizes >= 0 or None", describe(shape), "Use None for unknown sizes.")
        )
    return checked


@export("keras")
class KerasTensor(HasMask):
    """A tensor of which only shape and dtype are known: calling layers on it records a graph.

    Args:
        shape: tuple of sizes; None stands for any size.
        dtype: name of the element type. Default: ``"float32"``.
        sparse: must be ``False``; kept for Keras' signature.
        ragged: must be ``False``; kept for Keras' signature.
        record_history: kept for Keras' signature.
        name: Default: numbered ``keras_tensor``.

    Example:

    >>> import densekit as keras
    >>> x = keras.KerasTensor((None, 3))
    >>> (x * 2).shape
    (None, 3)
    """

    __array_ufunc__ = None  # so that NumPy leaves ``array + tensor`` to us
    _dk_mask: Any = None

    def __init__(
        self,
        shape: object,
        dtype: object = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        if sparse or ragged:
            raise ValueError(
                message(
                    "KerasTensor", "a dense tensor", f"{sparse=}, {ragged=}", "Pass neither flag."
                )
            )
        self._shape = standardize_shape(shape)
        self._dtype = standardize_dtype(dtype)
        self.name = name or auto_name(type(self))
        self._keras_history: tuple[Operation, int, int] | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, None where any size goes."""
        return self._shape

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._shape)

    @property
    def sparse(self) -> bool:
        """False."""
        return False

    @property
    def ragged(self) -> bool:
        """False."""
        return False

    def __len__(self) -> int:
        if not self._shape or self._shape[0] is None:
            raise TypeError(_no_value("a length", self))
        return self._shape[0]

    def __array__(self, *args: object, **kwargs: object) -> Array:
        raise ValueError(_no_value("a NumPy array", self))

    def __bool__(self) -> bool:
        raise TypeError(_no_value("a truth value", self))

    def __float__(self) -> float:
        raise ValueError(_no_value("a float", self))

    def __int__(self) -> int:
        raise ValueError(_no_value("an int", self))

    def __index__(self) -> int:
        raise ValueError(_no_value("an index", self))

    def __iter__(self) -> Iterator[KerasTensor]:
        raise NotImplementedError(_no_value("an iterable", self))

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


def _no_value(wanted: str, tensor: KerasTensor) -> str:
    return message(
        "KerasTensor",
        f"a value to make {wanted} of",
        f"{tensor!r}, a placeholder without a value",
        "Use `keras.ops` on it, or wrap the code in a layer's `call`.",
    )


# Where new nodes are noted while a call is followed, whether or not their outputs are used.
recorded_nodes: ContextVar[list[Node] | None] = ContextVar("densekit_nodes", default=None)


class Node:
    """One call of an operation: what went in, what came out.

    `args` and `kwargs` are the call's, nested; `input_tensors` and `outputs` are flat lists of
    `KerasTensor`. The new node is appended to ``operation._inbound_nodes`` and noted in the history
    of its outputs.
    """

    def __init__(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any
    ) -> None:
        self.operation = operation
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.output_structure = outputs
        self.input_tensors = symbolic_leaves((self.args, self.kwargs))
        self.outputs: list[KerasTensor] = symbolic_leaves(outputs)
        index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for position, tensor in enumerate(self.outputs):
            tensor._keras_history = (operation, index, position)
        recorded = recorded_nodes.get()
        if recorded is not None:
            recorded.append(self)

    @property
    def is_input(self) -> bool:
        """Whether nothing symbolic goes in: the node of an `InputLayer`."""
        return not self.input_tensors and not self.operation.draws

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The same as `outputs`."""
        return self.outputs

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes that made the inputs, without repetition."""
        parents: dict[int, Node] = {}
        for tensor in self.input_tensors:
            if tensor._keras_history is not None:
                operation, index, _ = tensor._keras_history
                parents.setdefault(id(tensor), operation._inbound_nodes[index])
        return list({id(node): node for node in parents.values()}.values())

    def __repr__(self) -> str:
        return f"<Node operation={self.operation.name}>"


@export("keras")
class Operation(AutoConfig):
    """Something callable on arrays and on symbolic tensors; `Layer` is one.

    Args:
        name: without ``/``. Default: the class name in snake case, numbered.

    Raises:
        ValueError: for a bad name.

    Example:

    >>> import densekit as keras
    >>> class Scale(keras.Operation):
    ...     def __init__(self, factor, name=None):
    ...         super().__init__(name=name)
    ...         self.factor = factor
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale(2.0)(keras.ops.array([1.0])).tolist()
    [2.0]
    >>> Scale.from_config(Scale(2.0, name="twice").get_config()).factor
    2.0
    """

    _dk_config_is_default = True  # this class' `get_config` is the automatic one
    _inbound_nodes: list[Node]
    draws: ClassVar[bool] = False  # whether it makes tensors of nothing

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = auto_name(type(self))
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                message(
                    type(self).__name__,
                    "`name`, a string without '/'",
                    describe(name),
                    "Rename it.",
                )
            )
        self.name = name
        self.__dict__["_inbound_nodes"] = []  # being called changes nothing in a layer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the operation computes."""
        raise NotImplementedError(f"{type(self).__name__} defines no `call`.")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of what `call` returns, as `KerasTensor`s."""
        return compute_output_spec(self.call, *args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record the call in the graph and return symbolic outputs."""
        outputs = self.compute_output_spec(*args, **kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def get_config(self) -> Config:
        """The name and the constructor's arguments, as plain data."""
        return self._dk_accepted({"name": self.name, **self._auto_config()})

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)

    @property
    def input(self) -> Any:
        """The symbolic input of the first call: one tensor or a list."""
        return _one_or_list(self._dk_first_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The symbolic output of the first call: one tensor or a list."""
        return _one_or_list(self._dk_first_node("output").outputs)

    def _dk_first_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    f"a symbolic call before `.{what}` is read",
                    "none",
                    "Call it on `keras.Input(...)` first.",
                )
            )
        return self._inbound_nodes[0]


def _one_or_list(tensors: list[KerasTensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


class FunctionOperation(Operation):
    """A function of `densekit.ops` as a node of a functional model.

    Tensors are call arguments; everything else (axis, dtype, ...) is a setting, kept in the config
    under the names and class names that Keras' files use.
    """

    function: ClassVar[Callable[..., Any]]
    arguments: ClassVar[tuple[str, ...]] = ()  # names of the call arguments
    leading: ClassVar[tuple[str, ...]] = ()  # settings that precede a ``*args`` parameter
    variadic: ClassVar[bool] = False
    settle: ClassVar[Callable[[Config], Config]] = dict

    def __init__(self, *, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name)
        settings = type(self).settle(settings)
        self.settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        function = type(self).function
        if self.variadic:
            lead = [self.settings[key] for key in self.leading]
            rest = {k: v for k, v in self.settings.items() if k not in self.leading}
            return function(*lead, *args, **rest, **kwargs)
        return function(**dict(zip(self.arguments, args, strict=False)), **self.settings, **kwargs)

    def get_config(self) -> Config:
        """The name and the settings."""
        config: Config = {"name": self.name, **self.settings}
        if config.get("dtype") is not None:
            config["dtype"] = standardize_dtype(config["dtype"])
        return config

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of what `call` returns, as `KerasTensor`s."""
        check_growth(type(self).function.__name__, (args, kwargs), self.settings)
        try:
            return super().compute_output_spec(*args, **kwargs)
        except IndexError as error:
            if isinstance(error, ValueError):  # NumPy's AxisError is both
                raise
            raise ValueError(str(error)) from error  # a shape that does not fit, for Keras


def symbolic_leaves(structure: object) -> list[KerasTensor]:
    """The `KerasTensor`s of a nested structure, in order."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]


def any_symbolic(args: tuple[Any, ...] | list[Any], kwargs: dict[str, Any] | None = None) -> bool:
    """Whether a `KerasTensor` is among the arguments, however nested."""
    for value in args:
        kind = type(value)
        if kind is KerasTensor or isinstance(value, KerasTensor):
            return True
        if kind is list or kind is tuple:
            if any_symbolic(value):
                return True
        elif kind is dict and any_symbolic(tuple(value.values())):
            return True
    return bool(kwargs) and any_symbolic(tuple(kwargs.values()))  # type: ignore[union-attr]


# Sizes tried for None: a dimension that follows the trial size is None in the output. Where these
# fail, a pair of many divisors is tried, for functions that split or reshape the unknown axis: the
# first of those whose arrays are not too large.
_SIZES = (2, 3)
_DIVISIBLE_SIZES = ((840, 1680), (120, 240), (60, 120), (24, 48), (12, 24), (6, 12), (4, 8))
_MOST_ELEMENTS = 2**22
_FEW_ELEMENTS = 2**16
_MOST_TRIALS = 256  # of sizes that differ between the unknown axes


def compute_output_spec(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Shapes and dtypes of ``function(*args, **kwargs)`` as `KerasTensor`s, found by trying it out.

    The function runs on small arrays, once if all sizes are known, else with different sizes for
    None: the same for every None, or, where that cannot be (``(None, 3) + (2, None)``), whatever
    sizes go together. Variables it assigns to keep their values.
    """
    given = symbolic_leaves((args, kwargs))
    for tensor in given:
        size = _SIZES[1] * elements(tensor.shape) * data_dtype(tensor.dtype).itemsize
        claim_for_a_while(size, f"an input {tensor.name!r}", f"shape {tensor.shape}")
    unknown = sum(tensor.shape.count(None) for tensor in given)

    def trial(*sizes: int) -> Any:
        left = iter(sizes)

        def stand_in(leaf: object) -> object:
            if not isinstance(leaf, KerasTensor):
                return leaf
            shape = tuple(next(left) if n is None else n for n in leaf.shape)
            return lend(_sample(shape, leaf.dtype))

        sample_args, sample_kwargs = tree.map_structure(stand_in, (args, kwargs))
        with Trial(), np.errstate(all="ignore"):
            return function(*sample_args, **sample_kwargs)

    if not unknown:
        return _common_spec([trial()], given)
    try:
        results = [trial(*[size] * unknown) for size in _SIZES]
        if any(1 in np.shape(leaf) for leaf in tree.flatten(results[0])):  # ``x[:, ::4]``
            with contextlib.suppress(Exception):
                results.append(trial(*[_divisible(given, _FEW_ELEMENTS)[0]] * unknown))
        return _common_spec(results, given)
    except (ValueError, IndexError) as error:
        try:
            sizes = _divisible(given, _MOST_ELEMENTS)
            return _common_spec([trial(*[size] * unknown) for size in sizes], given)
        except (ValueError, IndexError):
            leaves = tree.flatten((args, kwargs))
            shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
            known = {n for shape in shapes for n in shape if n is not None}.union(_SIZES)
            results = _what_works(trial, sorted(known), given)
            if not results:
                raise error from None  # that of the small trial is the readable one
            return _common_spec(results, given)


def _divisible(given: list[KerasTensor], most: int) -> tuple[int, int]:
    """A pair of sizes for None that many numbers divide."""
    for pair in _DIVISIBLE_SIZES:
        shapes = ([pair[1] if n is None else n for n in tensor.shape] for tensor in given)
        if sum(map(math.prod, shapes)) <= most:
            break
    return pair


def _sample(shape: tuple[int, ...], dtype: str) -> Array:
    """An array for a trial."""
    if "int" in dtype or dtype == "bool":
        return np.zeros(shape, data_dtype(dtype))
    value = np.ones(shape, data_dtype(dtype))
    if dtype != STRING and len(shape) > 1 and shape[-1] == shape[-2]:
        value += np.eye(shape[-1], dtype=value.dtype)  # can be inverted
    return value


def _what_works(trial: Callable[..., Any], sizes: list[int], given: list[KerasTensor]) -> list[Any]:
    """Results of the trials that do not fail, each unknown axis having one of `sizes`."""
    axes = [(a, a - x.ndim) for x in given for a, n in enumerate(x.shape) if n is None]
    every: Iterable[tuple[int, ...]] = itertools.product(sizes, repeat=len(axes))
    if len(sizes) ** len(axes) > _MOST_TRIALS:
        draw = random.Random(0)
        every = [tuple(draw.choices(sizes, k=len(axes))) for _ in range(_MOST_TRIALS)]
        for side in (0, 1):  # axes that meet have one size, counted from the front or the back
            met = {axis[side]: i for i, axis in enumerate(axes)}
            for chosen in itertools.islice(itertools.product(sizes, repeat=len(met)), _MOST_TRIALS):
                size_at = dict(zip(met, chosen, strict=True))
                every.append(tuple(size_at[axis[side]] for axis in axes))
    results = []
    for assignment in every:
        left = iter(assignment)
        shapes = [[next(left) if n is None else n for n in x.shape] for x in given]
        if sum(map(math.prod, shapes)) > _MOST_ELEMENTS:
            continue
        with contextlib.suppress(ValueError, IndexError):
            results.append(trial(*assignment))
    return results


def _common_spec(results: list[Any], given: list[KerasTensor]) -> Any:
    """What the results of all trials have in common.

    Nothing where sizes were unknown may be too little of a size: ``x[:, 5:]``.
    """
    are_empty = len(results) == 1 or any(0 in tensor.shape for tensor in given)

    def spec(*values: Any) -> object:
        first = values[0]
        if first is None or isinstance(first, str):
            return first
        sizes = zip(*map(np.shape, values), strict=True)
        shape = tuple(
            None if len({*axis}) > 1 or (axis[0] == 0 and not are_empty) else axis[0]
            for axis in sizes
        )
        return KerasTensor(shape, dtype=_spec_dtype(first))

    return tree.map_structure(spec, *results)


def _spec_dtype(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        text = getattr(dtype, "kind", "") in ("U", "S")
        return STRING if text else str(getattr(dtype, "name", dtype))
    return {bool: "bool", int: "int32"}.get(type(value), settings.floatx())
