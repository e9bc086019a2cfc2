"""The vocabulary of Keras 1, in today's words."""

from __future__ import annotations

from densekit._core.types import Config

_WEIGHTS = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
}
# Arguments by class. Those of ``"*"`` are dropped from every layer.
_RENAMED = {
    "Dense": {**_WEIGHTS, "output_dim": "units", "bias": "use_bias"},
    "Dropout": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "PReLU": {"init": "alpha_initializer"},
}
_DROPPED = {
    "Dense": ("input_dim", "input_length", "weights"),
    "PReLU": ("weights",),
}
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
}
_PENALTIES = ("WeightRegularizer", "ActivityRegularizer", "L1L2Regularizer", "L1L2")
_RENAMED_BOUNDS = {"m": "max_value", "low": "min_value", "high": "max_value"}


def from_keras1(name: str, config: Config) -> str:
    """Bring the config of a layer of Keras 1 up to date; returns the name of its class."""
    for old, new in _RENAMED.get(name, {}).items():
        if old in config and new not in config:
            config[new] = config.pop(old)
    for key in _DROPPED.get(name, ()):
        config.pop(key, None)
    dtype = config.pop("input_dtype", None)
    if dtype is not None and name == "InputLayer":
        config.setdefault("dtype", dtype)
    for key, value in config.items():
        if not isinstance(value, dict) or "class_name" in value or "name" not in value:
            continue
        if key.endswith("_regularizer"):
            config[key] = _penalty(value)
        elif key.endswith("_constraint"):
            config[key] = _bound(value)
    if name == "Merge" and config.get("mode") in _MERGES:
        kept: Config = {k: config[k] for k in ("name", "trainable") if k in config}
        if config["mode"] == "concat":
            kept["axis"] = config.get("concat_axis", -1)
        name = _MERGES[config["mode"]]
        config.clear()
        config.update(kept)
    if name == "ThresholdedReLU" and "theta" in config:
        config["threshold"] = config.pop("theta")
        return "ReLU"
    return name


def _penalty(config: Config) -> Config:
    """``{"name": "L1L2Regularizer", "l1": ..., "l2": ...}`` named its class among its arguments."""
    if config["name"] not in _PENALTIES:
        return config
    factors = {key: config[key] for key in ("l1", "l2") if key in config}
    return {"class_name": "L1L2", "config": factors}


def _bound(config: Config) -> Config:
    inner = {_RENAMED_BOUNDS.get(key, key): value for key, value in config.items()}
    return {"class_name": inner.pop("name"), "config": inner}
