"""Numbers that tell how good predictions are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.losses import binary_crossentropy as binary_crossentropy
    from densekit.losses import binary_focal_crossentropy as binary_focal_crossentropy
    from densekit.losses import categorical_crossentropy as categorical_crossentropy
    from densekit.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
    from densekit.losses import categorical_hinge as categorical_hinge
    from densekit.losses import hinge as hinge
    from densekit.losses import huber as huber
    from densekit.losses import kl_divergence as kl_divergence
    from densekit.losses import log_cosh as log_cosh
    from densekit.losses import mean_absolute_error as mean_absolute_error
    from densekit.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
    from densekit.losses import mean_squared_error as mean_squared_error
    from densekit.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
    from densekit.losses import poisson as poisson
    from densekit.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
    from densekit.losses import squared_hinge as squared_hinge
    from densekit.metrics._accuracy import Accuracy as Accuracy
    from densekit.metrics._accuracy import BinaryAccuracy as BinaryAccuracy
    from densekit.metrics._accuracy import CategoricalAccuracy as CategoricalAccuracy
    from densekit.metrics._accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
    from densekit.metrics._accuracy import (
        SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
    )
    from densekit.metrics._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
    from densekit.metrics._accuracy import binary_accuracy as binary_accuracy
    from densekit.metrics._accuracy import categorical_accuracy as categorical_accuracy
    from densekit.metrics._accuracy import (
        sparse_categorical_accuracy as sparse_categorical_accuracy,
    )
    from densekit.metrics._accuracy import (
        sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
    )
    from densekit.metrics._accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
    from densekit.metrics._auc import AUC as AUC
    from densekit.metrics._best_at import PrecisionAtRecall as PrecisionAtRecall
    from densekit.metrics._best_at import RecallAtPrecision as RecallAtPrecision
    from densekit.metrics._best_at import SensitivityAtSpecificity as SensitivityAtSpecificity
    from densekit.metrics._best_at import SpecificityAtSensitivity as SpecificityAtSensitivity
    from densekit.metrics._confusion import FalseNegatives as FalseNegatives
    from densekit.metrics._confusion import FalsePositives as FalsePositives
    from densekit.metrics._confusion import Precision as Precision
    from densekit.metrics._confusion import Recall as Recall
    from densekit.metrics._confusion import TrueNegatives as TrueNegatives
    from densekit.metrics._confusion import TruePositives as TruePositives
    from densekit.metrics._correlation import ConcordanceCorrelation as ConcordanceCorrelation
    from densekit.metrics._correlation import PearsonCorrelation as PearsonCorrelation
    from densekit.metrics._correlation import concordance_correlation as concordance_correlation
    from densekit.metrics._correlation import pearson_correlation as pearson_correlation
    from densekit.metrics._f_score import F1Score as F1Score
    from densekit.metrics._f_score import FBetaScore as FBetaScore
    from densekit.metrics._hinge import CategoricalHinge as CategoricalHinge
    from densekit.metrics._hinge import Hinge as Hinge
    from densekit.metrics._hinge import SquaredHinge as SquaredHinge
    from densekit.metrics._iou import BinaryIoU as BinaryIoU
    from densekit.metrics._iou import IoU as IoU
    from densekit.metrics._iou import MeanIoU as MeanIoU
    from densekit.metrics._iou import OneHotIoU as OneHotIoU
    from densekit.metrics._iou import OneHotMeanIoU as OneHotMeanIoU
    from densekit.metrics._lookup import deserialize as deserialize
    from densekit.metrics._lookup import get as get
    from densekit.metrics._lookup import resolve as resolve
    from densekit.metrics._lookup import serialize as serialize
    from densekit.metrics._metric import Metric as Metric
    from densekit.metrics._probabilistic import BinaryCrossentropy as BinaryCrossentropy
    from densekit.metrics._probabilistic import CategoricalCrossentropy as CategoricalCrossentropy
    from densekit.metrics._probabilistic import KLDivergence as KLDivergence
    from densekit.metrics._probabilistic import Poisson as Poisson
    from densekit.metrics._probabilistic import (
        SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
    )
    from densekit.metrics._r2_score import R2Score as R2Score
    from densekit.metrics._reduction import Mean as Mean
    from densekit.metrics._reduction import MeanMetricWrapper as MeanMetricWrapper
    from densekit.metrics._reduction import Sum as Sum
    from densekit.metrics._regression import CosineSimilarity as CosineSimilarity
    from densekit.metrics._regression import LogCoshError as LogCoshError
    from densekit.metrics._regression import MeanAbsoluteError as MeanAbsoluteError
    from densekit.metrics._regression import (
        MeanAbsolutePercentageError as MeanAbsolutePercentageError,
    )
    from densekit.metrics._regression import MeanSquaredError as MeanSquaredError
    from densekit.metrics._regression import (
        MeanSquaredLogarithmicError as MeanSquaredLogarithmicError,
    )
    from densekit.metrics._regression import RootMeanSquaredError as RootMeanSquaredError
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_accuracy": (
                "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy "
                "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy binary_accuracy "
                "categorical_accuracy sparse_categorical_accuracy "
                "sparse_top_k_categorical_accuracy top_k_categorical_accuracy"
            ),
            "_auc": "AUC",
            "_best_at": (
                "PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity "
                "SpecificityAtSensitivity"
            ),
            "_confusion": (
                "FalseNegatives FalsePositives Precision Recall TrueNegatives TruePositives"
            ),
            "_correlation": (
                "ConcordanceCorrelation PearsonCorrelation concordance_correlation "
                "pearson_correlation"
            ),
            "_f_score": "F1Score FBetaScore",
            "_iou": "BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU",
            "_lookup": "deserialize get resolve serialize",
            "_hinge": "CategoricalHinge Hinge SquaredHinge",
            "_metric": "Metric",
            "_probabilistic": (
                "BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson "
                "SparseCategoricalCrossentropy"
            ),
            "_r2_score": "R2Score",
            "_reduction": "Mean MeanMetricWrapper Sum",
            "_regression": (
                "CosineSimilarity LogCoshError MeanAbsoluteError MeanAbsolutePercentageError "
                "MeanSquaredError MeanSquaredLogarithmicError RootMeanSquaredError"
            ),
            "densekit.losses": (
                "binary_crossentropy binary_focal_crossentropy categorical_crossentropy "
                "categorical_focal_crossentropy categorical_hinge hinge huber kl_divergence "
                "log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error "
                "mean_squared_logarithmic_error poisson sparse_categorical_crossentropy "
                "squared_hinge"
            ),
        },
    )
