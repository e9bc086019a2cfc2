"""The kinds of features of a `FeatureSpace`: each is a short constructor."""

from __future__ import annotations

from collections.abc import Iterable

from densekit import layers
from densekit._core.naming import unique_name
from densekit._core.types import ArrayLike, Config
from densekit.utils._features import Cross, Feature, TFDIdentity


def _layer_name(name: str | None, kind: str) -> str:
    return f"{name or unique_name(kind)}_preprocessor"


class FeatureKinds:
    """Class methods that make features, by the names that a `FeatureSpace` knows them by."""

    @classmethod
    def cross(
        cls, feature_names: Iterable[str], crossing_dim: int, output_mode: str = "one_hot"
    ) -> Cross:
        """Combinations of features, hashed into `crossing_dim` buckets."""
        return Cross(tuple(feature_names), crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: layers.Layer | Config, output_mode: str) -> Feature:
        """A column of a type, prepared by a layer of the user's own."""
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        name = _layer_name(name, "float")
        return Feature("float32", TFDIdentity(name=name), "float")

    @classmethod
    def float_rescaled(
        cls, scale: ArrayLike = 1.0, offset: ArrayLike = 0.0, name: str | None = None
    ) -> Feature:
        """Numbers times `scale`, plus `offset`."""
        name = _layer_name(name, "float_rescaled")
        return Feature("float32", layers.Rescaling(scale, offset, name=name), "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers brought to mean 0 and variance 1 of the data that `adapt` sees."""
        name = _layer_name(name, "float_normalized")
        return Feature("float32", layers.Normalization(axis=-1, name=name), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int | None,
        bin_boundaries: object = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """The bin that numbers fall in; `adapt` makes `num_bins`, or they have boundaries."""
        name = _layer_name(name, "float_discretized")
        bins = layers.Discretization(num_bins=num_bins, bin_boundaries=bin_boundaries, name=name)
        return Feature("float32", bins, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Whole numbers by their index among those that `adapt` sees."""
        name = _layer_name(name, "integer_categorical")
        lookup = layers.IntegerLookup(max_tokens, num_oov_indices, name=name)
        return Feature("int32", lookup, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings by their index among those that `adapt` sees."""
        name = _layer_name(name, "string_categorical")
        lookup = layers.StringLookup(max_tokens, num_oov_indices, name=name)
        return Feature("string", lookup, output_mode)

    @classmethod
    def string_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Strings hashed into `num_bins` buckets."""
        name = _layer_name(name, "string_hashed")
        return Feature("string", layers.Hashing(num_bins, name=name), output_mode)

    @classmethod
    def integer_hashed(
        cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Whole numbers hashed into `num_bins` buckets."""
        name = _layer_name(name, "integer_hashed")
        return Feature("int32", layers.Hashing(num_bins, name=name), output_mode)
