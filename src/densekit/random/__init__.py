"""Random arrays: repeatable from a seed, on a counter-based generator."""

from __future__ import annotations

from densekit._core.seeds import SeedGenerator as SeedGenerator
from densekit.random._draws import beta as beta
from densekit.random._draws import binomial as binomial
from densekit.random._draws import categorical as categorical
from densekit.random._draws import gamma as gamma
from densekit.random._draws import normal as normal
from densekit.random._draws import randint as randint
from densekit.random._draws import shuffle as shuffle
from densekit.random._draws import truncated_normal as truncated_normal
from densekit.random._draws import uniform as uniform
from densekit.random._dropout import dropout as dropout
