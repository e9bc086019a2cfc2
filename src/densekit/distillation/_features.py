"""What layers inside a model give, computed by one pass with its outputs."""

from __future__ import annotations

from collections.abc import Iterable

from densekit.models import Model

FINAL = "final_output"


def has_graph(model: Model) -> bool:
    """Whether a model has symbolic inputs and outputs: a subclass has none."""
    return bool(getattr(model, "inputs", None))  # AttributeError before a Sequential is built


def extractor(model: Model, names: Iterable[str | None]) -> Model | None:
    """The model with the outputs of layers beside its own, by name; None if no layer is named."""
    wanted = dict.fromkeys(name for name in names if name)
    if not wanted:
        return None
    layers = {name: model.get_layer(name=name).output for name in wanted}
    return Model(
        model.input, {FINAL: model.output, **layers}, name=f"{model.name}_multi_feature_extractor"
    )
