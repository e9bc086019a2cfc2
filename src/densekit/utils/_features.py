"""What a `FeatureSpace` consists of: features, crosses, and two layers that Keras' files name."""

from __future__ import annotations

from collections.abc import Sequence

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import serialize_keras_object
from densekit._core.types import Config
from densekit.layers import Concatenate, Identity, Layer, deserialize

_MODULE = "keras.src.layers.preprocessing.feature_space"  # where Keras' files look for them


@export(_MODULE)
class Feature:
    """A column: its type, the layer that prepares it, and how the result is encoded.

    Args:
        dtype: type of the column: "float32", "int32" or "string".
        preprocessor: the layer, or its config.
        output_mode: "float", "int" or "one_hot".

    Raises:
        ValueError: for another mode.
    """

    def __init__(self, dtype: str, preprocessor: Layer | Config, output_mode: str) -> None:
        self.output_mode = _checked("Feature", output_mode, ("int", "one_hot", "float"))
        self.dtype = dtype
        if isinstance(preprocessor, dict):
            preprocessor = deserialize(preprocessor)
        self.preprocessor: Layer = preprocessor

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "dtype": self.dtype,
            "preprocessor": serialize_keras_object(self.preprocessor),
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Config) -> Feature:
        """Create from `get_config`."""
        return cls(**config)


@export(_MODULE)
class Cross:
    """Features whose combinations are hashed into buckets.

    Args:
        feature_names: names of the features.
        crossing_dim: number of buckets.
        output_mode: "int" or "one_hot". Default: ``"one_hot"``.

    Raises:
        ValueError: for another mode.
    """

    def __init__(
        self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot"
    ) -> None:
        self.output_mode = _checked("Cross", output_mode, ("int", "one_hot"))
        self.feature_names = tuple(feature_names)
        self.crossing_dim = crossing_dim

    @property
    def name(self) -> str:
        """The names of the features, joined."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }

    @classmethod
    def from_config(cls, config: Config) -> Cross:
        """Create from `get_config`."""
        return cls(**config)


@export(_MODULE)
class TFDConcat(Concatenate):
    """`Concatenate`, under the name that Keras gives it here."""


@export(_MODULE)
class TFDIdentity(Identity):
    """`Identity`, under the name that Keras gives it here."""


def _checked(where: str, mode: object, modes: tuple[str, ...]) -> str:
    if mode not in modes:
        raise ValueError(
            message(where, f"`output_mode`, one of {modes}", describe(mode), "Pick one of them.")
        )
    return str(mode)
