"""The keyword arguments that every layer takes, for type checkers."""

from __future__ import annotations

from typing import TypedDict

from densekit._core.types import Identifier


class FurtherOptions(TypedDict, total=False):
    """Those that no layer names itself; `Layer` describes them all."""

    trainable: bool
    autocast: bool


class LayerOptions(FurtherOptions, total=False):
    """All but `activity_regularizer`."""

    dtype: object
    name: str | None


class AllLayerOptions(LayerOptions, total=False):
    """All of them."""

    activity_regularizer: Identifier
