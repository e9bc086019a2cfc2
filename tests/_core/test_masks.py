"""Masks beside tensors of every kind."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np

from densekit import KerasTensor
from densekit._core import masks
from densekit._core.tensor import MaskedArray, Tensor, give, lend, with_mask

MASK = np.array([True, False])


def test_kinds_of_tensors() -> None:
    for x in (np.ones(2), np.ones(2).view(Tensor), KerasTensor((2,)), with_mask(np.ones(2), None)):
        assert masks.mask_of(x) is None
        masks.set_mask(x, MASK)
        assert masks.mask_of(x) is MASK
        masks.set_mask(x, None)
        assert masks.mask_of(x) is None


def test_of_arrays_that_are_gone_nothing_is_kept() -> None:
    x = np.ones(2)
    masks.set_mask(x, MASK)
    key = id(x)
    assert key in masks._beside
    del x
    gc.collect()
    assert key not in masks._beside


def test_lent_and_given_keep_the_mask() -> None:
    given = give(lend(with_mask(np.ones(2), MASK)))
    assert type(given) is MaskedArray
    assert given._keras_mask.tolist() == MASK.tolist()
    assert type(give(lend(np.ones(2)))) is np.ndarray


def test_results_are_plain() -> None:
    x = with_mask(np.ones(2), MASK)
    assert type(x * 2) is type(np.exp(x)) is np.ndarray
    assert repr(x) == repr(np.ones(2))
    assert type(pickle.loads(pickle.dumps(x))) is np.ndarray
    assert copy.copy(x).tolist() == [1, 1]


def test_structures() -> None:
    x, y = lend(np.ones(2)), lend(np.ones(2))
    masks.set_mask(x, MASK)
    assert masks.masks_of({"a": x, "b": y}) == {"a": MASK, "b": None}
    assert masks.any_mask([None, MASK])
    assert not masks.any_mask([None, None])
    z = lend(np.array(x))
    masks.carry_masks([x, y], [z, y])
    assert masks.mask_of(z) is MASK
