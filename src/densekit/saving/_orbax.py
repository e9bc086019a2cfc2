"""Folders of checkpoints as Orbax, and Keras through it, writes them: one below for each step.

Each process writes the parts of weights that its devices hold, and reads what it needs: nothing
is brought together first. The arrays lie below ``pytree`` by kind and path.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from densekit._core import settings
from densekit._core.allowance import allowance
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.registry import custom_object_scope
from densekit._core.variable import Variable
from densekit.saving._assets import (
    ASSETS,
    files_in,
    load_assets,
    reads_assets,
    save_assets,
    unpacked,
)
from densekit.saving._config import allowed, model_to_json, parse_json, revive_model
from densekit.saving._model import SavedModel
from densekit.saving._modernize import modern_object
from densekit.saving._tree import flat, matches, nested

_WEIGHTS = ("trainable_variables", "non_trainable_variables")
_KINDS = (*_WEIGHTS, "optimizer_variables", "metrics_variables")
_SLOTS = "optimizer_variables/"
_ARRAYS, _CONFIG = "pytree", "model_config"
_ORDER = "order"  # of batches; Keras does not look at it
_OF_STEP = "_CHECKPOINT_METADATA"  # a file in the folder of each step

MISSING = message(
    "Orbax checkpoints",
    "the package orbax-checkpoint, 0.12 or newer",
    "an environment without it",
    'Install the extra: pip install "densekit[orbax]".',
)


def orbax() -> Any:
    """The first version of Orbax' interface.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        import orbax.checkpoint as package  # optional, and slow: it imports JAX

        return package.v1
    except (ImportError, AttributeError) as error:
        raise ImportError(MISSING) from error


class OrbaxFolder:
    """Where checkpoints of a model are written, by number of step.

    Args:
        path: the folder; made if it is not there.
        keep: how many of the latest stay; None: all.

    Raises:
        ImportError: if Orbax is not installed.
    """

    def __init__(self, path: str, keep: int | None) -> None:
        training = orbax().training
        policy = training.preservation_policies.LatestN(keep) if keep is not None else None
        with _together():
            self._checkpointer = training.Checkpointer(
                directory=os.path.abspath(path),
                preservation_policy=policy,
                save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
            )
        self._pending: list[Any] = []

    def save(self, step: int, model: SavedModel, weights_only: bool, in_background: bool) -> None:
        """Write a checkpoint; what it holds is copied before this returns.

        Raises:
            ValueError: if the folder has this step, or a later one.
        """
        latest = self._checkpointer.latest
        if latest is not None and latest.step >= step:
            raise ValueError(
                message(
                    f"checkpoints in {str(self._checkpointer.directory)!r}",
                    f"a step after {latest.step}, the latest there",
                    f"step {step}",
                    "Use an empty folder, or go on with `initial_epoch` after loading the latest.",
                )
            )
        with _together():
            pending = self._checkpointer.save_checkpointables_async(
                step, _parts(model, weights_only, in_background)
            )
        if pending is not None:
            self._pending.append(pending)
        if not in_background:
            self.wait()

    def wait(self) -> None:
        """Return when all is written, in every process."""
        with _together():
            while self._pending:
                self._pending.pop(0).result()
            self._checkpointer.wait()

    def close(self) -> None:
        """Wait, and let go of the folder."""
        try:
            self.wait()
        finally:
            with _together():
                self._checkpointer.close()


def is_orbax(path: Path) -> bool:
    """Whether a folder holds checkpoints, or is one."""
    return path.is_dir() and (_is_step(path) or bool(_steps(path)))


def read_orbax(path: Path, custom_objects: dict[str, object] | None, compile: bool) -> SavedModel:
    """Revive the model of a checkpoint, or of the latest in a folder.

    Raises:
        ValueError: without a checkpoint of a whole model, or if weights of it are missing.
    """
    with _reading(path) as (checkpointer, step, parts):
        if _CONFIG not in parts:
            raise ValueError(
                message(
                    f"checkpoint {str(path)!r}",
                    "one that describes its model",
                    "weights alone",
                    "Make the model and use its `load_weights`.",
                )
            )
        config = checkpointer.load_checkpointables(step, {_CONFIG: None})[_CONFIG]["config"]
        size = sum(int(np.prod(m.shape)) * m.dtype.itemsize for _, m in flat(parts[_ARRAYS]))
        with allowance(allowed(size)), custom_object_scope(custom_objects):
            described = modern_object(parse_json(config, f"the model of {str(path)!r}"))
            model = revive_model(described, None, compile)
            _restore(model, checkpointer, step, parts, False)
        if ASSETS in parts and reads_assets(model):
            tree = checkpointer.load_checkpointables(step, {ASSETS: None})[ASSETS]
            files = {f"{ASSETS}/{name}": bytes(np.asarray(part)) for name, part in flat(tree)}
            with unpacked(files, files.__getitem__) as folder:
                load_assets(model, folder)
    return model


def load_orbax_weights(path: Path, model: SavedModel, skip_mismatch: bool) -> None:
    """Read weights, and the state of the optimizer if both have it, into a model."""
    with _reading(path) as (checkpointer, step, parts):
        _restore(model, checkpointer, step, parts, skip_mismatch)


