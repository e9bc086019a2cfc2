"""Arguments that ops refuse, and the ends of their ranges: as in Keras."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from densekit import ops

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
        (lambda: ops.extract_sequences(np.float32(1), 1, 1), ValueError, "axis"),
        (lambda: ops.depth_to_space(np.ones((1, 2, 2, 4)), 0), ValueError, "block_size"),
        (lambda: ops.space_to_depth(np.ones((1, 2, 2, 4)), 1), ValueError, "block_size"),
        (lambda: ops.one_hot([1], 2, sparse=True), ValueError, "sparse"),
        (lambda: ops.multi_hot([1], 2, sparse=True), ValueError, "sparse"),
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
    square = getattr(ops, name)(a[:3], b[:3])  # three matrices, one matrix of columns
    np.testing.assert_allclose(a[:3] @ np.asarray(square), np.stack([b[:3]] * 3), atol=1e-12)


def test_rows_of_no_segment_go_nowhere() -> None:
    data = np.array([1.0, 2, 3, 4], "float32")
    ids = np.array([0, -1, 1, 7])
    assert ops.segment_max(data, ids, 3).tolist() == [1, 3, -np.inf]
    assert ops.segment_min(data, ids, 3).tolist() == [1, 3, np.inf]
    assert ops.segment_sum(data, ids, 3).tolist() == [1, 3, 0]
    assert ops.segment_prod(data, ids, 3).tolist() == [1, 3, 1]


def test_moments_of_half_precision_stay_in_its_range() -> None:
    mean, variance = ops.moments(np.array([300, -300, 300, -300], "float16"), 0)
    assert (mean.dtype, variance.dtype) == (np.float16, np.float16)
    assert (float(mean), float(variance)) == (0.0, float(np.finfo("float16").max))


def test_all_axes_are_normalized_together() -> None:
    for order in (2, 3):
        whole = ops.normalize(MATRIX, axis=None, order=order)
        size = (MATRIX**order).sum() ** (1 / order)
        np.testing.assert_allclose(whole, MATRIX / size, rtol=1e-6)
