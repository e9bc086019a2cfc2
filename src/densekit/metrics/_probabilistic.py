"""Cross-entropies and divergences as metrics."""

from __future__ import annotations

from densekit import losses
from densekit._core.registry import export
from densekit.metrics._reduction import FunctionMean


@export("keras.metrics")
class KLDivergence(FunctionMean):
    """``mean(sum(y_true * log(y_true / y_pred)))``, both clipped to ``[epsilon, 1]``.

    Args:
        name: name of the metric. Default: ``"kl_divergence"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    _direction = "down"

    def __init__(self, name: str = "kl_divergence", dtype: object = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


@export("keras.metrics")
class Poisson(FunctionMean):
    """``mean(y_pred - y_true * log(y_pred + epsilon))``.

    Args:
        name: name of the metric. Default: ``"poisson"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.Poisson()([[1.0]], [[2.0]])), 4)
    1.3069
    """

    _direction = "down"

    def __init__(self, name: str = "poisson", dtype: object = None) -> None:
        super().__init__(losses.poisson, name, dtype)


@export("keras.metrics")
class BinaryCrossentropy(FunctionMean):
    """``-mean(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred))``.

    Args:
        name: name of the metric. Default: ``"binary_crossentropy"``.
        dtype: type of the state and the result. Default: `floatx`.
        from_logits: whether predictions are logits. Default: ``False``.
        label_smoothing: how far targets are moved to even odds, in ``[0, 1]``. Default: ``0``.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
    0.6931
    """

    _direction = "down"
    from_logits: bool
    label_smoothing: float

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: object = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )


@export("keras.metrics")
class CategoricalCrossentropy(FunctionMean):
    """``-mean(sum(y_true * log(y_pred)))`` for one-hot targets.

    Args:
        name: name of the metric. Default: ``"categorical_crossentropy"``.
        dtype: type of the state and the result. Default: `floatx`.
        from_logits: whether predictions are logits. Default: ``False``.
        label_smoothing: how far targets are moved to even odds, in ``[0, 1]``. Default: ``0``.
        axis: axis of the classes. Default: ``-1``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    _direction = "down"
    from_logits: bool
    label_smoothing: float
    axis: int

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: object = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@export("keras.metrics")
class SparseCategoricalCrossentropy(FunctionMean):
    """``-mean(log(y_pred[label]))`` for integer labels.

    Args:
        name: name of the metric. Default: ``"sparse_categorical_crossentropy"``.
        dtype: type of the state and the result. Default: `floatx`.
        from_logits: whether predictions are logits. Default: ``False``.
        ignore_class: label that counts as 0. Default: ``None``.
        axis: axis of the classes. Default: ``-1``.

    Raises:
        ValueError: if the shapes do not fit.

    Example:

    >>> import densekit as keras
    >>> round(float(keras.metrics.SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    _direction = "down"
    from_logits: bool
    ignore_class: int | None
    axis: int

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: object = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
