"""Keras 2's names for `dtype_policies` and the policy of `config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit.config import dtype_policy as dtype_policy
from densekit.config import set_dtype_policy as set_dtype_policy
from densekit.dtype_policies import DTypePolicy as DTypePolicy
from densekit.optimizers import LossScaleOptimizer as LossScaleOptimizer

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy

if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
