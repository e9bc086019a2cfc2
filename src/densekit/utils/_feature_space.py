"""`FeatureSpace`: from named columns to what a network takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeGuard

import numpy as np

from densekit import layers, saving
from densekit._core.dtypes import INTEGER_TYPES, STRING
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Array, Config
from densekit.data._tables import column_names, named_columns
from densekit.layers.preprocessing._base import as_array
from densekit.layers.preprocessing._index_lookup import IndexLookup
from densekit.ops import KerasTensor
from densekit.utils._feature_kinds import FeatureKinds
from densekit.utils._features import Cross, Feature, TFDConcat


class Table(Protocol):
    """Columns by name: a dict, or a table of another package."""

    def __getitem__(self, name: str, /) -> object:
        """The column of a name."""

    def __contains__(self, name: object, /) -> bool:
        """Whether there is a column of that name."""


@export("keras.utils")
class FeatureSpace(FeatureKinds, layers.Layer):
    """Prepares and encodes columns of structured data: a dict of arrays, or a table.

    Each feature has a layer of its own, `preprocessors[name]`; what it gives is encoded one-hot,
    kept as it is, or combined with others by hashing: `crossers[name]`.

    Args:
        features: kind of each column by its name: "float", "float_normalized", "float_rescaled",
            "float_discretized", "integer_categorical", "string_categorical", "integer_hashed",
            "string_hashed", or what the class methods of these names give; `feature` takes a layer
            of the user's own.
        output_mode: "concat", one row of numbers, or "dict", each feature by its name. Default:
            ``"concat"``.
        crosses: names of features to combine, tuples or what `cross` gives. Default: none.
        crossing_dim: buckets of a cross. Default: ``32``.
        hashing_dim: buckets of a hashed feature. Default: ``32``.
        num_discretization_bins: bins of a discretized feature. Default: ``32``.

    Raises:
        ValueError: for no features, an unknown kind or mode, or a cross of unknown features.

    Example:

    >>> import densekit as keras
    >>> space = keras.utils.FeatureSpace(
    ...     {"age": "float_normalized", "pet": "string_categorical"}
    ... )
    >>> data = {"age": [2.0, 4.0], "pet": ["cat", "dog"]}
    >>> space.adapt(data)
    >>> space(data).tolist()
    [[-1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]
    """

    def __init__(
        self,
        features: Mapping[str, str | Feature | Config],
        output_mode: str = "concat",
        crosses: Iterable[Sequence[str] | Cross | Config] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            self._dk_refuse("some `features`", describe(features), "Name at least one column.")
        if output_mode not in ("dict", "concat"):
            self._dk_refuse(
                "`output_mode`, 'concat' or 'dict'", describe(output_mode), "Pick one of them."
            )
        self.crossing_dim = crossing_dim
        self.hashing_dim = hashing_dim
        self.num_discretization_bins = num_discretization_bins
        self.features = {key: self._dk_feature(key, value) for key, value in features.items()}
        self.crosses = [self._dk_cross(cross) for cross in crosses or ()]
        self.crosses_by_name = {cross.name: cross for cross in self.crosses}
        self.output_mode = output_mode
        self.inputs = {
            key: layers.Input((1,), dtype=feature.dtype, name=key)
            for key, feature in self.features.items()
        }
        self.preprocessors = {key: f.preprocessor for key, f in self.features.items()}
        self.encoded_features: Any = None
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name)
            for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, layers.CategoryEncoding] = {}
        self.concat: TFDConcat | None = None
        self._dk_is_adapted = False

    def _dk_feature(self, name: str, given: object) -> Feature:
        if isinstance(given, Feature):
            return given
        if isinstance(given, dict):
            return _feature(given)
        sizes: dict[str, tuple[int, ...]] = {
            "float": (),
            "float_normalized": (),
            "float_rescaled": (),
            "float_discretized": (self.num_discretization_bins,),
            "integer_categorical": (),
            "string_categorical": (),
            "integer_hashed": (self.hashing_dim,),
            "string_hashed": (self.hashing_dim,),
        }
        if not isinstance(given, str) or given not in sizes:
            self._dk_refuse(
                f"a kind of the feature {name!r}, one of {list(sizes)}",
                f"invalid feature type {given!r}",
                "Pick one of them.",
            )
        made: Feature = getattr(type(self), given)(*sizes[given], name=name)
        return made

    def _dk_cross(self, given: Sequence[str] | Cross | Config) -> Cross:
        if isinstance(given, dict):
            given = _cross(given)
        if not isinstance(given, Cross) and not self.crossing_dim:
            self._dk_refuse("`crossing_dim` for `crosses`", "none", "Pass e.g. 32.")
        cross = given if isinstance(given, Cross) else Cross(given, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            self._dk_refuse(
                f"crosses of the features {list(self.features)}",
                f"unknown features {unknown}",
                "Add them to `features`.",
            )
        return cross

    def _dk_refuse(self, expected: str, got: str, action: str) -> NoReturn:
        raise ValueError(message(f"FeatureSpace {self.name!r}", expected, got, action))

    # Learning from data

    def adapt(self, dataset: object) -> None:
        """Let the layers that learn from data see it: means, bins, vocabularies.

        Args:
            dataset: a dict of columns, a table, or an iterable of such batches, alone or as the
                first of a tuple; of single rows too.

        Raises:
            ValueError: for anything else, or a column that is missing.
        """
        columns = self._dk_source(dataset)
        for name in self._dk_adaptable():
            preprocessor: Any = self.preprocessors[name]
            preprocessor.adapt(columns(name))
        self._dk_is_adapted = True
        self.encoded_features = None
        self.one_hot_encoders = {}
        self.get_encoded_features()
        self.built = True

    def _dk_source(self, dataset: object) -> Callable[[str], Array | Iterator[Array]]:
        """What gives the column of a name: an array, or an iterable of batches."""
        if _is_table(dataset):
            table = self._dk_table(dataset)
            return lambda name: _upright(table[name])
        if isinstance(dataset, str | bytes) or not isinstance(dataset, Iterable):
            self._dk_refuse(
                "a dict of columns, a table or an iterable of batches",
                describe(dataset),
                "Pass e.g. dict(frame).",
            )
        rows = list(dataset) if isinstance(dataset, Iterator) else dataset  # read more than once

        def column(name: str) -> Iterator[Array]:
            for given in rows:
                batch = given[0] if isinstance(given, tuple) else given
                yield _upright(self._dk_table(batch)[name])

        return column

    def _dk_table(self, data: object) -> Table:
        data = dict(named_columns(data)) or data
        if not _is_table(data):
            self._dk_refuse("a dict of columns or a table", describe(data), "Pass dict(frame).")
        missing = [name for name in self.features if name not in data]
        if missing:
            self._dk_refuse(
                f"the columns {list(self.features)}", f"none named {missing[0]!r}", "Add it."
            )
        return data

    def _dk_adaptable(self) -> list[str]:
        return [name for name, layer in self.preprocessors.items() if _learns(layer)]

    # Encoding

    def get_inputs(self) -> dict[str, KerasTensor]:
        """The symbolic inputs by the names of the columns, for a functional model.

        Raises:
            ValueError: before `adapt`, if a layer learns from data.
        """
        self.get_encoded_features()
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What the symbolic inputs become: one tensor, or a dict of them.

        Raises:
            ValueError: before `adapt`, if a layer learns from data, or for features that cannot be
                encoded or joined.
        """
        if not self._dk_is_adapted and self._dk_adaptable():
            self._dk_refuse("a call of `adapt` first", "none", "Call `adapt(data)`.")
        self._dk_is_adapted = True
        if self.encoded_features is None:
            self.encoded_features = self._dk_encode(self.inputs)
            self.built = True
        return self.encoded_features

    def _dk_encode(self, columns: Mapping[str, object]) -> Any:
        prepared = {name: layer(columns[name]) for name, layer in self.preprocessors.items()}
        crossed = {
            cross.name: self.crossers[cross.name]([prepared[n] for n in cross.feature_names])
            for cross in self.crosses
        }
        encoded = {
            name: self._dk_encoded(name, found[name], specs[name])
            for found, specs in ((prepared, self.features), (crossed, self.crosses_by_name))
            for name in sorted(found)
        }
        if self.output_mode == "dict":
            return encoded
        for name, column in encoded.items():
            if str(column.dtype) == STRING or str(column.dtype) in INTEGER_TYPES:
                self._dk_refuse(
                    "features that can be joined",
                    f"{name!r}, which is not encoded ({column.dtype})",
                    "Pass output_mode='dict', or 'one_hot' for the feature.",
                )
        if self.concat is None:
            self.concat = TFDConcat(axis=-1)
        return self.concat(list(encoded.values()))

    def _dk_encoded(self, name: str, column: Any, spec: Feature | Cross) -> Any:
        if spec.output_mode != "one_hot":
            return column
        if name not in self.one_hot_encoders:
            if str(column.dtype) not in INTEGER_TYPES:
                self._dk_refuse(
                    f"whole numbers from the layer of {name!r} for output_mode='one_hot'",
                    f"{column.dtype}",
                    "Pass output_mode='float'.",
                )
            size = _cardinality(self.preprocessors.get(name) or self.crossers[name])
            if size is None:
                self._dk_refuse(
                    f"a layer for {name!r} whose number of outputs is known",
                    "one of the user's own",
                    "Pass output_mode='int'.",
                )
            self.one_hot_encoders[name] = layers.CategoryEncoding(size, output_mode="multi_hot")
        return self.one_hot_encoders[name](column)

    def __call__(self, data: object) -> Any:
        """The encoded features of a dict of columns, of a table, or of a single row.

        Raises:
            ValueError: before `adapt`, or for anything else.
        """
        self.get_encoded_features()
        table = self._dk_table(data)
        given = {name: as_array(table[name]) for name in self.features}
        single = any(np.ndim(column) == 0 for column in given.values())
        encoded = self._dk_encode({name: _upright(column) for name, column in given.items()})
        if not single:
            return encoded
        if isinstance(encoded, dict):
            return {name: column[0] for name, column in encoded.items()}
        return encoded[0]

    # Files

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "features": serialize_keras_object(self.features),
            "output_mode": self.output_mode,
            "crosses": serialize_keras_object(self.crosses),
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    def get_build_config(self) -> Config:
        """What the layers were built for."""
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: Config | None) -> None:
        """Build the layers as `get_build_config` recorded: they have seen data."""
        for name, inner in (config or {}).items():
            layer = self.preprocessors[name]
            if inner and not layer.built:
                layer.build_from_config(inner)
        self._dk_is_adapted = True

    def save(self, filepath: str | Path) -> None:
        """Write a ``.keras`` file, which `saving.load_model` reads."""
        saving.save_model(self, filepath)

    def save_own_variables(self, store: object) -> None:
        """Nothing: all state is that of the layers."""

    def load_own_variables(self, store: object) -> None:
        """Nothing."""


