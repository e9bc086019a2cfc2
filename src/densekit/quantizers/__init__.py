"""Quantizers: floats as whole numbers of few bits, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.quantizers._abs_max import AbsMaxQuantizer as AbsMaxQuantizer
    from densekit.quantizers._abs_max import abs_max_quantize as abs_max_quantize
    from densekit.quantizers._base import Quantizer as Quantizer
    from densekit.quantizers._configs import Int4QuantizationConfig as Int4QuantizationConfig
    from densekit.quantizers._configs import Int8QuantizationConfig as Int8QuantizationConfig
    from densekit.quantizers._configs import QuantizationConfig as QuantizationConfig
    from densekit.quantizers._fake_quant import (
        fake_quant_with_min_max_vars as fake_quant_with_min_max_vars,
    )
    from densekit.quantizers._float8 import (
        compute_float8_amax_history as compute_float8_amax_history,
    )
    from densekit.quantizers._float8 import compute_float8_scale as compute_float8_scale
    from densekit.quantizers._float8 import quantize_and_dequantize as quantize_and_dequantize
    from densekit.quantizers._grouped import (
        abs_max_quantize_grouped_with_zero_point as abs_max_quantize_grouped_with_zero_point,
    )
    from densekit.quantizers._int4 import pack_int4 as pack_int4
    from densekit.quantizers._int4 import unpack_int4 as unpack_int4
    from densekit.quantizers._lookup import deserialize as deserialize
    from densekit.quantizers._lookup import get as get
    from densekit.quantizers._lookup import serialize as serialize
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_abs_max": "AbsMaxQuantizer abs_max_quantize",
            "_base": "Quantizer",
            "_configs": "Int4QuantizationConfig Int8QuantizationConfig QuantizationConfig",
            "_fake_quant": "fake_quant_with_min_max_vars",
            "_float8": ("compute_float8_amax_history compute_float8_scale quantize_and_dequantize"),
            "_grouped": "abs_max_quantize_grouped_with_zero_point",
            "_int4": "pack_int4 unpack_int4",
            "_lookup": "deserialize get serialize",
        },
    )
