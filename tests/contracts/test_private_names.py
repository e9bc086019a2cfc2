"""Our internals take names that users do not.

A private attribute of a class that users subclass begins with ``_dk_``, unless Keras' class of the
same family has it too.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core import registry, rooms

FAMILIES: dict[type, str] = {
    keras.layers.Layer: "_allow_non_tensor_positional_args _auto_config _build_at_init"
    " _check_super_called _convert_input_args _dtype_policy _flatten_layers"
    " _inbound_nodes _input_shape_arg _input_spec _post_build _tracker _trainable"
    # of models
    " _compile_metrics _functional _initial_epoch _inputs _loss_tracker _nodes _operations _outputs"
    # of single layers
    " _batch_shape _dtype _embeddings _kernel _merge_function _output_shape"
    " _student_feature_extractor _student_loss _teacher_feature_extractor",
    keras.optimizers.Optimizer: "_accumulators _apply_weight_decay _average_gradients"
    " _backend_update_step _clip_gradients _get_variable_index _inner_optimizers _iterations"
    " _learning_rate _linears _loss_scale_factor _optimizer_map"
    " _momentums _trainable_variables _u_product _use_weight_decay _variables _velocities"
    " _velocity_hats",
    keras.optimizers.schedules.LearningRateSchedule: "_m_mul _t_mul",
    keras.metrics.Metric: "_build _built _direction _dtype_policy _fn _fn_kwargs _metrics"
    " _variables",
    keras.losses.Loss: "_dtype_policy _fn_kwargs",
    keras.callbacks.Callback: "_current_epoch _history _is_improvement _model _progbar"
    " _set_monitor_op _weights_path",
    keras.initializers.Initializer: "_init_seed",
    keras.regularizers.Regularizer: "",
    keras.constraints.Constraint: "",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@cache
def names_in(cls: type) -> set[str]:
    """Names that one class defines, or assigns to `self`."""
    found = {*vars(cls), *vars(cls).get("__annotations__", {})} - {"_abc_impl"}
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            found.add(node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found.add(str(node.slice.value))
    return {name for name in found if is_private(name) and not name.startswith("_dk_")}


def private_names(cls: type) -> set[str]:
    """Private names, not marked, of `cls` and the classes of ours behind it."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("densekit")]
    return set().union(*map(names_in, ours))


def members(family: type) -> list[type]:
    rooms.load_all()
    return [c for c in registry._public_name if inspect.isclass(c) and issubclass(c, family)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda c: c.__name__)
def test_private_names_are_marked_as_ours_or_are_those_of_keras(family: Any) -> None:
    shared = set(FAMILIES[family].split())
    assert members(family)
    taken = {c.__name__: names for c in members(family) if (names := private_names(c) - shared)}
    assert taken == {}


# Names that users' classes have, and some that machinery like ours or Keras' could have.
NAMES = set(
    [
        "_layers",
        "_graph",
        "_run",
        "_runtime",
        "_loss",
        "_losses",
        "_metrics",
        "_build",
        "_feed",
        "_session",
        "_compiled",
        "_key",
        "_keep",
        "_definition",
        "_terms",
        "_weights",
        "_outputs",
        "_inputs",
        "_state",
        "_call",
        "_name",
        "_dtype",
        "_path",
        "_kernel",
        "_bias",
        "_activation",
        "_model",
        "_functional",
        "_nodes",
        "_operations",
        "_built",
        "_variables",
        "_version",
        "_stack",
        "_whole",
        "_tensors",
        "_columns",
        "_fresh",
        "_fit",
        "_train",
        "_optimizer",
        "_iterations",
        "_config",
        "_convert",
        "_collect",
        "_check",
        "_cache",
        "_data",
        "_history",
        "_units",
        "_hidden",
        "_dense",
        "_rate",
        "_seed",
        "_rng",
        "_generator",
        "_input_shape",
        "_output_shape",
        "_step",
        "_steps",
        "_epoch",
        "_params",
        "_parameters",
        "_children",
        "_modules",
        "_parent",
        "_owner",
        "_lock",
        "_called",
        "_signature",
        "_flags",
        "_engines",
        "_training",
        "_mask",
        "_shape",
        "_size",
        "_dim",
        "_scale",
        "_mean",
        "_var",
        "_std",
        "_index",
        "_count",
        "_values",
        "_items",
        "_names",
        "_saved",
        "_own",
        "_init",
        "_setup",
        "_prepare",
        "_forward",
        "_backward",
        "_update",
        "_reset",
        "_apply",
        "_predict",
        "_evaluate",
        "_kwargs",
        "_args",
        "_fn",
        "_func",
        "_function",
        "_axis",
        "_shuffle_state",
        "_term_means",
        "_flatten_layers",
        "_clear_losses",
        "_fast_call",
        "_context",
        "_scope",
        "_compute",
        "_register",
        "_add",
        "_sum",
        "_pairs",
        "_save",
        "_load",
        "_restore",
        "_encoder",
        "_decoder",
        "_blocks",
        "_head",
        "_heads",
        "_backbone",
        "_experts",
        "_gate",
        "_call_info",
        "_traced_on",
        "_graph_cache",
        "_turns",
        "_calls",
        "_native",
        "_plan",
        "_plans",
        "_lower",
    ]
)
# What Keras' own classes need, and therefore refuse as well.
NEEDED = set(
    ["_tracker", "_trainable", "_dtype_policy", "_post_build", "_input_spec", "_inbound_nodes"]
)


