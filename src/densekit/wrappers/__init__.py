"""Networks as estimators of scikit-learn. The one room that imports it, when a name is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.wrappers._classifier import SKLearnClassifier as SKLearnClassifier
    from densekit.wrappers._regressor import SKLearnRegressor as SKLearnRegressor
    from densekit.wrappers._transformer import SKLearnTransformer as SKLearnTransformer
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_classifier": "SKLearnClassifier",
            "_regressor": "SKLearnRegressor",
            "_transformer": "SKLearnTransformer",
        },
        of_components=False,
    )
