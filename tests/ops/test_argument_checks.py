"""Arguments that ops refuse, and the ends of their ranges: as in Keras."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from densekit import ops
from densekit.ops._gradient import value_and_vjp

MATRIX = np.arange(12, dtype="float32").reshape(3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ops.norm(MATRIX, ord="fro", axis=1), ValueError, "two axes"),
        (lambda: ops.norm(MATRIX[0], ord="nuc"), ValueError, "two axes"),
        (lambda: ops.qr(MATRIX, mode="r"), ValueError, "reduced"),
        (lambda: ops.slice(MATRIX, (0, 0), (4, 1)), ValueError, "shape"),
        (lambda: ops.slice(MATRIX, (0, 0), (1, -2)), ValueError, "shape"),
        (lambda: ops.segment_sum(MATRIX, [[0, 0, 1]]), ValueError, "segment_ids"),
        (lambda: ops.segment_max(MATRIX, [0, 1]), ValueError, "segment_ids"),
        (lambda: ops.segment_sum(MATRIX, [0.0, 0.0, 1.0]), TypeError, "whole numbers"),
        (lambda: ops.segment_min(MATRIX, [0, 0, 1], 1.0), TypeError, "integer"),
        (lambda: ops.segment_sum(MATRIX, [0, 0, 1], -1), ValueError, "num_segments"),
        (lambda: ops.segment_prod(MATRIX > 0, [0, 0, 1]), TypeError, "numbers"),
        (lambda: ops.gcd(MATRIX, 2), ValueError, "whole numbers"),
        (lambda: ops.ldexp(MATRIX, MATRIX), TypeError, "whole numbers"),
        (lambda: ops.extract_sequences(np.float32(1), 1, 1), ValueError, "axis"),
        (lambda: ops.depth_to_space(np.ones((1, 2, 2, 4)), 0), ValueError, "block_size"),
        (lambda: ops.space_to_depth(np.ones((1, 2, 2, 4)), 1), ValueError, "block_size"),
        (lambda: ops.one_hot([1], 2, sparse=True), ValueError, "sparse"),
        (lambda: ops.multi_hot([1], 2, sparse=True), ValueError, "sparse"),
        (lambda: ops.reshape(MATRIX, (-2, 6)), ValueError, "newshape"),
        (lambda: ops.reshape(MATRIX, (-1, -1)), ValueError, "newshape"),
        (lambda: ops.where([True], [1], None), ValueError, "x1"),
        (lambda: ops.where([True], None, [1]), ValueError, "x1"),
        (lambda: ops.pad(MATRIX, 1, "reflect", constant_values=1), ValueError, "constant_values"),
        (lambda: ops.scan(3, 0.0, MATRIX), TypeError, "callable"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0, MATRIX, unroll=-1), ValueError, "unroll"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0), ValueError, "length"),
        (lambda: ops.scan(lambda c, x: (c, x), 0.0, MATRIX, length=2), ValueError, "length"),
        (
            lambda: ops.associative_scan(lambda a, b: a, (np.ones(2), np.ones(3))),
            ValueError,
            "first dimension",
        ),
    ],
)
def test_refused(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_slice_of_minus_one_goes_to_the_end() -> None:
    assert ops.slice(MATRIX, (1, 1), (-1, 2)).tolist() == MATRIX[1:, 1:3].tolist()
    assert ops.slice(MATRIX, (-1, 0), (1, -1)).tolist() == MATRIX[-1:].tolist()


@pytest.mark.parametrize("name", ["solve", "solve_triangular"])
def test_systems_are_solved_for_one_vector_a_matrix(name: str) -> None:
    a = np.triu(np.random.default_rng(0).normal(size=(4, 3, 3))) + 2 * np.eye(3)
    b = np.arange(12.0).reshape(4, 3)
    x = getattr(ops, name)(a, b)
    np.testing.assert_allclose(np.einsum("bij,bj->bi", a, x), b, atol=1e-12)
    square = np.asarray(getattr(ops, name)(a[:3], b[:3]))
    if name == "solve":  # three matrices, one matrix of columns
        np.testing.assert_allclose(a[:3] @ square, np.stack([b[:3]] * 3), atol=1e-12)
    else:
        np.testing.assert_allclose(np.einsum("bij,bj->bi", a[:3], square), b[:3], atol=1e-12)


def test_rows_of_no_segment_go_nowhere() -> None:
    data = np.array([1.0, 2, 3, 4], "float32")
    ids = np.array([0, -1, 1, 7])
    assert ops.segment_max(data, ids, 3).tolist() == [1, 3, -np.inf]
    assert ops.segment_min(data, ids, 3).tolist() == [1, 3, np.inf]
    assert ops.segment_sum(data, ids, 3).tolist() == [1, 3, 0]
    assert ops.segment_prod(data, ids, 3).tolist() == [1, 3, 1]


def test_segments_keep_their_rows_to_themselves() -> None:
    data, ids = np.array([np.nan, 2, np.inf, 4], "float32"), [0, 1, 2, 1]
    np.testing.assert_array_equal(ops.segment_sum(data, ids), [np.nan, 6, np.inf])
    truths = np.array([True, False])
    assert ops.segment_max(truths, [0, 0], 2).tolist() == [True, False]
    assert ops.segment_min(truths, [0, 0], 2).tolist() == [False, True]
    _, vjp = value_and_vjp(lambda x: ops.segment_sum(x, ids), [data])
    assert vjp(np.array([1, 2, 3], "float32"))[0].tolist() == [1, 2, 3, 2]


def test_moments_of_half_precision_stay_in_its_range() -> None:
    mean, variance = ops.moments(np.array([300, -300, 300, -300], "float16"), 0)
    assert (mean.dtype, variance.dtype) == (np.float16, np.float16)
    assert (float(mean), float(variance)) == (0.0, float(np.finfo("float16").max))


def test_all_axes_are_normalized_together() -> None:
    for order in (2, 3):
        whole = ops.normalize(MATRIX, axis=None, order=order)
        size = (MATRIX**order).sum() ** (1 / order)
        np.testing.assert_allclose(whole, MATRIX / size, rtol=1e-6)


def test_extremes_of_nothing_are_the_initial_ones() -> None:
    empty = np.zeros((2, 0), "float32")
    for extreme in (ops.max, ops.min):
        assert float(extreme(empty, initial=1)) == 1.0
        assert extreme(empty, axis=1, initial=1.5).tolist() == [1.5, 1.5]
        assert extreme(empty, axis=1, keepdims=True, initial=1).shape == (2, 1)
        assert extreme(np.ones(2, bool), initial=1).dtype == "bool"
        with pytest.raises(ValueError):
            extreme(empty)


def test_infinity_is_a_quantile() -> None:
    for x in ([np.inf], [np.inf, 1.0, np.inf], [-np.inf, 1.0], [-np.inf, 2.0, np.inf]):
        assert float(ops.median(x)) == np.median(x) == float(ops.nanmedian(x))
        for quantile in (ops.quantile, ops.nanquantile):
            assert quantile(x, [0.0, 1.0]).tolist() == [min(x), max(x)]


def test_dstack_joins_vectors_and_matrices() -> None:
    for one, two in (([1, 2], [[4, 5]]), ([[[1], [2]]], [3, 4]), (1, [2])):
        np.testing.assert_array_equal(ops.dstack([one, two]), np.dstack([one, two]))


def test_softmax_over_one_class_warns() -> None:
    with pytest.warns(UserWarning, match="more than 1 class"):
        ops.softmax(np.ones((2, 1), "float32"))
    with pytest.warns(UserWarning, match="rms_normalization"):
        ops.layer_normalization(MATRIX, rms_scaling=True)
