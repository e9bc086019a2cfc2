"""How gradients change weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.optimizers import schedules as schedules
    from densekit.optimizers._adadelta import Adadelta as Adadelta
    from densekit.optimizers._adafactor import Adafactor as Adafactor
    from densekit.optimizers._adagrad import Adagrad as Adagrad
    from densekit.optimizers._adam import Adam as Adam
    from densekit.optimizers._adam import AdamW as AdamW
    from densekit.optimizers._adamax import Adamax as Adamax
    from densekit.optimizers._ftrl import Ftrl as Ftrl
    from densekit.optimizers._lamb import Lamb as Lamb
    from densekit.optimizers._lion import Lion as Lion
    from densekit.optimizers._lookup import deserialize as deserialize
    from densekit.optimizers._lookup import get as get
    from densekit.optimizers._lookup import serialize as serialize
    from densekit.optimizers._loss_scale_optimizer import LossScaleOptimizer as LossScaleOptimizer
    from densekit.optimizers._multi_optimizer import MultiOptimizer as MultiOptimizer
    from densekit.optimizers._muon import Muon as Muon
    from densekit.optimizers._nadam import Nadam as Nadam
    from densekit.optimizers._optimizer import Optimizer as Optimizer
    from densekit.optimizers._optimizer_map import OptimizerMap as OptimizerMap
    from densekit.optimizers._rmsprop import RMSprop as RMSprop
    from densekit.optimizers._schedule_free_adamw import ScheduleFreeAdamW as ScheduleFreeAdamW
    from densekit.optimizers._sgd import SGD as SGD
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_adadelta": "Adadelta",
            "_adafactor": "Adafactor",
            "_adagrad": "Adagrad",
            "_adam": "Adam AdamW",
            "_adamax": "Adamax",
            "_ftrl": "Ftrl",
            "_lookup": "deserialize get serialize",
            "_lamb": "Lamb",
            "_lion": "Lion",
            "_loss_scale_optimizer": "LossScaleOptimizer",
            "_multi_optimizer": "MultiOptimizer",
            "_muon": "Muon",
            "_nadam": "Nadam",
            "_optimizer": "Optimizer",
            "_optimizer_map": "OptimizerMap",
            "_rmsprop": "RMSprop",
            "_schedule_free_adamw": "ScheduleFreeAdamW",
            "_sgd": "SGD",
            "schedules": "",
        },
    )
