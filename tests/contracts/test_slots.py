"""Each place of a config takes built-in components of its kind, whatever else is exported."""

from __future__ import annotations

from typing import Any

import pytest

import densekit as keras
from densekit._core import registry, rooms
from densekit._core.slots import SLOTS

KINDS = {
    "keras.activations": keras.Operation,
    "keras.layers": keras.Operation,
    "keras.initializers": keras.initializers.Initializer,
    "keras.regularizers": keras.regularizers.Regularizer,
    "keras.constraints": keras.constraints.Constraint,
    "keras.losses": keras.losses.Loss,
    "keras.metrics": keras.metrics.Metric,
    "keras.optimizers": keras.optimizers.Optimizer,
    "keras.optimizers.schedules": keras.optimizers.schedules.LearningRateSchedule,
    "keras.quantizers": (keras.Quantizer, keras.quantizers.QuantizationConfig),
    "keras.dtype_policies": keras.DTypePolicy,
}


def exported() -> list[tuple[str, str, Any]]:
    rooms.load_all()
    return [(m, n, c) for m, table in registry._builtin.items() for n, c in table.items()]


def revived(slot: str, module: str, name: str, as_function: bool) -> Any:
    config: dict[str, Any] = {"module": module, "class_name": name, "config": {}}
    if as_function:
        config |= {"class_name": "function", "config": name}
    try:
        return keras.saving.deserialize_keras_object(config, module_objects=registry.Names(slot))
    except (TypeError, ValueError, KeyError):  # arguments are missing
        return None


def test_every_slot_is_held_to_its_kind() -> None:
    assert set(SLOTS) == set(KINDS)


@pytest.mark.parametrize("slot", sorted(SLOTS))
def test_every_export_is_refused_where_it_does_not_belong(slot: str) -> None:
    allowed = SLOTS[slot].functions
    found = 0
    for module, name, _ in exported():
        for as_function in (False, True):
            result = revived(slot, module, name, as_function)
            if result is None:
                continue
            found += 1
            public = registry.public_name(result)
            function = not isinstance(result, type) and public is not None and public[0] in allowed
            assert function or isinstance(result, KINDS[slot]), (module, name)
    assert found or slot == "keras.dtype_policies"


def test_loaders_savers_and_loops_belong_nowhere() -> None:
    names = [
        *(("keras.saving", name) for name in keras.saving.__all__),
        *(("keras.models", name) for name in ("model_from_json", "clone_model")),
        *(("keras.layers", name) for name in ("serialize", "deserialize", "Input")),
        *(("keras.ops", name) for name in ("map", "scan", "while_loop", "cond", "fori_loop")),
        *(("keras.ops", name) for name in ("switch", "associative_scan", "vectorize")),
        *(("keras.ops", name) for name in ("custom_gradient", "jvp", "vectorized_map")),
        *(("keras.utils", name) for name in ("set_random_seed", "clear_session", "Progbar")),
        *(("keras.callbacks", name) for name in keras.callbacks.__all__),
    ]
    for slot in (*SLOTS, "none of them"):
        for module, name in names:
            for as_function in (False, True):
                assert revived(slot, module, name, as_function) is None, (slot, module, name)
