"""`TensorBoard`: losses, metrics and weights for TensorBoard to draw."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from densekit._core import types
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array
from densekit.callbacks._callback import Callback, Logs, only_batches_if
from densekit.layers import Embedding, Layer
from densekit.optimizers import Optimizer

_MISSING = message(
    "TensorBoard",
    "the package tensorboardX",
    "an environment without it",
    'Install the extra: pip install "densekit[tensorboard]".',
)

_if_batches = only_batches_if(lambda callback: callback.update_freq != "epoch")


@export("keras.callbacks")
class TensorBoard(Callback):
    """Writes files that ``tensorboard --logdir logs`` shows, through the package tensorboardX.

    Those of training are in ``log_dir/train``, those of validation in ``log_dir/validation``:
    ``epoch_loss`` and the like by epoch, ``epoch_learning_rate``, and after an evaluation
    ``evaluation_loss_vs_iterations``.

    Args:
        log_dir: folder. Default: ``"logs"``.
        histogram_freq: write histograms of the weights every so many epochs; 0 for never. Default:
            ``0``.
        write_graph: write the config of a functional or sequential model. Default: ``True``.
        write_images: write the weights as images beside the histograms. Default: ``False``.
        write_steps_per_second: write how many steps a second were made. Default: ``False``.
        update_freq: also write ``batch_loss`` and the like every so many batches; ``"batch"`` is 1,
            ``"epoch"`` never. Default: ``"epoch"``.
        profile_batch: 0: no other engine is profiled. Default: ``0``.
        embeddings_freq: save the weights for the projector every so many epochs; 0 for never.
            Default: ``0``.
        embeddings_metadata: file that names the rows of the embeddings, or a dict of such files by
            name of the layer. Default: ``None``.

    Raises:
        ImportError: if tensorboardX is not installed.
        ValueError: for another `profile_batch`, or names in `embeddings_metadata` that are no
            embeddings of the model.

    Example:

    >>> import densekit as keras
    >>> keras.callbacks.TensorBoard("logs", histogram_freq=1).histogram_freq
    1
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
        profile_batch: object = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if profile_batch not in (0, "0"):
            raise ValueError(
                message(
                    "TensorBoard",
                    "`profile_batch` 0, as the engine has no profiler",
                    describe(profile_batch),
                    "Leave it out.",
                )
            )
        try:
            import tensorboardX  # optional: this callback alone needs it
        except ImportError as error:
            raise ImportError(_MISSING) from error
        self._dk_new_writer: Any = tensorboardX.SummaryWriter
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._dk_writers: dict[str, Any] = {}
        self._dk_train_batches = 0
        self._dk_epoch_start = (0.0, 0)  # when, and after how many steps
        self._dk_batch_start = 0.0
        self._dk_is_training = False

    def _dk_writer(self, part: str) -> Any:
        """The writer of "train" or "validation", opened when it is first needed."""
        if part not in self._dk_writers:
            self._dk_writers[part] = self._dk_new_writer(os.path.join(self.log_dir, part))
        return self._dk_writers[part]

    def _dk_scalars(self, part: str, values: types.Logs, step: int) -> None:
        for tag, value in values.items():
            if np.size(value) == 1:
                self._dk_writer(part).add_scalar(tag, float(np.reshape(value, ())), step)

    def set_model(self, model: object) -> None:
        super().set_model(model)
        self._dk_close()
        if self.write_graph and type(model).__name__ in ("Functional", "Sequential"):
            summary = _config_summary(self.model.to_json())
            self._dk_writer("train").file_writer.add_summary(summary, 0)
        if self.embeddings_freq and isinstance(self.embeddings_metadata, dict):
            names = {layer.name for layer in _embeddings(self.model.layers)}
            unknown = sorted(self.embeddings_metadata.keys() - names)
            if unknown:
                raise ValueError(
                    message(
                        "TensorBoard",
                        f"names of embeddings of the model in `embeddings_metadata`: {names}",
                        ", ".join(unknown),
                        "Correct the names.",
                    )
                )

    # Batches

    @_if_batches
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        self._dk_train_batches += 1
        self._dk_batch_start = time.perf_counter()

    @_if_batches
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        step = self._dk_train_batches
        if isinstance(self.update_freq, str) or step % self.update_freq:
            return
        values = {f"batch_{name}": value for name, value in (logs or {}).items()}
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._dk_batch_start
            values["batch_steps_per_second"] = 1.0 / max(seconds, 1e-9)
        self._dk_scalars("train", values, step)

    # Epochs

    def on_train_begin(self, logs: Logs = None) -> None:
        self._dk_train_batches = 0
        self._dk_is_training = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._dk_epoch_start = (time.perf_counter(), self._dk_iterations())

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = dict(logs or {})
        validation = {f"epoch_{k[4:]}": v for k, v in logs.items() if k.startswith("val_")}
        training = {f"epoch_{k}": v for k, v in logs.items() if not k.startswith("val_")}
        if training:
            training |= {f"epoch_{k}": v for k, v in _rates(self.model.optimizer).items()}
            if self.write_steps_per_second:
                start, steps = self._dk_epoch_start
                seconds = max(time.perf_counter() - start, 1e-9)
                training["epoch_steps_per_second"] = (self._dk_iterations() - steps) / seconds
        self._dk_scalars("train", training, epoch)
        self._dk_scalars("validation", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._dk_write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._dk_write_embeddings(epoch)
        for writer in self._dk_writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._dk_is_training = False
        self._dk_close()

    def on_test_end(self, logs: Logs = None) -> None:
        if self.model.optimizer is None:
            return
        values = {f"evaluation_{name}_vs_iterations": v for name, v in (logs or {}).items()}
        self._dk_scalars("validation", values, self._dk_iterations())
        if not self._dk_is_training:
            self._dk_close()

    def _dk_iterations(self) -> int:
        return int(np.asarray(self.model.optimizer.iterations))

    def _dk_close(self) -> None:
        for writer in self._dk_writers.values():
            writer.close()
        self._dk_writers = {}

    # Weights

    def _dk_write_weights(self, epoch: int) -> None:
        writer = self._dk_writer("train")
        for layer in self.model.layers:
            for weight in layer.weights:
                name, values = weight.path.replace(":", "_"), weight.numpy()
                writer.add_histogram(f"{name}/histogram", values.astype("float64"), epoch)
                image = _as_image(values) if self.write_images else None
                if image is not None:
                    writer.add_image(f"{name}/image", image, epoch, dataformats="HWC")

    def _dk_write_embeddings(self, epoch: int) -> None:
        """What TensorBoard's projector shows."""
        for layer in _embeddings(self.model.layers):
            metadata = self.embeddings_metadata
            path = metadata.get(layer.name) if isinstance(metadata, dict) else metadata
            rows = None
            if path is not None:
                with open(os.path.join(self.log_dir, path)) as file:
                    rows = file.read().splitlines()
            table = layer.embeddings.numpy().astype("float32")
            self._dk_writer("train").add_embedding(
                table, metadata=rows, global_step=epoch, tag=layer.name
            )


def _embeddings(layers: list[Layer]) -> list[Embedding]:
    return [layer for layer in layers if isinstance(layer, Embedding)]


def _rates(optimizer: Optimizer | None) -> dict[str, float]:
    """The learning rate, or those of several optimizers by name."""
    parts = [] if optimizer is None else optimizer.native_parts
    several = len(parts) > 1
    return {
        f"learning_rate_{part.name}" if several else "learning_rate": float(part.learning_rate)
        for part in parts
    }


def _as_image(values: Array) -> Array | None:
    """A weight of one or two axes as ``(height, width, 1)``, the longer side across."""
    values = np.squeeze(values)
    if values.ndim == 2:
        flat = values.T if values.shape[0] > values.shape[1] else values
    elif values.ndim == 1:
        flat = values[None, :]
    else:
        return None
    return np.clip(flat, 0.0, 1.0)[..., None].astype("float32")


def _config_summary(config: str) -> Any:
    """The config of a model, of which TensorBoard draws a graph."""
    from tensorboardX.proto import summary_pb2, tensor_pb2, tensor_shape_pb2

    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
    tensor = tensor_pb2.TensorProto(
        dtype="DT_STRING",
        string_val=[config.encode()],
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
    )
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
    value = summary_pb2.Summary.Value(tag="keras", metadata=metadata, tensor=tensor)
    return summary_pb2.Summary(value=[value])
