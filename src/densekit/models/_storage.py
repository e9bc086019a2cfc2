"""`Storage`: the methods of `Model` that write and read files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from densekit import saving
from densekit._core.errors import message
from densekit._core.frames import filters_traceback
from densekit._core.registry import export

if TYPE_CHECKING:
    from pathlib import Path

    from densekit.saving._model import SavedModel
    from densekit.saving._orbax import OrbaxFolder


class Storage:
    """`save` and what belongs to it."""

    @filters_traceback
    def save(
        self: SavedModel,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the whole model to a ``.keras`` or ``.h5`` file: see `saving.save_model`."""
        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @filters_traceback
    def save_weights(
        self: SavedModel,
        filepath: str | Path,
        overwrite: bool = True,
        max_shard_size: float | None = None,
    ) -> None:
        """Write the weights to a ``.weights.h5`` file, or shards: see `saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite, max_shard_size)

    @filters_traceback
    def load_weights(
        self: SavedModel, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any
    ) -> None:
        """Read weights from a file: see `saving.load_weights`."""
        unknown = sorted(set(kwargs) - {"by_name", "objects_to_skip"})
        if unknown:
            raise ValueError(
                message(
                    "load_weights",
                    "`by_name` or `objects_to_skip` as further arguments",
                    f"{unknown}",
                    "Mend the name.",
                )
            )
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    @filters_traceback
    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: object = None,
        **kwargs: object,
    ) -> None:
        """Write the model in a format that other programs run.

        No format is built in yet: `densekit.export.register_format` adds one.

        Args:
            filepath: where to.
            format: name of the format. Default: ``"tf_saved_model"``, as in Keras.
            verbose: whether to say what was written. Default: ``True``.
            input_signature: shapes and dtypes of the inputs. Default: those of the model.
            kwargs: options of the format.

        Raises:
            ValueError: for an unknown format or a model that is not built.
            ImportError, NotImplementedError: for a format of Keras that is not here.
        """
        from densekit.export import export_model  # slow: a room that most models never need

        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def _dk_orbax_folder(self, path: str, keep: int | None) -> OrbaxFolder:
        """Where `callbacks.OrbaxCheckpoint` writes checkpoints."""
        from densekit.saving._orbax import OrbaxFolder  # slow: most models never need it

        return OrbaxFolder(path, keep)

    def to_json(self, **kwargs: object) -> str:
        """The architecture as JSON; `kwargs` go to `json.dumps`."""
        return saving.to_json(self, **kwargs)


@export("keras.models")
def model_from_json(json_string: str, custom_objects: dict[str, object] | None = None) -> Any:
    """Create a model, with fresh weights, from what `Model.to_json` returned.

    Args:
        json_string: the JSON.
        custom_objects: users' classes and functions by name. Default: none.

    Raises:
        ValueError: for text that is no model's JSON.
        TypeError: for a class that is not known.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.models.model_from_json(model.to_json()).output_shape
    (None, 2)
    """
    return saving.from_json(json_string, custom_objects)
