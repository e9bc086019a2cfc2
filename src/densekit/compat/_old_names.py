"""Where names of Keras 1, Keras 2 and `tf.keras` are now: modules, and what they held."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core.rooms import let_have

_LAYERS = "core normalization advanced_activations noise merge embeddings wrappers pooling"

# Modules of Keras that scripts import from, and the room that has their names.
OLD_HOMES = {
    **{f"layers.{module}": "layers" for module in _LAYERS.split()},
    "layers.experimental": "compat.experimental",
    "layers.experimental.preprocessing": "layers",
    "utils.np_utils": "utils",
    "utils.vis_utils": "utils",
    "utils.generic_utils": "utils",
    "utils.data_utils": "utils",
    "engine": "layers",
    "engine.topology": "layers",
    "engine.base_layer": "layers",
    "engine.input_layer": "layers",
    "engine.training": "models",
    "engine.sequential": "models",
    "optimizers.legacy": "optimizers",
    "optimizers.experimental": "optimizers",
    "wrappers.scikit_learn": "wrappers",
}

_SHORT = ("mae", "mse", "mape", "msle")
_LOSSES = {
    "KLD": "losses:kl_divergence",
    "kullback_leibler_divergence": "losses:kl_divergence",
    "logcosh": "losses:log_cosh",
    **{short.upper(): f"losses:{short}" for short in _SHORT},
}

# By room: a name that scripts ask it for, and the object that has it now.
_MOVED: dict[str, dict[str, str]] = {
    "layers": {
        "experimental": "compat.experimental",
        "ThresholdedReLU": "compat.old_layers:ThresholdedReLU",
    },
    "optimizers": {"legacy": "optimizers", "experimental": "optimizers"},
    "utils": {f"{name}_utils": "utils" for name in ("np", "vis", "generic", "data")},
    "losses": {**_LOSSES, "Reduction": "compat.old_layers:Reduction"},
    "metrics": {
        **_LOSSES,
        "kld": "losses:kl_divergence",
        **{short: f"losses:{short}" for short in _SHORT},
    },
}


def let_rooms_have_old_names(load: Callable[[str], object]) -> None:
    """From now on the rooms have the names of earlier releases.

    Args:
        load: gives the object at ``"room"`` or ``"room:name"``, when it is first asked for.
    """
    for room, names in _MOVED.items():
        let_have(f"densekit.{room}", _finder(names, load))
    let_have("densekit.backend", lambda name: load(f"compat.old_backend:{name}"))


def _finder(names: dict[str, str], load: Callable[[str], object]) -> Callable[[str], object]:
    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(name)
        return load(names[name])

    return find
