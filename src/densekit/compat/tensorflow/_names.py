"""Functions of TensorFlow that are one of `ops` under another name, and their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from densekit import ops
from densekit._core.errors import message
from densekit._core.frames import hide_internal_frames

# name in TensorFlow -> (name in ops, {argument in TensorFlow: argument in ops})
Names = dict[str, tuple[str, dict[str, str]]]


def _same(names: str, **arguments: str) -> Names:
    return {name: (name, arguments) for name in names.split()}


BOTH: Names = {
    **_same("add subtract multiply divide maximum minimum", x="x1", y="x2"),
    **_same("equal not_equal greater greater_equal less less_equal", x="x1", y="x2"),
    **_same("logical_and logical_or", x="x1", y="x2"),
    "pow": ("power", {"x": "x1", "y": "x2"}),
    "truediv": ("divide", {"x": "x1", "y": "x2"}),
    "floordiv": ("floor_divide", {"x": "x1", "y": "x2"}),
    "tensordot": ("tensordot", {"a": "x1", "b": "x2"}),
}
ELEMENTWISE: Names = {
    **_same(
        "abs square sqrt exp sign floor round sigmoid tanh sin cos tan asin acos atan sinh cosh"
    ),
    **{short: (f"arc{short[1:]}", {}) for short in ("asin", "acos", "atan")},
    **_same("logical_not"),
    "negative": ("negative", {}),
    "identity": ("convert_to_tensor", {"input": "x"}),
    "stop_gradient": ("stop_gradient", {"input": "variable"}),
    "clip_by_value": (
        "clip",
        {"t": "x", "clip_value_min": "x_min", "clip_value_max": "x_max"},
    ),
    **_same("ones_like zeros_like", input="x"),
    "atan2": ("arctan2", {"y": "x1", "x": "x2"}),
    "floormod": ("mod", {"x": "x1", "y": "x2"}),
    "mod": ("mod", {"x": "x1", "y": "x2"}),
}
REDUCTIONS: Names = {
    f"reduce_{name}": (name, {"input_tensor": "x"})
    for name in ("mean", "sum", "max", "min", "prod", "all", "any", "logsumexp")
} | {
    "norm": ("norm", {"tensor": "x"}),
    "reduce_std": ("std", {"input_tensor": "x"}),
    "reduce_variance": ("var", {"input_tensor": "x"}),
    "reduce_euclidean_norm": ("norm", {"input_tensor": "x"}),
}
REARRANGING: Names = {
    "reshape": ("reshape", {"tensor": "x", "shape": "newshape"}),
    "transpose": ("transpose", {"a": "x", "perm": "axes"}),
    "expand_dims": ("expand_dims", {"input": "x"}),
    "squeeze": ("squeeze", {"input": "x"}),
    "stack": ("stack", {"values": "x"}),
    "unstack": ("unstack", {"value": "x"}),
    "tile": ("tile", {"input": "x", "multiples": "repeats"}),
    "repeat": ("repeat", {"input": "x"}),
    "broadcast_to": ("broadcast_to", {"input": "x"}),
    "einsum": ("einsum", {}),
    "eye": ("eye", {"num_rows": "N", "num_columns": "M"}),
    "zeros": ("zeros", {}),
    "ones": ("ones", {}),
    "linspace": ("linspace", {}),
    "reverse": ("flip", {"tensor": "x"}),
    "roll": ("roll", {"input": "x"}),
    "meshgrid": ("meshgrid", {}),
    "cond": ("cond", {}),
    "while_loop": ("while_loop", {}),
    "map_fn": ("map", {"fn": "f", "elems": "xs"}),
}


def lookup(module: str, names: Names) -> Callable[[str], Callable[..., object]]:
    """``__getattr__`` of a module: functions by the table, one sentence for all other names."""

    def find(name: str) -> Callable[..., object]:
        if name in names:
            return _renamed(name, *names[name])
        try:
            raise AttributeError(name if name.startswith("__") else absent(f"{module}.{name}"))
        except AttributeError as error:
            hide_internal_frames(error)
            raise

    return find


def _renamed(theirs: str, ours: str, arguments: dict[str, str]) -> Callable[..., object]:
    function: Callable[..., object] = getattr(ops, ours)

    @wraps(function)
    def call(*args: object, name: str | None = None, **kwargs: object) -> object:
        return function(*args, **{arguments.get(key, key): kwargs[key] for key in kwargs})

    call.__name__ = call.__qualname__ = theirs
    return call


_INSTEAD = {
    "tf.data": "Pass arrays to `fit`, or batches by a generator or a `keras.utils.PyDataset`.",
    "tf.distribute": "Use `keras.distribution` and the engine on JAX.",
    "tf.feature_column": "Use `keras.utils.FeatureSpace`.",
    "tf.saved_model": "Write `model.save('model.keras')`.",
    "tf.train": "Use `model.save_weights` or `keras.callbacks.BackupAndRestore`.",
    "tf.summary": "Use `keras.callbacks.TensorBoard`.",
    "tf.lite": "Use `model.export`.",
    **dict.fromkeys(
        ("tf.compat", "tf.Session", "tf.placeholder", "tf.layers", "tf.contrib"),
        "It is of TensorFlow 1: write the network as a `keras.Model`.",
    ),
}


def absent(what: str) -> str:
    """The sentence for what does not map one to one onto densekit."""
    action = _INSTEAD.get(what, "Write that part with `keras.ops` or NumPy.")
    return message(
        what, "a name of TensorFlow that maps one to one onto densekit", "one that does not", action
    )
