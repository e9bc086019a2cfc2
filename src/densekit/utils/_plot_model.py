"""`plot_model` and `model_to_dot`: models as diagrams."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback
from densekit._core.registry import export
from densekit.layers import Layer
from densekit.utils._plotting.diagram import Shown, diagram_of
from densekit.utils._plotting.dot import Dot
from densekit.utils._plotting.lines import STYLES

_DIRECTIONS = ("TB", "BT", "LR", "RL")


@export("keras.utils")
@filters_traceback
def model_to_dot(
    model: Layer,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Dot:
    """A drawing of a model, in memory: ``to_string()`` is its text in Graphviz' language.

    ``write(path)`` and ``create(format)`` give SVG, HTML and that text; PNG, PDF and others by
    matplotlib. Graphviz itself is not needed.

    Args:
        model: a built model.
        show_shapes: whether boxes tell shapes. Default: ``False``.
        show_dtype: whether boxes tell dtypes of outputs. Default: ``False``.
        show_layer_names: whether boxes tell names beside classes. Default: ``True``.
        rankdir: where arrows go: "TB" down, "BT" up, "LR" right, "RL" left. Default: ``"TB"``.
        expand_nested: whether layers of nested models are shown. Default: ``False``.
        dpi: pixels of an inch. Default: ``200``.
        subgraph: whether the text is that of a cluster, for another drawing. Default: ``False``.
        show_layer_activations: whether boxes tell activations. Default: ``False``.
        show_trainable: whether boxes tell what is trained. Default: ``False``.
        splines: shape of the arrows: "ortho", "curved", "spline", "polyline" or "line". Default:
            ``"ortho"``.

    Raises:
        ValueError: for a model that is not built, or an unknown argument.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.ReLU()])
    >>> [edge.get_destination() for edge in keras.utils.model_to_dot(model).get_edges()]
    ['"sequential/re_lu"']
    """
    where = "model_to_dot"
    if not model.built:
        raise ValueError(
            message(
                f"{where} of {model.name!r}",
                "a built model",
                "one that has not yet been built",
                "Call it on data or `build(input_shape)` first.",
            )
        )
    if kwargs.pop("layer_range", None) is not None or kwargs:
        raise ValueError(
            message(where, "known arguments", f"{list(kwargs) or 'layer_range'}", "Leave it out.")
        )
    for name, value, known in (
        ("rankdir", rankdir, _DIRECTIONS),
        ("splines", splines, STYLES),
    ):
        if value not in known:
            raise ValueError(
                message(where, f"`{name}`, one of {known}", describe(value), "Pick one of them.")
            )
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    return Dot(diagram_of(model, shown, expand_nested), rankdir, dpi, splines, subgraph)


@export("keras.utils")
@filters_traceback
def plot_model(
    model: Layer,
    to_file: str | Path = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> object:
    """Draw a model to a file: SVG, HTML or Graphviz' text; PNG, PDF and others by matplotlib.

    Args:
        model: a built model.
        to_file: path; its extension names the format, ``.png`` if there is none. Default:
            ``"model.png"``.
        show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
            show_layer_activations, show_trainable, splines: as for `model_to_dot`.

    Returns:
        in a notebook the picture, else None.

    Raises:
        ValueError: for a model that is not built, an unknown argument or format.
        ImportError: for PNG and its like without matplotlib.

    Example:

    >>> import densekit as keras, pathlib, tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> path = pathlib.Path(tempfile.mkdtemp(), "model.svg")
    >>> keras.utils.plot_model(model, path, show_shapes=True)
    >>> path.read_text()[:4]
    '<svg'
    """
    dot = model_to_dot(
        model,
        show_shapes=show_shapes,
        show_dtype=show_dtype,
        show_layer_names=show_layer_names,
        rankdir=rankdir,
        expand_nested=expand_nested,
        dpi=dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
        **kwargs,
    )
    path = Path(to_file)
    kind = path.suffix[1:].lower() or "png"
    dot.write(path, format=kind)
    notebook = sys.modules.get("IPython.display")
    if notebook is None or kind not in ("svg", "png", "jpg", "jpeg"):
        return None
    return notebook.SVG(str(path)) if kind == "svg" else notebook.Image(filename=str(path))
