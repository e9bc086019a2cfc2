"""`LambdaCallback`: functions as hooks."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core.registry import export
from densekit.callbacks._callback import Callback

Hook = Callable[..., object] | None


@export("keras.callbacks")
class LambdaCallback(Callback):
    """A callback made of functions, without a class of its own.

    Args:
        on_epoch_begin, on_epoch_end: called with ``(epoch, logs)``. Default: none.
        on_train_begin, on_train_end: called with ``(logs)``. Default: none.
        on_train_batch_begin, on_train_batch_end: called with ``(batch, logs)``. Default: none.
        **kwargs: any other hook by its name.

    Example:

    >>> import densekit as keras, numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> say = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(sorted(logs)))
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[say])
    ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Hook = None,
        on_epoch_end: Hook = None,
        on_train_begin: Hook = None,
        on_train_end: Hook = None,
        on_train_batch_begin: Hook = None,
        on_train_batch_end: Hook = None,
        **kwargs: object,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        self.__dict__.update(kwargs)
        self.__dict__.update({name: hook for name, hook in hooks.items() if hook is not None})
