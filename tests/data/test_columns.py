"""Class weights and what else is made of columns."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from densekit.data._columns import class_weights


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [2, 1, 1, 0, 2, 2, 2], [1, 1]])
def test_balanced_weights_are_those_of_scikit_learn(labels):
    y = np.array(labels)
    expected = compute_sample_weight("balanced", y)
    np.testing.assert_allclose(class_weights(y, "balanced", 3), expected, rtol=1e-6)
    one_hot = np.eye(3)[y]
    np.testing.assert_allclose(class_weights(one_hot, "balanced", 3), expected, rtol=1e-6)


def test_a_class_without_weight_is_said_once():
    y = np.array([0, 1, 2, 2])
    with pytest.warns(UserWarning, match="none for class 2, which is given 1") as found:
        weights = class_weights(y, {0: 3.0, 1: 5.0}, 3)
    assert len(found) == 1
    assert weights.tolist() == [3.0, 5.0, 1.0, 1.0]


def test_a_weight_for_a_class_that_does_not_occur_is_fine():
    assert class_weights(np.array([0, 0]), {0: 2.0, 1: 5.0}, 2).tolist() == [2.0, 2.0]
