"""Losses: what training makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.losses._base import Loss as Loss
    from densekit.losses._base import LossFunctionWrapper as LossFunctionWrapper
    from densekit.losses._checks import check_chance_broadcast as check_chance_broadcast
    from densekit.losses._checks import check_last_activation as check_last_activation
    from densekit.losses._checks import check_targets as check_targets
    from densekit.losses._checks import checks_values as checks_values
    from densekit.losses._checks import exact_as as exact_as
    from densekit.losses._checks import is_built_in as is_built_in
    from densekit.losses._circle import Circle as Circle
    from densekit.losses._circle import circle as circle
    from densekit.losses._crossentropy import BinaryCrossentropy as BinaryCrossentropy
    from densekit.losses._crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
    from densekit.losses._crossentropy import (
        SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
    )
    from densekit.losses._crossentropy import binary_crossentropy as bce
    from densekit.losses._crossentropy import binary_crossentropy as binary_crossentropy
    from densekit.losses._crossentropy import categorical_crossentropy as categorical_crossentropy
    from densekit.losses._crossentropy import (
        sparse_categorical_crossentropy as sparse_categorical_crossentropy,
    )
    from densekit.losses._divergence import KLDivergence as KLDivergence
    from densekit.losses._divergence import Poisson as Poisson
    from densekit.losses._divergence import kl_divergence as kl_divergence
    from densekit.losses._divergence import kl_divergence as kld
    from densekit.losses._divergence import poisson as poisson
    from densekit.losses._focal import BinaryFocalCrossentropy as BinaryFocalCrossentropy
    from densekit.losses._focal import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
    from densekit.losses._focal import binary_focal_crossentropy as binary_focal_crossentropy
    from densekit.losses._focal import (
        categorical_focal_crossentropy as categorical_focal_crossentropy,
    )
    from densekit.losses._generalized import (
        CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
    )
    from densekit.losses._generalized import (
        categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
    )
    from densekit.losses._hinge import CategoricalHinge as CategoricalHinge
    from densekit.losses._hinge import Hinge as Hinge
    from densekit.losses._hinge import SquaredHinge as SquaredHinge
    from densekit.losses._hinge import categorical_hinge as categorical_hinge
    from densekit.losses._hinge import hinge as hinge
    from densekit.losses._hinge import squared_hinge as squared_hinge
    from densekit.losses._lookup import as_loss as as_loss
    from densekit.losses._lookup import deserialize as deserialize
    from densekit.losses._lookup import get as get
    from densekit.losses._lookup import serialize as serialize
    from densekit.losses._overlap import Dice as Dice
    from densekit.losses._overlap import Tversky as Tversky
    from densekit.losses._overlap import dice as dice
    from densekit.losses._overlap import tversky as tversky
    from densekit.losses._reduction import reduce_weighted_values as reduce_weighted_values
    from densekit.losses._regression import CosineSimilarity as CosineSimilarity
    from densekit.losses._regression import MeanAbsoluteError as MeanAbsoluteError
    from densekit.losses._regression import (
        MeanAbsolutePercentageError as MeanAbsolutePercentageError,
    )
    from densekit.losses._regression import MeanSquaredError as MeanSquaredError
    from densekit.losses._regression import (
        MeanSquaredLogarithmicError as MeanSquaredLogarithmicError,
    )
    from densekit.losses._regression import cosine_similarity as cosine_similarity
    from densekit.losses._regression import mean_absolute_error as mae
    from densekit.losses._regression import mean_absolute_error as mean_absolute_error
    from densekit.losses._regression import mean_absolute_percentage_error as mape
    from densekit.losses._regression import (
        mean_absolute_percentage_error as mean_absolute_percentage_error,
    )
    from densekit.losses._regression import mean_squared_error as mean_squared_error
    from densekit.losses._regression import mean_squared_error as mse
    from densekit.losses._regression import (
        mean_squared_logarithmic_error as mean_squared_logarithmic_error,
    )
    from densekit.losses._regression import mean_squared_logarithmic_error as msle
    from densekit.losses._robust import Huber as Huber
    from densekit.losses._robust import LogCosh as LogCosh
    from densekit.losses._robust import huber as huber
    from densekit.losses._robust import log_cosh as log_cosh
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_base": "Loss LossFunctionWrapper",
            "_checks": (
                "check_chance_broadcast check_last_activation check_targets checks_values "
                "exact_as is_built_in"
            ),
            "_circle": "Circle circle",
            "_crossentropy": (
                "BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy "
                "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy"
            ),
            "_divergence": "KLDivergence Poisson kl_divergence poisson",
            "_focal": (
                "BinaryFocalCrossentropy CategoricalFocalCrossentropy binary_focal_crossentropy "
                "categorical_focal_crossentropy"
            ),
            "_generalized": (
                "CategoricalGeneralizedCrossEntropy categorical_generalized_cross_entropy"
            ),
            "_hinge": "CategoricalHinge Hinge SquaredHinge categorical_hinge hinge squared_hinge",
            "_lookup": "as_loss deserialize get serialize",
            "_overlap": "Dice Tversky dice tversky",
            "_reduction": "reduce_weighted_values",
            "_regression": (
                "CosineSimilarity MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
                "MeanSquaredLogarithmicError cosine_similarity mean_absolute_error "
                "mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error"
            ),
            "_robust": "Huber LogCosh huber log_cosh",
        },
        {
            "bce": "binary_crossentropy",
            "kld": "kl_divergence",
            "mae": "mean_absolute_error",
            "mape": "mean_absolute_percentage_error",
            "mse": "mean_squared_error",
            "msle": "mean_squared_logarithmic_error",
        },
    )
