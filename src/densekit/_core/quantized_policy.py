"""Policies of layers whose main weight is kept in fewer bits."""

from __future__ import annotations

from densekit._core.dtype_policy import QUANTIZATION_MODES, DTypePolicy, get_dtype_policy
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config

_OFFERED = ("int8", "int4")

_WHY = {
    "float8": "float8 is for GPUs that compute in it",
    "gptq": "GPTQ calibrates language models on text",
    "awq": "AWQ calibrates language models on text",
}


def not_offered(mode: str) -> NotImplementedError:
    """The answer to modes that Keras has and we have not."""
    return NotImplementedError(
        message("quantize", "'int8' or 'int4'", f"'{mode}': {_WHY[mode]}", "Pass 'int8'.")
    )


@export("keras.dtype_policies")
class QuantizedDTypePolicy(DTypePolicy):
    """A policy of floats, and a mode in which the main weight is kept.

    Args:
        mode: ``"int8"``, or ``"int4"`` for one scale for each output.
        source_name: name of the policy of floats. Default: the global policy.

    Raises:
        TypeError: if `source_name` is not a string.
        ValueError: for another mode, or int8 beside float16.

    Example:

    >>> import densekit as keras
    >>> policy = keras.dtype_policies.QuantizedDTypePolicy("int8", "mixed_bfloat16")
    >>> policy.name, policy.quantization_mode, policy.compute_dtype
    ('int8_from_mixed_bfloat16', 'int8', 'bfloat16')
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        if source_name is not None and not isinstance(source_name, str):
            raise TypeError(
                message(
                    "QuantizedDTypePolicy",
                    "the name of a policy as `source_name`",
                    describe(source_name),
                    "Pass e.g. 'float32'.",
                )
            )
        source = get_dtype_policy(source_name)
        where = type(self).__name__
        if mode not in QUANTIZATION_MODES:
            expected = f"a quantization mode, one of {QUANTIZATION_MODES}"
            raise ValueError(message(where, expected, f"mode={mode}", "Pass 'int8' or 'int4'."))
        if mode not in _OFFERED:
            raise not_offered(mode)
        super().__init__(source.name)
        if mode == "int8" and self.compute_dtype == "float16":
            raise ValueError(
                message(
                    where,
                    "another compute_dtype beside mode='int8'",
                    "'float16', beyond whose range scales of small inputs lie",
                    "Take 'float32' or 'mixed_bfloat16' as source.",
                )
            )
        self._source_name = source.name
        self._mode = mode
        self._name = f"{mode}_from_{source.name}"

    @property
    def quantization_mode(self) -> str:
        """``"int8"`` or ``"int4"``."""
        return self._mode

    @property
    def source_name(self) -> str:
        """Name of the policy of floats."""
        return self._source_name

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"mode": self._mode, "source_name": self._source_name}

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self._name}">'


@export("keras.dtype_policies")
class Int4DTypePolicy(QuantizedDTypePolicy):
    """The policy of int4 in groups: ``"int4/<block_size>"``; -1 is one scale for each output.

    Args:
        mode: e.g. ``"int4/128"``.
        source_name: name of the policy of floats. Default: the global policy.

    Raises:
        ValueError: for another form of `mode`, or a block size that is neither -1 nor positive.

    Example:

    >>> import densekit as keras
    >>> keras.dtype_policies.Int4DTypePolicy("int4/64", "float32").block_size
    64
    """

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        base, _, size = mode.partition("/")
        number = size[1:] if size[:1] == "-" else size
        if base != "int4" or not number.isdecimal():
            raise ValueError(
                message(
                    "Int4DTypePolicy",
                    "a mode of the format 'int4/<block_size>', an integer",
                    describe(mode),
                    "Pass e.g. 'int4/128'.",
                )
            )
        self.block_size = int(size)
        if self.block_size < -1 or self.block_size == 0:
            expected = "a block_size of -1 or a positive integer"
            raise ValueError(message("Int4DTypePolicy", expected, size, "Pass e.g. 'int4/128'."))
        super().__init__(base, source_name)
        self.mode = base
        self._name = f"{mode}_from_{self._source_name}"

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"mode": f"int4/{self.block_size}", "source_name": self._source_name}


def quantized_policy(name: str) -> QuantizedDTypePolicy:
    """The policy of a name such as ``"int8_from_float32"`` or ``"int4/128_from_float32"``.

    Raises:
        ValueError: if the name has another form.
    """
    mode, between, source = name.partition("_from_")
    if not between or "_from_" in source:
        raise ValueError(
            message(
                "DTypePolicy",
                "a quantized policy '<mode>_from_<policy>'",
                describe(name),
                "Pass e.g. 'int8_from_float32'.",
            )
        )
    base = mode.partition("/")[0]
    if base in _WHY:
        raise not_offered(base)
    return Int4DTypePolicy(mode, source) if "/" in mode else QuantizedDTypePolicy(mode, source)
