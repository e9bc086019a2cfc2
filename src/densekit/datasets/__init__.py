"""Small data sets: `digits` comes with the package, Keras' own are fetched once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.datasets import boston_housing as boston_housing
    from densekit.datasets import california_housing as california_housing
    from densekit.datasets import cifar10 as cifar10
    from densekit.datasets import cifar100 as cifar100
    from densekit.datasets import digits as digits
    from densekit.datasets import fashion_mnist as fashion_mnist
    from densekit.datasets import imdb as imdb
    from densekit.datasets import mnist as mnist
    from densekit.datasets import reuters as reuters
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "boston_housing": "",
            "california_housing": "",
            "cifar10": "",
            "cifar100": "",
            "digits": "",
            "fashion_mnist": "",
            "imdb": "",
            "mnist": "",
            "reuters": "",
        },
        of_components=False,
    )