def _parts(model: SavedModel, weights_only: bool, in_background: bool) -> dict[str, Any]:
    """What Keras writes of a model."""
    values = _values()
    kinds = _WEIGHTS if weights_only else _KINDS
    arrays = {
        kind: nested(
            ((v.path, values.of(v, in_background)) for v in model._dk_state(kind)), "checkpoint"
        )
        for kind in kinds
    }
    parts: dict[str, Any] = {_ARRAYS: arrays}
    if weights_only:
        return parts
    parts[_CONFIG] = {"config": model_to_json(model)}
    order = vars(model).get("_dk_shuffle_state")
    if order is not None:
        parts[_ORDER] = {"state": order.state.numpy()}
    with tempfile.TemporaryDirectory() as folder:
        save_assets(model, Path(folder))
        files = [
            (name.partition("/")[2], np.frombuffer(file.read_bytes(), np.uint8))
            for name, file in files_in(Path(folder))
        ]
    return parts | ({ASSETS: nested(files, ASSETS)} if files else {})


class _Values(Protocol):
    """How values go to checkpoints and come back."""

    def of(self, variable: Variable, copied: bool) -> object:
        """What is written; copied if the variable may be written first."""

    def asked(self, variable: Variable) -> object:
        """What is to be read."""

    def put(self, variable: Variable, value: object) -> None:
        """Assign what was read."""


class _Whole:
    """Arrays of NumPy: each process reads for itself, whatever mesh they were on."""

    def of(self, variable: Variable, copied: bool) -> object:
        return variable.numpy()

    def asked(self, variable: Variable) -> object:
        return np.ndarray

    def put(self, variable: Variable, value: object) -> None:
        variable.assign(value)


def _values() -> _Values:
    """How they are read and written in the distribution that is set."""
    if settings.get("distribution") is None:
        return _Whole()
    from densekit.engines.jax.shards import Stored  # slow: it imports JAX

    return Stored()


def _restore(
    model: SavedModel,
    checkpointer: Any,
    step: int,
    parts: dict[str, Any],
    skip_mismatch: bool,
) -> None:
    """Assign what a checkpoint has for a model's variables: all that fits, or nothing."""
    there = {path: leaf for path, leaf in flat(parts[_ARRAYS]) if path.partition("/")[0] in _KINDS}
    shapes = {path: tuple(leaf.shape) for path, leaf in there.items()}
    optimizer = model.optimizer
    if optimizer is not None and not optimizer.built:
        kept = sum(path.startswith(_SLOTS) for path in there)
        if kept > len(optimizer.variables):
            optimizer.build(model.trainable_variables)
    found = matches(model, list(there))
    wanted = dict.fromkeys(v for kind in _WEIGHTS for v in model._dk_state(kind)) | found
    wrong = {v for v in wanted if v not in found or shapes[found[v]] != v.shape}
    if wrong:
        first = next(v for v in wanted if v in wrong)
        where = f"weights of {model.name!r}"
        got = f"none that fits {first.path!r} of shape {first.shape}"
        if not skip_mismatch:
            raise ValueError(
                message(
                    where,
                    "an array in the checkpoint for each",
                    got,
                    "Build the model as the one that was saved, with the same names.",
                )
            )
        warn(f"{where}: left as they are, as the checkpoint has {got}")
    right = {path: variable for variable, path in found.items() if variable not in wrong}
    values = _values()
    asked = nested(
        ((path, values.asked(right[path]) if path in right else np.ndarray) for path in there),
        "checkpoint",
    )
    asked = {kind: asked.get(kind, {}) for kind in parts[_ARRAYS]}
    loaded = checkpointer.load_checkpointables(step, {_ARRAYS: asked})[_ARRAYS]
    found_values = dict(flat(loaded))
    for path, variable in right.items():
        values.put(variable, found_values[path])
    order = vars(model).get("_dk_shuffle_state")
    if order is not None and _ORDER in parts:
        asked = {_ORDER: {"state": np.ndarray}}
        order.state.assign(checkpointer.load_checkpointables(step, asked)[_ORDER]["state"])


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Any, int, dict[str, Any]]]:
    """A checkpointer, the step to read, and what was written of it."""
    path = path.absolute()
    root, step = (path.parent, int(path.name)) if _is_step(path) else (path, max(_steps(path)))
    with _together(), orbax().training.Checkpointer(directory=root) as checkpointer:
        yield checkpointer, step, checkpointer.checkpointables_metadata(step).metadata


def _is_step(path: Path) -> bool:
    return path.name.isdigit() and (path / _OF_STEP).is_file()


def _steps(path: Path) -> list[int]:
    return [int(part.name) for part in path.iterdir() if _is_step(part)]


@contextmanager
def _together() -> Iterator[None]:
    """Inside, the loss of a process says so. Orbax does not say that a part without arrays has
    none, nor warn of topologies.
    """
    from densekit.engines.jax.placement import all_processes  # slow: it imports JAX

    logger = logging.getLogger("absl")
    if _no_merge not in logger.filters:
        logger.addFilter(_no_merge)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sharding info not provided", UserWarning)
        with all_processes("checkpoints"):
            yield


def _no_merge(record: logging.LogRecord) -> bool:
    return "Skipping merge of OCDBT" not in str(record.msg)
