"""Initializers: the distribution of the initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.initializers._base import Initializer as Initializer
    from densekit.initializers._constant import Constant as Constant
    from densekit.initializers._constant import Identity as Identity
    from densekit.initializers._constant import Ones as Ones
    from densekit.initializers._constant import Zeros as Zeros
    from densekit.initializers._lookup import deserialize as deserialize
    from densekit.initializers._lookup import get as get
    from densekit.initializers._lookup import serialize as serialize
    from densekit.initializers._random import Orthogonal as Orthogonal
    from densekit.initializers._random import RandomInitializer as RandomInitializer
    from densekit.initializers._random import RandomNormal as RandomNormal
    from densekit.initializers._random import RandomUniform as RandomUniform
    from densekit.initializers._random import TruncatedNormal as TruncatedNormal
    from densekit.initializers._variance_scaling import GlorotNormal as GlorotNormal
    from densekit.initializers._variance_scaling import GlorotUniform as GlorotUniform
    from densekit.initializers._variance_scaling import HeNormal as HeNormal
    from densekit.initializers._variance_scaling import HeUniform as HeUniform
    from densekit.initializers._variance_scaling import LecunNormal as LecunNormal
    from densekit.initializers._variance_scaling import LecunUniform as LecunUniform
    from densekit.initializers._variance_scaling import VarianceScaling as VarianceScaling
    from densekit.initializers._variance_scaling import compute_fans as compute_fans

    IdentityInitializer = identity = Identity
    OrthogonalInitializer = orthogonal = Orthogonal
    constant = Constant
    glorot_normal = GlorotNormal
    glorot_uniform = GlorotUniform
    he_normal = HeNormal
    he_uniform = HeUniform
    lecun_normal = LecunNormal
    lecun_uniform = LecunUniform
    ones = Ones
    random_normal = RandomNormal
    random_uniform = RandomUniform
    truncated_normal = TruncatedNormal
    variance_scaling = VarianceScaling
    zeros = Zeros
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_base": "Initializer",
            "_constant": "Constant Identity Ones Zeros",
            "_lookup": "deserialize get serialize",
            "_random": "Orthogonal RandomInitializer RandomNormal RandomUniform TruncatedNormal",
            "_variance_scaling": (
                "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform "
                "VarianceScaling compute_fans"
            ),
        },
        {
            "IdentityInitializer": "Identity",
            "OrthogonalInitializer": "Orthogonal",
            "constant": "Constant",
            "glorot_normal": "GlorotNormal",
            "glorot_uniform": "GlorotUniform",
            "he_normal": "HeNormal",
            "he_uniform": "HeUniform",
            "identity": "Identity",
            "lecun_normal": "LecunNormal",
            "lecun_uniform": "LecunUniform",
            "ones": "Ones",
            "orthogonal": "Orthogonal",
            "random_normal": "RandomNormal",
            "random_uniform": "RandomUniform",
            "truncated_normal": "TruncatedNormal",
            "variance_scaling": "VarianceScaling",
            "zeros": "Zeros",
        },
    )