def _is_table(data: object) -> TypeGuard[Table]:
    return isinstance(data, Mapping) or column_names(data) is not None


def _upright(column: object) -> Array:
    """A column with a batch axis and one of size 1."""
    array = as_array(column)
    return array if np.ndim(array) > 1 else np.reshape(array, (-1, 1))


def _learns(layer: object) -> bool:
    """Whether `adapt` is still to tell the layer something."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is not None
    if isinstance(layer, IndexLookup | layers.TextVectorization):
        return not layer.vocabulary_is_given
    return hasattr(layer, "adapt")


def _cardinality(layer: object) -> int | None:
    """How many whole numbers a layer may give."""
    if isinstance(layer, IndexLookup):
        return layer.vocabulary_size()
    if isinstance(layer, layers.CategoryEncoding):
        return layer.num_tokens
    if isinstance(layer, layers.Discretization):
        return layer.num_bins or len(layer.bin_boundaries or ()) + 1
    if isinstance(layer, layers.HashedCrossing | layers.Hashing):
        return layer.num_bins
    return None


def _feature(config: object) -> Feature:
    found = deserialize_keras_object(config)
    if isinstance(found, Feature):
        return found
    raise ValueError(
        message("FeatureSpace", "the config of a feature", describe(found), "Save it again.")
    )


def _cross(config: object) -> Cross:
    found = deserialize_keras_object(config)
    if isinstance(found, Cross):
        return found
    raise ValueError(
        message("FeatureSpace", "the config of a cross", describe(found), "Save it again.")
    )
