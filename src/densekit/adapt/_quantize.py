"""`quantize`: a layer's weight from floats to fewer bits, and layers made so from the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit._core.errors import message
from densekit._core.types import Config
from densekit.adapt._kernels import Int4Kernel, Int8Kernel
from densekit.adapt._quantized import QuantizedForm
from densekit.adapt._reversible import Int4Reversible, Int8Reversible, _Reversible
from densekit.adapt._tables import Int4Table, Int8Table
from densekit.quantizers._abs_max import AbsMaxQuantizer
from densekit.quantizers._configs import (
    Int4QuantizationConfig,
    QuantizationConfig,
    resolve_config,
)

# By what a layer says its weight is.
_FORMS: dict[tuple[str, str], type[QuantizedForm]] = {
    ("kernel", "int8"): Int8Kernel,
    ("kernel", "int4"): Int4Kernel,
    ("table", "int8"): Int8Table,
    ("table", "int4"): Int4Table,
    ("reversible", "int8"): Int8Reversible,
    ("reversible", "int4"): Int4Reversible,
}


def quantize(
    layer: Any, mode: object, config: object, weigh: Callable[[QuantizationConfig], None]
) -> None:
    """Check what `layer.quantize` was given, then let the layer do it by `weigh`.

    Raises:
        ValueError: for an unknown mode, a contradiction, a layer not built or quantized already.
    """
    config = resolve_config(mode, config)
    where = f"{type(layer).__name__} {layer.name!r}.quantize"
    if not layer.built:
        raise ValueError(
            message(
                where,
                "a built layer",
                f"one without weights: Layer '{layer.name}' is not built yet, and cannot quantize "
                "a layer that isn't yet built",
                "Call it on data or `layer.build(input_shape)` first.",
            )
        )
    if layer._dk_form is not None and isinstance(layer._dk_form, QuantizedForm):
        raise ValueError(
            message(
                where,
                "a layer of floats",
                f"one that is already quantized with dtype_policy='{layer.dtype_policy.name}', "
                f"mode={config.mode}",
                "Quantize it once.",
            )
        )
    if config.mode == "int8" and layer.compute_dtype == "float16":
        raise ValueError(
            message(
                where,
                "another compute_dtype beside mode='int8'",
                "'float16', beyond whose range scales of small inputs lie",
                "Load the model with 'float32' or 'mixed_bfloat16' first.",
            )
        )
    weigh(config)


def quantize_weight(layer: Any, config: QuantizationConfig) -> None:
    """Put whole numbers in place of the layer's weight; all of it, or if it fails nothing."""
    name = layer._dk_weight
    variable = getattr(layer, f"_{name}")
    form = _form(layer, config, variable.shape, _block_size(layer, config))
    quantizer = config.weight_quantizer
    values = form.encode(variable.numpy(), quantizer)
    back: Config = {}
    if isinstance(form, _Reversible) and not layer.tie_weights:
        back = form.encode_back(layer.reverse_embeddings.numpy(), quantizer)
    attributes, tracker = dict(layer.__dict__), layer._tracker
    locked, before = tracker.locked, tracker.snapshot()
    tracker.locked = False
    try:
        delattr(layer, f"_{name}")
        if back:
            del layer.reverse_embeddings
        form.build()
        form.fill(values)
        for key, value in back.items():
            getattr(layer, key).assign(value)
        layer._dk_form = form
        layer.quantization_config = config
        if layer.quantization_mode is None:
            block = f"/{form.block_size or -1}" if config.mode == "int4" else ""
            source = layer.dtype_policy.of_path(layer.path).name
            layer.dtype_policy = f"{config.mode}{block}_from_{source}"
    except BaseException:
        layer.__dict__.clear()
        layer.__dict__.update(attributes)
        tracker.restore(before)
        raise
    finally:
        tracker.locked = locked
    tracker.changed()


def build_quantized(layer: Any, shape: tuple[int, ...]) -> None:
    """Give a layer that is being built with a quantized policy the variables of its weight."""
    config = layer.quantization_config
    form = _form(layer, config, shape, _block_size(layer, config))
    form.build()
    layer._dk_form = form


def _form(
    layer: Any, config: QuantizationConfig | None, shape: tuple[int, ...], block_size: int | None
) -> QuantizedForm:
    mode = layer.quantization_mode if config is None else config.mode
    kind = layer._dk_weight_kind
    if config is not None:
        inputs_quantizer = config.activation_quantizer
    else:
        inputs_quantizer = AbsMaxQuantizer() if mode == "int8" or kind == "reversible" else None
    return _FORMS[kind, mode](layer, layer._dk_use(), shape, inputs_quantizer, block_size)


def _block_size(layer: Any, config: QuantizationConfig | None) -> int | None:
    """Of int4: what the config says, else the policy."""
    if isinstance(config, Int4QuantizationConfig):
        size = config.block_size
    else:
        size = getattr(layer.dtype_policy.of_path(layer.path), "block_size", None)
    return None if size == -1 else size
