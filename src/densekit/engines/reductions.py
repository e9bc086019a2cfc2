"""How the losses of samples become one number."""

from __future__ import annotations

from typing import Any

from densekit._core.errors import message

_BY_NAME = {
    "sum_over_batch_size": "sum_over_batch_size",
    "mean": "sum_over_batch_size",
    "sum": "sum",
    "mean_with_sample_weight": "mean_with_sample_weight",
}


def reduction_of(loss: Any) -> str:
    """The reduction of a loss, by the one name it has in engines.

    Raises:
        TypeError: if it does not give a scalar.
    """
    reduction = _BY_NAME.get(loss.reduction)
    if reduction is None:
        raise TypeError(
            message(
                f"loss {loss.name!r}",
                f"a reduction among {tuple(_BY_NAME)}",
                f"reduction={loss.reduction!r}",
                "Choose one that gives a scalar.",
            )
        )
    return reduction
