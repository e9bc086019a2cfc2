"""Every public function, class and method takes Keras' arguments: names, order and defaults."""

from __future__ import annotations

import inspect
import re
import types
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import densekit
from densekit._core.absent import reason

P = inspect.Parameter
POSITIONAL = (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD)
# What may differ, a pattern and why. docs/differences-from-keras.md tells users.
ALLOWED = {
    r".*\.(quantized_\w+|rematerialized_call): absent": "modes of Keras' machinery",
    r".*\.(jax_state_sync|compute_loss_and_updates): absent": "of Keras' JAX backend",
    r".*\.get_quantization_layer_structure: absent": "for language models",
    r".*\.distribute_tf_dataset: absent": "TensorFlow's data sets",
    r".*(Policy|Map)\.convert_input: absent": "layers convert what they are given",
    r"layers\..*\.convert_weight: absent": "of Keras' data layers for TensorFlow",
    r"optimizers\.Muon\.\w+: absent": "parts of its formula",
    r"metrics\.AUC\.interpolate_pr_auc: absent": "a part of its formula",
    r"optimizers\.\w+: .*without name": "common options are keywords",
    r"optimizers\.Muon: \w+ by name alone": "common options are keywords",
    r"(optimizers|mixed_precision)\.\w+\.build: (no var_list|needs variables)": "as the base says",
    r"(\w+\.)?(Model|Sequential|Function|Distiller)\.\w+_step: no (state|data)": "of two styles",
    r"(Layer|Sequential|Operation): no \*\*?\w+": "of `__new__`, which takes all",
    r"(KerasTensor|name_scope|models\.clone_model|ops\.einsum|ops\.layer_normalization|"
    r"saving\.(load|save)_weights|datasets\.imdb\.load_data|\w+\.compute_output_spec|(distillation\.)?\w+\.call|"
    r"layers\.\w+\.compute_output_s\w+): no \*\*?\w+": "nothing is taken unnamed",
    r"layers\.\w+\.compute_output_s\w+: needs inputs?(_shape)?": "nothing is taken unnamed",
    r"Variable: (no layout|no \*\*kwargs|aggregation.*)": "of Keras' JAX backend",
    r"layers\.Lambda\.from_config: no safe_mode without name": "code is never loaded",
    r"utils\.Config\.pop: needs keyname": "of `MutableMapping`",
}


