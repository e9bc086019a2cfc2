"""`compile`: how a model is to be trained, and what is measured meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit import engines, optimizers
from densekit._core import tree
from densekit._core.errors import returned
from densekit._core.frames import filters_traceback, warn
from densekit._core.registry import Names
from densekit._core.serialization import (
    deserialize_keras_object,
    deserialize_nested,
    serialize_keras_object,
)
from densekit._core.tensor import give_all
from densekit.data._feeds import check_count
from densekit.data._tables import KnownColumns
from densekit.ops._dispatch import raw
from densekit.training._batches import Batches
from densekit.training._loss_terms import check_loss_weights, check_losses
from densekit.training._preparation import Preparation
from densekit.training._run_metrics import CompileMetrics
from densekit.training._runtime import Runtime, new_shuffle_state

# Arguments of `compile` that hold components, and the names these go by.
_COMPONENTS = {
    "optimizer": Names("keras.optimizers"),
    "loss": Names("keras.losses"),
    "metrics": Names("keras.metrics"),
    "weighted_metrics": Names("keras.metrics"),
}

# Set while a model runs: none of them changes what a plan computes.
_RUN_STATE = frozenset(
    {
        "compiled",
        "history",
        "loss",
        "optimizer",
        "run_eagerly",
        "jit_compile",
        "steps_per_execution",
        "stop_training",
        "stop_evaluating",
        "stop_predicting",
        "_initial_epoch",
    }
)


class Compiling(Batches):
    """The part of `Trainer` that keeps what `compile` was given, and the metrics."""

    def __init__(self) -> None:
        state = self.__dict__
        state["_dk_runtime"] = runtime = Runtime(self)
        state["_dk_data"] = Preparation(self, runtime)
        state["_dk_compiled"] = {}
        state["_dk_known_columns"] = KnownColumns("input")
        state["_dk_known_targets"] = KnownColumns("output")
        state["_loss_tracker"] = None
        state["_compile_metrics"] = None
        state["_dk_term_means"] = []
        state["_dk_terms"] = None
        state["_dk_metrics_found"] = (None, [])
        for name in _RUN_STATE:
            state[name] = None
        state["compiled"] = False
        state["run_eagerly"] = False
        state["steps_per_execution"] = 1
        state["stop_training"] = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _RUN_STATE:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_dk_fast_call", None)
        state.pop("_dk_fast_version", None)
        return state

    # Compiling

    @filters_traceback
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        *,
        engine: str | None = None,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: an optimizer or its name. Default: ``"rmsprop"``.
            loss: a loss, its name or a function ``(y_true, y_pred)``; several outputs take one
                for all, a list or a dict by output name. None: no loss but penalties. Default:
                ``None``.
            loss_weights: factor of each loss in the total, in the structure of `loss`. Default: 1
                each.
            metrics: list of metrics, their names or functions; several outputs take a list of
                lists or a dict. ``"accuracy"`` is chosen by the shapes. Default: none.
            weighted_metrics: the same, weighted by the sample weights. Default: none.
            run_eagerly: kept for Keras' signature; there is nothing to compile.
            steps_per_execution: batches between two calls of batch hooks, >= 1. Default: ``1``.
            jit_compile: kept for Keras' signature.
            auto_scale_loss: kept for Keras' signature; training does not lose small gradients.
            engine: ``"native"``; or ``"reference"``, which computes by the definitions alone.
                Default: `config.engine()`.

        Raises:
            ValueError: for an unknown optimizer or engine, or metrics or weights of the wrong kind.

        Example:

        >>> import densekit as keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        >>> model.compiled
        True
        """
        name = engines.default_name() if engine is None else engines.check_engine(engine, "compile")
        found = optimizers.get(optimizer)
        check_losses(loss)
        check_loss_weights(loss_weights)
        check_count(steps_per_execution, "steps_per_execution")
        given = metrics is not None or weighted_metrics is not None
        compiled_metrics = CompileMetrics(metrics, weighted_metrics) if given else None
        if jit_compile == "auto":
            jit_compile = not run_eagerly
        if jit_compile and run_eagerly:
            warn(
                "If `run_eagerly` is True, then `jit_compile` cannot also be True. "
                "Disabling `jit_compile`."
            )
            jit_compile = False
        state = self.__dict__
        state["_dk_compiled"] = {
            "optimizer": found,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        if engine is not None:
            state["_dk_compiled"]["engine"] = engine
        self._dk_runtime.use(name)
        self.optimizer, self.loss = found, loss
        self.run_eagerly, self.jit_compile = run_eagerly, jit_compile
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self.compiled = True
        self._dk_reset_compiled(compiled_metrics)
        state["_dk_shuffle_state"] = new_shuffle_state()

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, as plain data; empty for a model that is not compiled."""
        if not self.compiled:
            return {}
        config: dict[str, Any] = serialize_keras_object(self._dk_compiled)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says, and build the optimizer if the model is built."""
        if type(self).compile is not Compiling.compile:
            warn(
                "`compile()` was not called as part of model loading because the model's "
                "`compile()` method is custom. Override `get_compile_config()` and "
                "`compile_from_config(config)` too, or call `compile()` after loading."
            )
            return
        parts = dict(config)
        components = {
            name: deserialize_nested(parts.pop(name), names)
            for name, names in _COMPONENTS.items()
            if name in parts
        }
        self.compile(**components, **deserialize_keras_object(parts))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    # Metrics

    @property
    def metrics(self) -> list[Any]:
        """The loss, the compiled metrics as one, single losses, then metrics of the layers."""
        key = self._tracker.current(), self._loss_tracker, len(self._dk_term_means), self.compiled
        known = self.__dict__["_dk_metrics_found"]
        if known[0] != key:
            known = self.__dict__["_dk_metrics_found"] = key, self._dk_find_metrics()
        return list(known[1])

    def _dk_find_metrics(self) -> list[Any]:
        found: list[Any] = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.append(self._compile_metrics)
            found.extend(self._dk_term_means)
        found.extend(self._tracker.metrics)
        layers: Any = self
        for layer in layers._dk_flatten_layers(include_self=False):
            if not isinstance(layer, Compiling):
                found.extend(layer._tracker.metrics)
        return found

    @property
    def metrics_names(self) -> list[str]:
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The present value of every metric by its name in the logs."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            if isinstance(metric, CompileMetrics) and not metric.built:
                continue
            value = returned(metric.result(), metric, "a result")
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        return {
            name: v if isinstance(v, np.generic) else give_all(tree.map_structure(raw, v))
            for name, v in results.items()
        }
