"""Our internals take names that users do not.

A private attribute of a class that users subclass begins with ``_dk_``, unless Keras' class of the
same family has it too.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any

import pytest

import densekit as keras
from densekit._core import registry, rooms

FAMILIES: dict[type, str] = {
    keras.layers.Layer: "_allow_non_tensor_positional_args _auto_config _build_at_init"
    " _check_super_called _clear_losses _convert_input_args _dtype_policy _flatten_layers"
    " _inbound_nodes _input_shape_arg _input_spec _post_build _tracker _trainable"
    # of models
    " _compile_metrics _functional _initial_epoch _inputs _loss_tracker _nodes _operations _outputs"
    # of single layers
    " _batch_shape _dtype _kernel _merge_function _output_shape",
    keras.optimizers.Optimizer: "_accumulators _apply_weight_decay _average_gradients"
    " _backend_update_step _clip_gradients _get_variable_index _iterations _learning_rate _linears"
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