def rooms(module: types.ModuleType, here: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    yield path, module, here
    for name, value in sorted(vars(module).items()):
        is_room = isinstance(value, types.ModuleType) and value.__name__.startswith("keras")
        is_public = name[0] != "_" and name not in ("src", "legacy")
        if is_room and is_public and not reason(here.__name__, name):
            yield from rooms(value, getattr(here, name), f"{path}.{name}".strip("."))


def signature(thing: Any) -> dict[str, P]:
    try:
        return dict(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return {}


def is_same(one: Any, two: Any) -> bool:
    return one is two or (type(one) is type(two) and repr(one) == repr(two))


def mismatches(theirs: dict[str, P], ours: dict[str, P]) -> Iterator[str]:
    order = [name for name, p in ours.items() if p.kind in POSITIONAL]
    kinds = {p.kind for p in ours.values()}
    for place, (name, p) in enumerate(theirs.items()):
        mine = ours.get(name)
        if p.kind in (P.VAR_POSITIONAL, P.VAR_KEYWORD):
            if p.kind not in kinds:
                yield f"no {'*' if p.kind is P.VAR_POSITIONAL else '**'}{name}"
        elif mine is None:
            yield f"no {name}" + (" without name" if P.VAR_KEYWORD in kinds else "")
        elif p.kind in POSITIONAL and mine.kind is P.KEYWORD_ONLY:
            yield f"{name} by name alone"
        elif p.kind is not P.POSITIONAL_ONLY and mine.kind is P.POSITIONAL_ONLY:
            yield f"{name} by place alone"
        elif p.kind in POSITIONAL and order.index(name) != place:
            yield f"{name} at {order.index(name)} for {place}"
        elif p.default is not P.empty and not is_same(p.default, mine.default):
            yield f"{name}={mine.default!r} for {p.default!r}"
    for name, mine in ours.items():
        needed = mine.default is P.empty and mine.kind in (*POSITIONAL, P.KEYWORD_ONLY)
        if needed and name not in theirs:
            yield f"needs {name}"


def differences() -> Iterator[str]:
    met: set[object] = set()

    def compared(path: str, theirs: Any, ours: Any) -> Iterator[str]:
        key = getattr(theirs, "__func__", theirs), getattr(ours, "__func__", ours)
        if key not in met:
            met.add(key)
            for text in mismatches(signature(theirs), signature(ours)):
                yield f"{path}: {text}"

    for path, module, here in rooms(keras, densekit):
        for name in sorted(n for n in dir(module) if not n.startswith("_")):
            theirs, ours = getattr(module, name), getattr(here, name, None)
            if ours is None or not callable(theirs):
                continue  # docs/coverage.md has what is absent
            place = f"{path}.{name}".strip(".")
            yield from compared(place, theirs, ours)
            for method in dir(theirs) if inspect.isclass(theirs) else ():
                kind = type(inspect.getattr_static(theirs, method))
                if method.startswith("_") or kind not in (
                    types.FunctionType,
                    classmethod,
                    staticmethod,
                ):
                    continue
                if not hasattr(ours, method):
                    yield f"{place}.{method}: absent"
                    continue
                both = getattr(theirs, method), getattr(ours, method)
                yield from compared(f"{place}.{method}", *both)


def test_signatures() -> None:
    found = list(differences())
    unexplained = [text for text in found if not any(re.fullmatch(p, text) for p in ALLOWED)]
    assert unexplained == []
    stale = [p for p in ALLOWED if not any(re.fullmatch(p, text) for text in found)]
    assert stale == []


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (lambda b, a=1: 0, ["a at 1 for 0", "b at 0 for 1"]),
        (lambda a, b: 0, ["a", "b"]),
        (lambda a=1: 0, ["no b"]),
        (lambda a=2, b=2: 0, ["a=2 for 1"]),
        (lambda a=1, *, b=2: 0, ["b by name alone"]),
        (lambda a=1, b=2, *, c: 0, ["needs c"]),
        (lambda a=1, b=2, c=3: 0, []),
    ],
    ids=["order", "defaults", "absent", "other default", "keyword", "more", "same"],
)
def test_differences_are_seen(ours: Any, expected: list[str]) -> None:
    found = list(mismatches(signature(lambda a=1, b=2: 0), signature(ours)))
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def outcome(call: Any, room: Any) -> Any:
    try:
        return call(room)
    except Exception as error:
        return type(error)


Pair = namedtuple("Pair", ["a", "b"])
CALLS: dict[str, Any] = {
    "None is a leaf": lambda k: k.tree.map_structure(lambda x: 1, [None, {"a": 2}]),
    "None is none": lambda k: k.tree.map_structure(lambda x: 1, [None, 2], none_is_leaf=False),
    "None alone": lambda k: k.tree.map_structure(lambda x: 1, None, none_is_leaf=False),
    "no structure": lambda k: k.tree.map_structure(len),
    "no function": lambda k: k.tree.map_structure(3, [1]),
    "other lengths": lambda k: k.tree.map_structure(max, [1], [1, 2]),
    "other kinds": lambda k: k.tree.map_structure(max, [1, 2], (1, 2)),
    "kinds of dicts": lambda k: k.tree.map_structure(max, {"a": 1}, OrderedDict(a=2)),
    "other keys": lambda k: k.tree.assert_same_structure({"a": 1}, {"b": 1}),
    "tuples": lambda k: k.tree.assert_same_structure(Pair(1, 2), (1, 2)),
    "finite": lambda k: [
        bool(k.mixed_precision.LossScaleOptimizer(k.optimizers.SGD()).check_finite(grads))
        for grads in ([np.ones(2), None], [np.ones(2), np.array([np.inf])])
    ],
    "quantizers": lambda k: [
        k.quantizers.QuantizationConfig.weight_quantizer_or_default(config, 5)
        for config in (None, k.quantizers.Int8QuantizationConfig())
    ],
    "quantizers of inputs": lambda k: [
        k.quantizers.QuantizationConfig.activation_quantizer_or_default(config, 5)
        for config in (None, k.quantizers.Int8QuantizationConfig(activation_quantizer=None))
    ],
}


@pytest.mark.parametrize("case", CALLS)
def test_small_arguments(case: str) -> None:
    assert outcome(CALLS[case], densekit) == outcome(CALLS[case], keras)


@pytest.mark.parametrize("checks", [True, False])
def test_check_types_is_of_no_use(checks: bool) -> None:
    for room in (keras, densekit):
        with pytest.warns(DeprecationWarning, match="check_types"):
            room.tree.assert_same_structure([1], [2], check_types=checks)
