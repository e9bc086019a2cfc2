"""densekit: Keras' API for fully connected networks, without TensorFlow, JAX or PyTorch.

``import densekit as keras`` runs Keras code for dense networks. This file is the shop window:
public names only; a room is loaded when one of its names is first used, so importing is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

__version__ = "0.1.0"

if TYPE_CHECKING:
    from densekit import activations as activations
    from densekit import backend as backend
    from densekit import callbacks as callbacks
    from densekit import compat as compat
    from densekit import config as config
    from densekit import constraints as constraints
    from densekit import datasets as datasets
    from densekit import distillation as distillation
    from densekit import distribution as distribution
    from densekit import dtype_policies as dtype_policies
    from densekit import export as export
    from densekit import initializers as initializers
    from densekit import layers as layers
    from densekit import losses as losses
    from densekit import metrics as metrics
    from densekit import mixed_precision as mixed_precision
    from densekit import models as models
    from densekit import ops as ops
    from densekit import optimizers as optimizers
    from densekit import preprocessing as preprocessing
    from densekit import quantizers as quantizers
    from densekit import random as random
    from densekit import regularizers as regularizers
    from densekit import saving as saving
    from densekit import sweeps as sweeps
    from densekit import tree as tree
    from densekit import utils as utils
    from densekit import wrappers as wrappers
    from densekit._core.device import RematScope as RematScope
    from densekit._core.device import device as device
    from densekit._core.device import remat as remat
    from densekit._core.name_scope import name_scope as name_scope
    from densekit._core.scope import SymbolicScope as SymbolicScope
    from densekit.backend import StatelessScope as StatelessScope
    from densekit.backend import Variable as Variable
    from densekit.compat import install as install
    from densekit.dtype_policies import DTypePolicy as DTypePolicy
    from densekit.dtype_policies import FloatDTypePolicy as FloatDTypePolicy
    from densekit.initializers import Initializer as Initializer
    from densekit.layers import Input as Input
    from densekit.layers import InputSpec as InputSpec
    from densekit.layers import Layer as Layer
    from densekit.losses import Loss as Loss
    from densekit.metrics import Metric as Metric
    from densekit.models import Function as Function
    from densekit.models import Model as Model
    from densekit.models import Sequential as Sequential
    from densekit.ops import KerasTensor as KerasTensor
    from densekit.ops import Operation as Operation
    from densekit.optimizers import Optimizer as Optimizer
    from densekit.quantizers import Quantizer as Quantizer
    from densekit.regularizers import Regularizer as Regularizer
    from densekit.sweeps import fit_many as fit_many
    from densekit.training import GradientTape as GradientTape
    from densekit.training import value_and_grad as value_and_grad
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit._core.device": "RematScope device remat",
            "densekit._core.name_scope": "name_scope",
            "densekit._core.scope": "SymbolicScope",
            "activations": "",
            "backend": "StatelessScope Variable",
            "callbacks": "",
            "compat": "install",
            "config": "",
            "constraints": "",
            "datasets": "",
            "distillation": "",
            "distribution": "",
            "export": "",
            "dtype_policies": "DTypePolicy FloatDTypePolicy",
            "initializers": "Initializer",
            "layers": "Input InputSpec Layer",
            "losses": "Loss",
            "metrics": "Metric",
            "mixed_precision": "",
            "models": "Function Model Sequential",
            "ops": "KerasTensor Operation",
            "optimizers": "Optimizer",
            "preprocessing": "",
            "quantizers": "Quantizer",
            "random": "",
            "regularizers": "Regularizer",
            "saving": "",
            "sweeps": "fit_many",
            "densekit.training": "GradientTape value_and_grad",
            "tree": "",
            "utils": "",
            "wrappers": "",
        },
    )


def version() -> str:
    """The version of densekit."""
    return __version__
