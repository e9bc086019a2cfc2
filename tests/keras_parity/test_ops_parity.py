"""Every op against Keras: values, dtype and shape; symbolic shape and dtype; the node in files."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import keras
import numpy as np
import pytest
from tests.keras_parity.more_ops_cases import ACTIVATIONS
from tests.keras_parity.ops_cases import BROKEN_PROMISES, CASES

from densekit import ops
from densekit._core import registry, tree
from densekit._core.tensor import Tensor, lend
from densekit._core.variable import Variable

IDS = [f"{name}-{k}" for k, (name, _, _) in enumerate(CASES)]
EPS = float(np.finfo("float32").eps)

# Where Keras on JAX cannot be the reference, with the reason.
KERAS_SPEC_DIFFERS = {
    "unique": "as of bincount",
    "bincount": "the size follows the data, which we see no further than the trial run",
    "multi_hot": "Keras promises int32 and gives float32",
    "categorical_crossentropy": "Keras ignores the axis",
}


def leaves(result: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tree.flatten(result)]


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_value(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with np.errstate(all="raise", under="ignore"):
        ours = getattr(ops, name)(*args, **kwargs)
    theirs = getattr(keras.ops, name)(*args, **kwargs)
    assert len(leaves(ours)) == len(leaves(theirs))
    for a, e in zip(leaves(ours), leaves(theirs), strict=True):
        assert a.shape == e.shape
        if not isinstance(theirs, int | tuple) or name in ("qr", "top_k", "moments"):
            assert a.dtype == e.dtype
        if name == "qr":
            a, e = np.abs(a), np.abs(e)
        # Some 30 rounded steps lie behind the longest formula, each within an ulp of its terms.
        scale = np.max(np.abs(e[np.isfinite(e)]), initial=1.0) if e.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, e, rtol=32 * EPS, atol=min(float(scale), 10) * 8 * EPS)


def symbolic(args: tuple[Any, ...], tensor: Any, batch: bool) -> tuple[Any, ...]:
    """Arrays, and lists of arrays, replaced by symbolic tensors; `batch`: of unknown first size."""

    def one(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim:
            shape = (None, *value.shape[1:]) if batch else value.shape
            return tensor(shape, dtype=value.dtype.name)
        return value

    return tuple(
        [one(v) for v in a]
        if isinstance(a, list) and a and isinstance(a[0], np.ndarray)
        else one(a)
        for a in args
    )


SYMBOLIC = [
    k
    for k, (name, args, _) in enumerate(CASES)
    if any(
        (isinstance(v, np.ndarray) and v.ndim)
        or (isinstance(v, list) and isinstance(v[0], np.ndarray))
        for v in args
    )
    and name
    not in ("shape", "ndim", "size", "nonzero", "copy", "saturate_cast", *KERAS_SPEC_DIFFERS)
    and not (name in ACTIVATIONS.split() and args[0].dtype == "int32")
    and not (name in ("vstack", "hstack") and args[0][0].ndim == 1)
    and k not in BROKEN_PROMISES
    and not (name == "meshgrid" and any(a.dtype == "int32" for a in args))
]


@pytest.mark.parametrize("index", SYMBOLIC, ids=[IDS[k] for k in SYMBOLIC])
def test_symbolic(index: int) -> None:
    name, args, kwargs = CASES[index]
    ours = getattr(ops, name)(*symbolic(args, ops.KerasTensor, False), **kwargs)
    theirs = getattr(keras.ops, name)(*symbolic(args, keras.KerasTensor, False), **kwargs)
    ours, theirs = tree.flatten(ours), tree.flatten(theirs)
    assert [(t.shape, t.dtype) for t in ours] == [(t.shape, t.dtype) for t in theirs]
    operation, expected = ours[0]._keras_history[0], theirs[0]._keras_history[0]
    assert type(operation).__name__ == type(expected).__name__
    module = type(expected).__module__
    assert registry.public_name(type(operation)) == (module, type(expected).__name__)
    config, reference = operation.get_config(), expected.get_config()
    assert without_name(config) == without_name(reference)
    node, their_node = operation._inbound_nodes[0], expected._inbound_nodes[0]
    assert len(node.input_tensors) == len(their_node.input_tensors)
    again = type(operation).from_config({**without_name(reference), "name": "again"})
    assert [t.shape for t in tree.flatten(again(*node.args, **node.kwargs))] == [
        t.shape for t in ours
    ]


@pytest.mark.parametrize("index", sorted(BROKEN_PROMISES), ids=lambda k: IDS[k])
def test_promise(index: int) -> None:
    name, args, kwargs = CASES[index]
    promised = tree.flatten(getattr(ops, name)(*symbolic(args, ops.KerasTensor, False), **kwargs))
    values = tree.flatten(getattr(ops, name)(*args, **kwargs))
    assert [(t.shape, t.dtype) for t in promised] == [(v.shape, v.dtype.name) for v in values]


def without_name(config: dict[str, Any]) -> dict[str, Any]:
    return {
        k: list(v) if isinstance(v, tuple | np.ndarray) else v
        for k, v in config.items()
        if k != "name"
    }


@pytest.mark.parametrize("name", sorted(n for n in registry.components("keras.ops")))
def test_every_op_has_a_case(name: str) -> None:
    elsewhere = [
        "cond",
        "jvp",
        "vectorize",
        "custom_gradient",
        "associative_scan",
        "switch",
        "eig",
        "while_loop",
        "fori_loop",
        "scan",
        "map",
        "vectorized_map",
        "convert_to_numpy",
        "is_tensor",
        "dtype",
        "empty",
        "empty_like",
        "sparsemax",
        "mish",
    ]
    assert name in elsewhere or any(name == op for op, _, _ in CASES)
    assert hasattr(keras.ops, name) or name == "mish"


# Memory: what goes in stays as it is, and is not reached through what comes out.


def memory(structure: Any) -> list[np.ndarray]:
    return [x for x in tree.flatten(structure) if isinstance(x, np.ndarray)]


def overwrite(results: list[np.ndarray]) -> None:
    for result in results:
        result[...] = np.zeros((), result.dtype)
        result.fill(0)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_result_is_the_callers_own(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    given = tree.map_structure(np.copy, memory((args, kwargs)))
    with np.errstate(all="ignore"):
        results = memory(getattr(ops, name)(*args, **kwargs))
    assert not any(np.may_share_memory(x, y) for x in memory((args, kwargs)) for y in results)
    overwrite(results)
    np.testing.assert_equal(memory((args, kwargs)), given)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_result_does_not_follow_a_variable(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    variables: list[Variable] = []

    def as_variable(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            return x
        variables.append(Variable(x, dtype=x.dtype.name))
        return variables[-1]

    given = tree.map_structure(as_variable, args)
    with np.errstate(all="ignore"):
        try:
            results = memory(getattr(ops, name)(*given, **kwargs))
        except (AttributeError, TypeError, ValueError) as error:
            # An argument that is a setting, not a tensor.
            assert all(v is not given[0] for v in variables), error
            return
    kept = [np.array(result) for result in results]
    for variable in variables:
        assert not any(np.may_share_memory(variable.array, result) for result in results)
        variable.assign(np.ones(variable.shape, variable.dtype))
    np.testing.assert_equal([np.array(result) for result in results], kept)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_definition_cannot_write_through_a_result(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    lent = tree.map_structure(lend, args)
    with np.errstate(all="ignore"):
        results = memory(getattr(ops, name)(*lent, **kwargs))
    for result in results:
        if any(np.may_share_memory(x, result) for x in memory(lent)):
            assert not result.flags.writeable
        assert isinstance(result, Tensor)


# Gradients: ours by autograd, ours by JAX, Keras' by JAX.

NOT_DIFFERENTIABLE = set(
    [
        "sign",
        "signbit",
        "isreal",
        "view_as_complex",
        "polar",
        "view",
        "argpartition",
        "unravel_index",
        "unique",
        "matrix_rank",
        "histogram",
        "isposinf",
        "isneginf",
        "nextafter",
        "trunc",
        "floor",
        "ceil",
        "round",
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
        "isnan",
        "isinf",
        "isfinite",
        "isclose",
        "allclose",
        "nonzero",
        "all",
        "any",
        "argmax",
        "argmin",
        "nanargmax",
        "nanargmin",
        "count_nonzero",
        "digitize",
        "searchsorted",
        "bincount",
        "isin",
        "argsort",
        "in_top_k",
        "shape",
        "ndim",
        "size",
        "zeros_like",
        "ones_like",
        "stop_gradient",
        "saturate_cast",
        "one_hot",
        "multi_hot",
        "copy",
        "floor_divide",
    ]
)
COMPLETE = {"mode": "complete"}  # `qr` of more rows than columns: not unique
GRADIENT = [
    k
    for k, (name, args, kwargs) in enumerate(CASES)
    if name not in NOT_DIFFERENTIABLE
    and any(getattr(leaf, "dtype", None) == "float32" for leaf in tree.flatten(list(args)))
    and kwargs.get("dtype") != "int32"
    and not (name == "cast" and args[1] == "int32")
    and not (name == "rearrange" and kwargs)  # Keras cannot trace it
    and not (kwargs.get("reduction") == "mul" or name == "segment_prod")  # JAX has no gradient
]


def kind(index: int) -> str:
    """Cases of one kind differ in axes and sizes alone: one of them is differentiated."""
    name, args, kwargs = CASES[index]
    shapes = [np.ndim(leaf) for leaf in tree.flatten(list(args))]
    options = {k: v for k, v in kwargs.items() if k not in ("axis", "keepdims")}
    return f"{name} {shapes} {options}"


GRADIENT = list({kind(k): k for k in GRADIENT}.values())


def differentiable(name: str, library: Any, args: Any, kwargs: Any) -> tuple[Any, list[np.ndarray]]:
    """A function of the float arrays among the arguments, and those arrays."""
    flat = tree.flatten(list(args))
    places = [k for k, leaf in enumerate(flat) if getattr(leaf, "dtype", None) == "float32"]
    places = places[:1] if name.endswith(("quantile", "percentile")) else places

    def function(*floats: Any) -> Any:
        filled = list(flat)
        for place, value in zip(places, floats, strict=True):
            filled[place] = value
        return getattr(library, name)(*tree.pack_as(list(args), filled), **kwargs)

    return function, [flat[k] for k in places]


ON_JAX = [
    k
    for k, (_, args, _) in enumerate(CASES)
    if kind(k) not in {kind(j) for j in GRADIENT}  # these run on JAX below
    and any(np.ndim(leaf) and isinstance(leaf, np.ndarray) for leaf in tree.flatten(list(args)))
]


@pytest.mark.parametrize("index", ON_JAX, ids=[IDS[k] for k in ON_JAX])
def test_on_arrays_of_jax(index: int) -> None:
    name, args, kwargs = CASES[index]

    def of_jax(leaf: Any) -> Any:
        return jax.numpy.asarray(leaf) if isinstance(leaf, np.ndarray) and leaf.ndim else leaf

    given = tree.map_structure(of_jax, list(args))
    found = tree.flatten(getattr(ops, name)(*given, **kwargs))
    expect = tree.flatten(getattr(ops, name)(*args, **kwargs))
    for ours, theirs in zip(found, expect, strict=True):
        if isinstance(theirs, np.ndarray):
            assert isinstance(ours, jax.Array)
            assert ours.dtype == theirs.dtype
        exact = np.asarray(theirs).dtype.kind in "biu"
        np.testing.assert_allclose(ours, theirs, rtol=0 if exact else 32 * EPS, atol=4 * EPS)


@pytest.mark.parametrize("index", GRADIENT, ids=[IDS[k] for k in GRADIENT])
def test_gradient(index: int) -> None:
    name, args, kwargs = CASES[index]
    ours, values = differentiable(name, ops, args, kwargs)
    theirs, _ = differentiable(name, keras.ops, args, kwargs)
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    seeds: list[Any] = [
        draw.standard_normal(leaf.shape).astype("float32") if leaf.dtype == "float32" else None
        for leaf in jax.tree.leaves(jax.eval_shape(theirs, *values))
    ]

    def by_jax(function: Any) -> list[np.ndarray]:
        def gradient(*floats: Any) -> Any:
            outputs, vjp = jax.vjp(function, *floats)
            leaves, structure = jax.tree.flatten(outputs)
            filled = [
                np.zeros(leaf.shape, jax.dtypes.float0) if seed is None else seed
                for leaf, seed in zip(leaves, seeds, strict=True)
            ]
            return vjp(jax.tree.unflatten(structure, filled))

        return jax.jit(gradient)(*values)  # compiled whole: several times faster than op by op

    reference = by_jax(theirs)
    found = {"jax": by_jax(ours)}
    if kwargs != COMPLETE:
        outputs, vjp = ops.value_and_vjp(ours, values)
        found["autograd"] = vjp(tree.pack_as(outputs, seeds))
    for gradients in found.values():
        for gradient, expect in zip(gradients, reference, strict=True):
            assert gradient.dtype == "float32"
            expect = np.asarray(expect)
            scale = float(np.max(np.abs(expect[np.isfinite(expect)]), initial=1.0))
            np.testing.assert_allclose(gradient, expect, rtol=64 * EPS, atol=scale * 16 * EPS)
