"""Small helpers around models: seeds, names, labels, data, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit._core.dtypes import standardize_dtype as standardize_dtype
    from densekit._core.registry import CustomObjectScope as CustomObjectScope
    from densekit._core.registry import custom_object_scope as custom_object_scope
    from densekit._core.registry import get_custom_objects as get_custom_objects
    from densekit._core.registry import get_registered_name as get_registered_name
    from densekit._core.registry import get_registered_object as get_registered_object
    from densekit._core.registry import register_keras_serializable as register_keras_serializable
    from densekit._core.seeds import set_random_seed as set_random_seed
    from densekit._core.serialization import deserialize_keras_object as deserialize_keras_object
    from densekit._core.serialization import serialize_keras_object as serialize_keras_object
    from densekit._core.settings import disable_interactive_logging as disable_interactive_logging
    from densekit._core.settings import enable_interactive_logging as enable_interactive_logging
    from densekit._core.settings import (
        is_interactive_logging_enabled as is_interactive_logging_enabled,
    )
    from densekit.backend import clear_session as clear_session
    from densekit.backend import is_keras_tensor as is_keras_tensor
    from densekit.callbacks._progbar import Progbar as Progbar
    from densekit.data._pydataset import PyDataset as PyDataset
    from densekit.data._pydataset import PyDataset as Sequence
    from densekit.utils._arrays import normalize as normalize
    from densekit.utils._arrays import to_categorical as to_categorical
    from densekit.utils._config import Config as Config
    from densekit.utils._datasets import pack_x_y_sample_weight as pack_x_y_sample_weight
    from densekit.utils._datasets import split_dataset as split_dataset
    from densekit.utils._datasets import unpack_x_y_sample_weight as unpack_x_y_sample_weight
    from densekit.utils._feature_space import FeatureSpace as FeatureSpace
    from densekit.utils._files import get_file as get_file
    from densekit.utils._plot_model import model_to_dot as model_to_dot
    from densekit.utils._plot_model import plot_model as plot_model
    from densekit.utils._sequences import pad_sequences as pad_sequences
    from densekit.utils._sequences import (
        timeseries_dataset_from_array as timeseries_dataset_from_array,
    )
    from densekit.utils._sources import get_source_inputs as get_source_inputs
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit._core.dtypes": "standardize_dtype",
            "densekit._core.registry": (
                "CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
                "get_registered_object register_keras_serializable"
            ),
            "densekit._core.seeds": "set_random_seed",
            "densekit._core.serialization": "deserialize_keras_object serialize_keras_object",
            "densekit._core.settings": (
                "disable_interactive_logging enable_interactive_logging "
                "is_interactive_logging_enabled"
            ),
            "densekit.backend": "clear_session is_keras_tensor",
            "densekit.callbacks._progbar": "Progbar",
            "densekit.data._pydataset": "PyDataset",
            "_arrays": "normalize to_categorical",
            "_config": "Config",
            "_datasets": "pack_x_y_sample_weight split_dataset unpack_x_y_sample_weight",
            "_feature_space": "FeatureSpace",
            "_files": "get_file",
            "_plot_model": "model_to_dot plot_model",
            "_sources": "get_source_inputs",
            "_sequences": "pad_sequences timeseries_dataset_from_array",
        },
        {"Sequence": "PyDataset"},
    )
