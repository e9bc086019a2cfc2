"""Saving and loading models in Keras' formats, and registering users' classes for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit._core.registry import CustomObjectScope as CustomObjectScope
    from densekit._core.registry import custom_object_scope as custom_object_scope
    from densekit._core.registry import get_custom_objects as get_custom_objects
    from densekit._core.registry import get_registered_name as get_registered_name
    from densekit._core.registry import get_registered_object as get_registered_object
    from densekit._core.registry import register_keras_serializable as register_keras_serializable
    from densekit._core.serialization import deserialize_keras_object as deserialize_keras_object
    from densekit._core.serialization import serialize_keras_object as serialize_keras_object
    from densekit.saving._api import load_model as load_model
    from densekit.saving._api import load_weights as load_weights
    from densekit.saving._api import save_model as save_model
    from densekit.saving._api import save_weights as save_weights
    from densekit.saving._config import from_json as from_json
    from densekit.saving._config import to_json as to_json
    from densekit.saving._file_editor import KerasFileEditor as KerasFileEditor
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_api": "load_model load_weights save_model save_weights",
            "_config": "from_json to_json",
            "_file_editor": "KerasFileEditor",
            "densekit._core.registry": (
                "CustomObjectScope custom_object_scope get_custom_objects get_registered_name "
                "get_registered_object register_keras_serializable"
            ),
            "densekit._core.serialization": "deserialize_keras_object serialize_keras_object",
        },
    )
