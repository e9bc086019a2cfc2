"""What a file may put where: the kinds of components, and the places that take one of them.

A config names a class or function for a *slot*: an activation, an initializer, a loss. Each slot
takes built-in components of its kind alone; whatever else the package exports (a loader, a saver, a
callback) cannot be named by a file at all. Components that users pass or register are theirs to
answer for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from densekit._core import registry


class Slot(NamedTuple):
    """A kind of component.

    noun: what it is called in errors.
    bases: public module and name of the classes whose subclasses belong to it.
    functions: public modules whose functions belong to it.
    """

    noun: str
    bases: tuple[tuple[str, str], ...]
    functions: tuple[str, ...] = ()


_LAYER = ("keras", "Operation")  # layers, models and the nodes of ops

_FEATURES = "keras.src.layers.preprocessing"  # what a `FeatureSpace` consists of

# By the public module whose names the slot goes by.
SLOTS = {
    "keras.activations": Slot("activation", (_LAYER,), ("keras.activations", "keras.ops")),
    "keras.layers": Slot("layer", (_LAYER,)),
    "keras.initializers": Slot("initializer", (("keras.initializers", "Initializer"),)),
    "keras.regularizers": Slot("regularizer", (("keras.regularizers", "Regularizer"),)),
    "keras.constraints": Slot("constraint", (("keras.constraints", "Constraint"),)),
    "keras.losses": Slot("loss", (("keras.losses", "Loss"),), ("keras.losses", "keras.metrics")),
    "keras.metrics": Slot(
        "metric", (("keras.metrics", "Metric"),), ("keras.metrics", "keras.losses")
    ),
    "keras.optimizers": Slot("optimizer", (("keras.optimizers", "Optimizer"),)),
    "keras.optimizers.schedules": Slot(
        "learning rate schedule", (("keras.optimizers.schedules", "LearningRateSchedule"),)
    ),
    "keras.quantizers": Slot(
        "quantizer",
        (("keras.quantizers", "Quantizer"), ("keras.quantizers", "QuantizationConfig")),
    ),
    "keras.dtype_policies": Slot("dtype policy", (("keras", "DTypePolicy"),)),
}
ANY = Slot(
    "component",
    (
        *dict.fromkeys(base for slot in SLOTS.values() for base in slot.bases),
        ("keras.random", "SeedGenerator"),
        *((f"{_FEATURES}.feature_space", name) for name in ("Feature", "Cross")),
        ("keras.optimizers", "OptimizerMap"),
        ("keras.distillation", "DistillationLoss"),
    ),
    tuple(dict.fromkeys(module for slot in SLOTS.values() for module in slot.functions)),
)

# Exported beside formulas, but no formulas: they run what they are handed, or read configs.
_NO_FORMULAS = frozenset(
    {
        *("get", "serialize", "deserialize", "cond", "fori_loop", "map", "scan", "switch"),
        *("vectorized_map", "while_loop", "convert_to_numpy", "associative_scan", "vectorize"),
        *("custom_gradient", "jvp"),
    }
)


def slot_of(names: object) -> Slot:
    """The slot that a table of names belongs to; `ANY` for a table of the caller's own."""
    return SLOTS.get(getattr(names, "module", ""), ANY)


def takes_class(slot: Slot, cls: object) -> bool:
    """Whether a built-in class belongs to `slot`."""
    loaded = (registry.if_loaded(*base) for base in slot.bases)  # as those of `cls` are
    return isinstance(cls, type) and issubclass(cls, tuple(b for b in loaded if b is not None))


def formula(slot: Slot, name: str, module: str | None = None) -> Any | None:
    """The built-in function of that name among those of `slot`, or of one `module` of them."""
    modules = slot.functions if module is None else (module,)
    for one in modules:
        found = registry.Names(one).get(name) if one in slot.functions else None
        if found is not None and name not in _NO_FORMULAS and not isinstance(found, type):
            return found
    return None