@keras.saving.register_keras_serializable("private_names")
class Plain(keras.layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], 3))

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, self.w)


@keras.saving.register_keras_serializable("private_names")
class PlainModel(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.inner(x)


PARENTS: list[tuple[type, dict[str, Any]]] = [
    (Plain, {}),
    (PlainModel, {}),
    (keras.layers.Dense, {"units": 3}),
    (keras.layers.Dropout, {"rate": 0.5}),
    (keras.optimizers.Adam, {}),
    (keras.losses.Huber, {}),
    (keras.metrics.MeanAbsoluteError, {}),
    (keras.callbacks.Callback, {}),
]
HOW = ["number", "list", "method", "property"]


def with_names(parent: type, how: str) -> type:
    """A subclass of `parent` with an attribute of each name that its family does not need."""
    family = next(family for family in FAMILIES if issubclass(parent, family))
    # Single layers, optimizers and metrics share some names with those of Keras.
    names = NAMES - NEEDED - set(FAMILIES[family].split())
    if parent in (Plain, PlainModel):
        names |= NAMES & {"_kernel", "_output_shape", "_dtype"}

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        parent.__init__(self, *args, **kwargs)  # type: ignore[misc]
        for name in names:
            setattr(self, name, [1, 2] if how == "list" else 3)

    defined: dict[str, Any] = {
        "method": dict.fromkeys(names, lambda self, *args, **kwargs: 7),
        "property": dict.fromkeys(names, property(lambda self: 7)),
    }.get(how, {"__init__": init})
    return type(f"{parent.__name__}With{how.title()}", (parent,), defined)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("parent", "arguments"), PARENTS, ids=lambda c: getattr(c, "__name__", ""))
def test_names_of_users_do_not_collide(
    parent: Any, arguments: dict[str, Any], how: str, tmp_path: Path
) -> None:
    def run(cls: Any) -> list[Any]:
        keras.utils.set_random_seed(3)
        made = cls(**arguments)
        layer = made if isinstance(made, keras.layers.Layer) else keras.layers.Dense(3)
        whole = isinstance(made, keras.Model)
        model = made if whole else keras.Sequential([layer, keras.layers.Dense(3)])
        model.compile(
            made if isinstance(made, keras.optimizers.Optimizer) else "adam",
            made if isinstance(made, keras.losses.Loss) else "mse",
            metrics=[made] if isinstance(made, keras.metrics.Metric) else None,
        )
        x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
        callbacks = [made] if isinstance(made, keras.callbacks.Callback) else None
        history = model.fit(x, x, 8, epochs=2, verbose=0, validation_split=0.5, callbacks=callbacks)
        results = [*history.history.values(), model.evaluate(x, x, verbose=0), model(x)]
        results += [model.train_on_batch(x, x), model.predict(x, verbose=0)]
        path = str(tmp_path / f"{cls.__name__}.keras")
        model.save(path)
        with keras.saving.custom_object_scope({cls.__name__: cls}):
            loaded = keras.models.load_model(path)
            keras.models.clone_model(model)
        assert (loaded.predict(x, verbose=0) == results[-1]).all()
        model.summary(print_fn=lambda text: None)
        return [*results, loaded.train_on_batch(x, x)]

    without = type(f"{parent.__name__}Without", (parent,), {})
    np.testing.assert_equal(run(with_names(parent, how)), run(without))
