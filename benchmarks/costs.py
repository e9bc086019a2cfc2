"""What each optimizer, loss, activation, regularizer and constraint costs over plain Adam and relu.

A step of 64-64-64-10 on batches of 32, one component changed at a time, densekit against itself.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import densekit as keras
from densekit._core.native_form import native_form
from densekit._core.registry import components

ROWS, BATCH, WIDTH, CLASSES = 3_200, 32, 64, 10
ROOMS = ("optimizers", "losses", "activations", "regularizers", "constraints")
# Targets that are not rows of zeros and ones.
_LABELS = (
    "sparse_categorical_crossentropy", "categorical_generalized_cross_entropy", "circle",
)  # fmt: skip
# What wants numbers in the call fits no Dense; that glu halves is not seen by the layer behind it;
# several optimizers for one network are no step of one.
_UNFIT = ("threshold", "glu", "OptimizerMap", "MultiOptimizer")
_PLUS_MINUS, _POSITIVE = ("hinge", "squared_hinge"), ("poisson",)


def _targets(loss: Any, classes: Any) -> Any:
    one_hot = np.eye(CLASSES, dtype=np.float32)[classes]
    loss = getattr(loss, "name", loss)
    if loss in _LABELS:
        return classes
    if loss in _PLUS_MINUS:
        return one_hot * 2 - 1
    return one_hot + 1 if loss in _POSITIVE else one_hot


def _is_base(component: Any) -> bool:
    return component.__name__ in ("Optimizer", "Loss", "Regularizer", "Constraint")


def variants() -> list[tuple[str, str, Any]]:
    """(room, name, component): classes of components, functions of losses and activations."""
    for room in ROOMS:
        getattr(keras, room)
    chosen = []
    for room in ROOMS:
        for name, component in components(f"keras.{room}").items():
            wanted = inspect.isfunction if room in ("losses", "activations") else inspect.isclass
            if wanted(component) and not _is_base(component) and name not in _UNFIT:
                chosen.append((room, name, component))
    return chosen


def _made(room: str, component: Any) -> Any:
    """What the network is given: an object, or the function itself."""
    if room == "losses":
        if component.__name__ == "categorical_generalized_cross_entropy":  # q has no default
            return keras.losses.CategoricalGeneralizedCrossEntropy()
        return keras.losses.as_loss(component)
    if room == "activations":
        return component
    if room == "optimizers":
        if component.__name__ == "LossScaleOptimizer":
            return component(keras.optimizers.Adam(learning_rate=1e-3))
        return component(learning_rate=1e-3)
    return component(-1.0, 1.0) if component.__name__ == "Clip" else component()


def _in_place(room: str, made: Any) -> tuple[dict[str, Any], Any, Any]:
    """(arguments of the layers, optimizer, loss) of the network with the component in it."""
    loss = "sparse_categorical_crossentropy"
    if room == "optimizers":
        return {}, made, loss
    if room == "losses":
        return {}, "adam", made
    argument = {"activations": "activation", "regularizers": "kernel_regularizer"}.get(
        room, "kernel_constraint"
    )
    return {argument: made}, "adam", loss


class CostsWorker:
    """Each request times one variant beside the plain network, in turns."""

    def __init__(self, threads: int) -> None:
        keras.config.set_threads(threads)
        rng = np.random.default_rng(4)
        self.x = rng.standard_normal((ROWS, WIDTH), np.float32)
        self.classes = rng.integers(0, CLASSES, ROWS).astype(np.int32)
        self.plain = self._step({}, "adam", "sparse_categorical_crossentropy")

    def names(self) -> list[list[str]]:
        return [[room, name] for room, name, _ in variants()]

    def _step(self, arguments: dict[str, Any], optimizer: Any, loss: Any) -> Callable[[], Any]:
        hidden = {"activation": "relu", **arguments}
        rest = {k: v for k, v in arguments.items() if k != "activation"}
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((WIDTH,)),
                keras.layers.Dense(WIDTH, **hidden),
                keras.layers.Dense(WIDTH, **hidden),
                keras.layers.Dense(CLASSES, activation="softmax", **rest),
            ]
        )
        model.compile(optimizer=optimizer, loss=loss)
        y = _targets(loss, self.classes)

        def epoch() -> None:
            model.fit(self.x, y, batch_size=BATCH, epochs=1, verbose=0)

        epoch()
        return epoch

    def measure(self, index: int, rounds: int) -> dict[str, Any]:
        """Medians of seconds a step of the plain network and of the variant."""
        room, name, component = variants()[index]
        try:
            made = _made(room, component)
            changed = self._step(*_in_place(room, made))
        except Exception as error:
            return {"room": room, "name": name, "error": f"{type(error).__name__}: {error}"[:200]}
        times: dict[str, list[float]] = {"plain": [], "changed": []}
        for _ in range(rounds):
            for key, epoch in (("plain", self.plain), ("changed", changed)):
                start = time.perf_counter()
                epoch()
                times[key].append((time.perf_counter() - start) / (ROWS / BATCH))
        return {
            "room": room,
            "name": name,
            "plain": float(np.median(times["plain"])),
            "changed": float(np.median(times["changed"])),
            "ratio": float(np.median(np.divide(times["changed"], times["plain"]))),
            "native": native_form(made) is not None,
        }
