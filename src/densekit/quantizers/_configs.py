"""What `quantize` is to do: the mode, and the quantizers of weights and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from densekit._core.dtype_policy import QUANTIZATION_MODES
from densekit._core.errors import describe, message
from densekit._core.quantized_policy import not_offered
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config
from densekit.quantizers._abs_max import AbsMaxQuantizer


@export("keras.quantizers", "quantization_config")
class QuantizationConfig:
    """Base of `Int8QuantizationConfig` and `Int4QuantizationConfig`.

    Args:
        weight_quantizer: quantizer of weights. Default: that of the layer.
        activation_quantizer: quantizer of inputs. Default: none, they stay floats.

    Example:

    >>> import densekit as keras
    >>> isinstance(keras.quantizers.Int8QuantizationConfig(), keras.quantizers.QuantizationConfig)
    True
    """

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def mode(self) -> str:
        """``"int8"`` or ``"int4"``."""
        raise NotImplementedError(
            "Subclasses must implement this property. Do not instantiate "
            "QuantizationConfig directly."
        )

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: object) -> object:
        """The quantizer of weights of `config`; `default` if there is none."""
        found: object = None if config is None else config.weight_quantizer
        return default if found is None else found

    @staticmethod
    def activation_quantizer_or_default(
        config: QuantizationConfig | None, default: object
    ) -> object:
        """The quantizer of inputs of `config`, which may be None; `default` without a config."""
        found: object = default if config is None else config.activation_quantizer
        return found

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "weight_quantizer": serialize_keras_object(self.weight_quantizer),
            "activation_quantizer": serialize_keras_object(self.activation_quantizer),
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**{name: deserialize_keras_object(value) for name, value in config.items()})


@export("keras.quantizers", "int8_quantization_config")
class Int8QuantizationConfig(QuantizationConfig):
    """Weights as int8, one scale for each output; inputs as int8, one scale for each row.

    Args:
        weight_quantizer: quantizer of weights, to int8. Default: `AbsMaxQuantizer` over the inputs
            of each output.
        activation_quantizer: quantizer of inputs; None leaves them floats. Default: ``"default"``,
            `AbsMaxQuantizer` of each row.

    Raises:
        ValueError: if the weight quantizer gives another type than int8.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> layer.quantize(config=keras.quantizers.Int8QuantizationConfig(activation_quantizer=None))
    >>> layer.dtype_policy.name
    'int8_from_float32'
    """

    def __init__(
        self, weight_quantizer: object = None, activation_quantizer: object = "default"
    ) -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = AbsMaxQuantizer()
        super().__init__(weight_quantizer, activation_quantizer)
        if weight_quantizer is not None:
            _check(self, "output_dtype", "int8")

    @property
    def mode(self) -> str:
        """``"int8"``."""
        return "int8"


@export("keras.quantizers", "int4_quantization_config")
class Int4QuantizationConfig(QuantizationConfig):
    """Weights as int4, two in a byte, in groups with a scale and a zero point; inputs as floats.

    Args:
        weight_quantizer: quantizer of weights to the range (-8, 7). Default: that of the layer.
        activation_quantizer: quantizer of inputs. Default: ``"default"``, none.
        block_size: inputs in a group; None or -1 for one scale for each output, without zero point,
            which quantizers of your own need. Default: 128.

    Raises:
        ValueError: for another block size, or quantizers beside groups.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> layer.quantize(config=keras.quantizers.Int4QuantizationConfig(block_size=2))
    >>> [(v.name, v.shape) for v in layer.weights]
    [('bias', (2,)), ('kernel', (3, 1)), ('kernel_scale', (2, 2)), ('kernel_zero', (2, 2)), \
('g_idx', (3,))]
    """

    def __init__(
        self,
        weight_quantizer: object = None,
        activation_quantizer: object = "default",
        block_size: int | None = 128,
    ) -> None:
        if isinstance(activation_quantizer, str) and activation_quantizer == "default":
            activation_quantizer = None
        super().__init__(weight_quantizer, activation_quantizer)
        where = type(self).__name__
        if block_size is not None and block_size != -1 and block_size <= 0:
            expected = "block_size to be None, -1, or a positive integer"
            got = f"block_size={block_size}"
            raise ValueError(message(where, expected, got, "Pass e.g. 128."))
        self.block_size = block_size
        own = weight_quantizer is not None or activation_quantizer is not None
        if own and block_size is not None and block_size > 0:
            raise ValueError(
                message(
                    where,
                    "no quantizers beside `block_size`: groups have a zero point",
                    f"block_size={block_size} and a quantizer",
                    "Pass block_size=None, or no quantizer.",
                )
            )
        if weight_quantizer is not None:
            _check(self, "value_range", (-8, 7))
            _check(self, "output_dtype", "int8")

    @property
    def mode(self) -> str:
        """``"int4"``."""
        return "int4"

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "block_size": self.block_size}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`; files from before there were groups have none."""
        return super().from_config({"block_size": None, **config})


def _check(config: QuantizationConfig, name: str, wanted: object) -> None:
    value = getattr(config.weight_quantizer, name)
    if value != wanted:
        raise ValueError(
            message(
                type(config).__name__,
                f"a weight_quantizer with {name}={wanted!r}",
                f"{name}={value!r}",
                f"Make it with `{name}={wanted!r}`.",
            )
        )


_BY_MODE: dict[str, Callable[[], QuantizationConfig]] = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
}


def resolve_config(mode: object, config: object) -> QuantizationConfig:
    """The config that `quantize(mode, config)` means.

    Raises:
        ValueError: for an unknown mode, or a mode and a config that contradict each other.
        NotImplementedError: for float8, GPTQ and AWQ.
    """
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None and mode not in QUANTIZATION_MODES:
        raise ValueError(
            message(
                "quantize",
                f"a quantization mode, one of {QUANTIZATION_MODES} (Invalid quantization mode)",
                f"mode={mode}",
                "Pass 'int8' or 'int4'.",
            )
        )
    if config is None:
        if mode is None:
            expected = "either `mode` or `config`"
            raise ValueError(message("quantize", expected, "neither", "Pass e.g. 'int8'."))
        if mode not in _BY_MODE:
            raise not_offered(mode)
        return _BY_MODE[mode]()
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            message(
                "quantize",
                "Argument `config` to be an instance of `QuantizationConfig`",
                describe(config),
                "Pass e.g. keras.quantizers.Int8QuantizationConfig().",
            )
        )
    if mode is not None and config.mode != mode:
        raise ValueError(
            message(
                "quantize",
                "`mode` and `config` that agree (Contradictory arguments)",
                f"mode='{mode}' but config.mode='{config.mode}'",
                "Pass one of the two.",
            )
        )
    return config
