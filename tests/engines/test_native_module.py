"""The native module: data in and out, inference, threads, single formulas, misuse."""

from __future__ import annotations

import ast
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit
from densekit import _native

from . import native_plans as plans
from .native_plans import Array, Built, add_dense, mlp, new_plan

PACKAGE = Path(densekit.__file__).parent


def classifier(rng: np.random.Generator, **options: Any) -> Built:
    built = mlp(
        [12, 40, 5],
        rng,
        hidden="relu",
        last="softmax",
        loss="sparse_categorical_crossentropy",
        loss_parameters=[0, -1.0, 1e-7],
        optimizer=("adam", [0.9, 0.999, 1e-7, 0]),
        **{"dtype": "float32", **options},
    )
    built.slots_for(2)
    return built


@pytest.mark.parametrize("dtype", list("?bBhHiIlLqQefd"))
@pytest.mark.parametrize("plan_dtype", ["float32", "float64"])
def test_inputs_of_any_type_and_stride(
    dtype: str, plan_dtype: str, rng: np.random.Generator
) -> None:
    built = mlp([6, 3], rng, dtype=plan_dtype)
    wide = rng.integers(0, 2 if dtype == "?" else 100, (20, 2, 2, 3)).astype(dtype)
    w, b = built.parameters
    for x in (wide[:, 0], wide[::2, 1], wide[::-1, 0], np.broadcast_to(wide[:1, 0], (7, 2, 3))):
        expected = x.reshape(len(x), 6).astype(plan_dtype) @ w + b
        tolerance = 100 * 6 * np.finfo(plan_dtype).eps * np.abs(w).sum()
        np.testing.assert_allclose(built.predict(x), expected, rtol=0, atol=100 * tolerance)
        index = rng.integers(0, len(x), 9)
        out = np.zeros((9, 3), plan_dtype)
        y = np.zeros((len(x), 3), "i2")
        losses = np.zeros((3, 2))
        built.plan.evaluate([x], [y], [None], index, 4, [], [], losses, [out])
        np.testing.assert_array_equal(out, built.predict(x)[index])
        expected_loss = np.mean(out[:4].astype("d") ** 2)
        np.testing.assert_allclose(losses[0, 1], expected_loss, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_labels_of_any_type(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    built = classifier(rng)
    x, labels = rng.standard_normal((9, 12)).astype("f"), rng.integers(0, 5, 9)
    losses, _, _ = plans.gradients(built, [x], [labels.astype(dtype).reshape(shape)])
    expected = -np.mean(np.log(built.predict(x)[np.arange(9), labels]))
    np.testing.assert_allclose(losses[1], expected, rtol=1e-5)


@pytest.mark.parametrize("bad", [5, -2, 1000, np.nan, np.inf, 1e300])
def test_labels_outside_the_classes_are_refused(bad: float, rng: np.random.Generator) -> None:
    built = classifier(rng)
    x, labels = rng.standard_normal((9, 12)).astype("f"), np.zeros(9)
    labels[3] = bad
    before = [p.copy() for p in built.parameters]
    with pytest.raises(ValueError, match="label"):
        built.train(x, labels, batch_size=9)
    assert all(np.array_equal(a, b) for a, b in zip(before, built.parameters, strict=True))


def test_predict_call_and_any_batch_give_the_same_bits(rng: np.random.Generator) -> None:
    for dtype in ("float32", "float64"):
        built = mlp([37, 50, 19, 7], rng, hidden="gelu", last="softmax", dtype=dtype)
        built.plan.set_call_shape([37], [7])
        x = rng.standard_normal((333, 37)).astype(dtype)
        whole = built.predict(x)
        assert whole.dtype == dtype and np.array_equal(built.plan.call(x), whole)
        for n in (1, 2, 7, 100):
            parts = [built.plan.call(np.ascontiguousarray(x[i : i + n])) for i in range(0, 333, n)]
            assert np.array_equal(np.concatenate(parts), whole)


def test_call_takes_only_what_it_was_made_for(rng: np.random.Generator) -> None:
    built = mlp([6, 4], rng, dtype="float32")
    x = rng.standard_normal((5, 2, 3)).astype("f")
    assert built.plan.call(x) is NotImplemented  # no shape yet
    built.plan.set_call_shape([2, 3], [4, 1])
    assert built.plan.call(x).shape == (5, 4, 1)
    assert built.plan.call(x[:0]).shape == (0, 4, 1)
    refused = [x.tolist(), None, x.astype("d"), x.astype(">f4"), x[::2], x.reshape(5, 6)]
    refused += [np.asfortranarray(x), x[0], np.float32(1), np.ma.array(x)]
    assert all(built.plan.call(r) is NotImplemented for r in refused)
    with pytest.raises(ValueError, match="elements"):
        built.plan.set_call_shape([5], [4])


def test_one_array_may_be_input_and_output(rng: np.random.Generator) -> None:
    plan = _native.Plan("float32")
    x = plan.input(3)
    for value in (
        x,
        plans.dropout(plan, x, 0.5),
        plans.activation(plan, x, "relu", plans.PLAIN_RELU, 3),
        x,
    ):
        plan.output(value)
    plan.finalize()
    a = rng.standard_normal((40, 3)).astype("f")
    for source in (a, a.astype("d")):
        outs = [np.zeros_like(a) for _ in range(4)]
        plan.predict([source], 40, outs)
        for got, expected in zip(outs, (a, a, np.maximum(a, 0), a), strict=True):
            assert np.array_equal(got, expected)


def trained(threads: int, batch_size: int, dtype: str = "float32") -> list[Array]:
    """Everything a run leaves behind, on layers wide enough to be split."""
    _native.set_threads(threads)
    rng = np.random.default_rng(3)
    built = new_plan(dtype)
    h = add_dense(built, built.plan.input(100), (100, 300), rng, "relu", plans.PLAIN_RELU)
    h = plans.dropout(built.plan, h, 0.3)
    h = add_dense(built, h, (300, 130), rng, "tanh")
    built.plan.output(add_dense(built, h, (130, 10), rng, "softmax"))
    built.plan.loss(0, "sparse_categorical_crossentropy", [0, np.nan, 1e-7], 10)
    built.plan.set_regularizer(0, "l1l2", [1e-4, 1e-4])
    built.plan.set_optimizer("adam", [0.9, 0.999, 1e-7, 0], weight_decay=0.01)
    built.plan.finalize()
    built.slots_for(2)
    x, labels = rng.random((200, 100)).astype(dtype), rng.integers(0, 10, 200)
    out = np.zeros((200, 10), dtype)
    losses = built.train(x, labels, batch_size=batch_size, counters=[0], predictions=[out])
    return [
        losses,
        out,
        built.predict(x),
        *built.parameters,
        *(s for pair in built.slots for s in pair),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [200, 64, 33])
def test_same_bits_for_any_number_of_threads(batch_size: int, dtype: str) -> None:
    one = trained(1, batch_size, dtype)
    for threads in (2, 3, 5):
        for a, b in zip(one, trained(threads, batch_size, dtype), strict=True):
            assert np.array_equal(a, b)


def test_dropout_depends_on_key_and_counter_alone(rng: np.random.Generator) -> None:
    plan = _native.Plan("float32")
    plan.output(plans.dropout(plan, plan.input(50), 0.25))
    plan.loss(0, "mean_squared_error", [], 50)
    plan.set_optimizer("sgd", [0, 0])
    plan.finalize()
    built = Built(plan, "float32")
    x = np.ones((30, 50), "f")
    out = np.zeros_like(x)
    built.train(x, x, batch_size=10, counters=[70], predictions=[out])
    for step in range(3):
        expected = _native.testing.dropout(x[:10], 0.25, 5, 70 + step)
        assert np.array_equal(out[10 * step : 10 * step + 10], expected)
    words = _native.testing.philox(5, 70, 500).reshape(10, 50)
    assert np.array_equal(out[:10] != 0, words >= 0.25 * 2**32)


def test_many_threads_may_predict_at_once(rng: np.random.Generator) -> None:
    built = mlp([64, 256, 32], rng, hidden="relu", dtype="float32")
    built.plan.set_call_shape([64], [32])
    x = rng.standard_normal((500, 64)).astype("f")
    expected = built.predict(x)
    wrong: list[int] = []

    def work(i: int) -> None:
        for n in (1, 17, 500):
            y = built.plan.call(x[:n].copy()) if i % 2 else built.predict(x[:n])
            if not np.array_equal(y, expected[:n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_fork_computes(rng: np.random.Generator) -> None:
    code = """
import os, numpy as np
from densekit import _native
_native.set_threads(2)
w = np.ones((256, 256), "f")
plan = _native.Plan("float32")
kernel, sizes = plan.parameter(w, False), {"in_features": [256], "out_features": [256]}
names, numbers = {"activation": "linear"}, {"activation_parameters": []}
plan.output(plan.op("dense", [plan.input(256)], [kernel], [], names, sizes, numbers)[0])
plan.finalize()
x = np.ones((512, 256), "f")
def check():
    y = np.zeros((512, 256), "f")
    plan.predict([x], 512, [y])
    assert np.all(y == 256)
check()
pid = os.fork()
check()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment())


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **extra}


def test_settings_from_the_environment() -> None:
    code = "from densekit import _native as n; print(n.get_threads(), n.active_isa())"
    run = [sys.executable, "-c", code]
    isa = _native.available_isas()[-1]
    env = environment(DENSEKIT_THREADS="3", DENSEKIT_ISA=isa)
    assert subprocess.check_output(run, env=env, text=True).split() == ["3", isa]
    failed = subprocess.run(
        run, env=environment(DENSEKIT_ISA="z80"), capture_output=True, text=True
    )
    assert failed.returncode != 0 and "ImportError" in failed.stderr and isa in failed.stderr
    env = environment(DENSEKIT_FUSE="0")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import native_plans as p, numpy as np\n"
    code += (
        "b = p.mlp([2, 1], np.random.default_rng(0), last='sigmoid', loss='binary_crossentropy',"
    )
    code += " loss_parameters=[0, 0, 1e-7]); print(p._native.testing.describe(b.plan)[-1])"
    run = [sys.executable, "-c", code, str(Path(__file__).parent)]
    assert "+ loss" not in subprocess.check_output(run, env=env, text=True)
    assert "+ loss" in subprocess.check_output(run, env=environment(), text=True)


def test_an_interrupt_ends_the_chunk_after_a_step(rng: np.random.Generator) -> None:
    built = mlp([200, 400, 3], rng, dtype="float32")
    x, y = rng.random((64, 200)).astype("f"), rng.random((64, 3)).astype("f")
    index = np.zeros(64 * 20_000, np.int64)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        built.train(x, y, batch_size=64, index=index, rate=0.0)
    assert 0 < _native.testing.steps_done(built.plan) < 20_000


def test_the_plan_can_be_collected_with_its_callables(rng: np.random.Generator) -> None:
    class Holder:
        plan: Any

    def build() -> weakref.ref[Holder]:
        built, holder = new_plan(), Holder()
        holder.plan = built.plan
        x = built.plan.input(2)

        def forward(training: bool, inputs: list[Array]) -> tuple[list[Array], float]:
            return inputs, float(holder is None)

        built.plan.output(built.plan.host([x], [2], [], forward, lambda d: (d, []))[0])
        built.plan.finalize()
        return weakref.ref(holder)

    reference = build()
    gc.collect()
    assert reference() is None


def test_the_callers_float_mode_is_restored(rng: np.random.Generator) -> None:
    built = mlp([3, 2], rng)
    built.predict(rng.standard_normal((4, 3)))
    tiny = np.full(4, np.finfo("d").tiny)
    assert np.all(tiny / 2 > 0)


def test_single_formulas(rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 6))
    for dtype in ("float32", "float64"):
        a = x.astype(dtype)
        np.testing.assert_allclose(_native.matmul(a, a.T), a @ a.T, rtol=1e-5)
        np.testing.assert_allclose(_native.matmul(a, a, transpose_a=True), a.T @ a, rtol=1e-5)
        np.testing.assert_allclose(_native.matmul(a, a, transpose_b=True), a @ a.T, rtol=1e-5)
        y = _native.testing.activation("tanh", [], a)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, np.tanh(a), rtol=1e-5)
    np.testing.assert_allclose(
        _native.testing.activation_gradient("tanh", [], x, x), x * (1 - np.tanh(x) ** 2), rtol=1e-9
    )
    labels = np.array([0, 1, 2, 3, 5])
    rows, y, d = _native.testing.loss_from_logits(
        "sparse_categorical_crossentropy", [0, -1, 0], labels, x
    )
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-9)
    np.testing.assert_allclose(rows, -np.log(expected[np.arange(5), labels]), rtol=1e-9)
    np.testing.assert_allclose(d, expected - np.eye(6)[labels], rtol=1e-9)
    value, gradient = _native.testing.regularizer("l1l2", [0.1, 0.2], x)
    np.testing.assert_allclose(value, 0.1 * np.abs(x).sum() + 0.2 * np.sum(x**2), rtol=1e-12)
    np.testing.assert_allclose(gradient, 0.1 * np.sign(x) + 0.4 * x, rtol=1e-12)


def test_tables_and_machine() -> None:
    assert _native.testing.activation_kinds()["relu"] == 3
    assert _native.testing.optimizer_kinds()["adam"] == 4
    assert set(_native.testing.loss_kinds()) >= {"mean_squared_error", "binary_crossentropy"}
    assert (
        "l1l2" in _native.testing.regularizer_kinds()
        and "max_norm" in _native.testing.constraint_kinds()
    )
    assert _native.active_isa() in _native.available_isas()
    facts = {"cpu", "cores", "l1d", "l2", "l3", "fma_ports", "lanes_f32"}
    assert facts == set(_native.machine())


def test_the_committed_stub_is_current(tmp_path: Path) -> None:
    patterns = Path(__file__).parents[2] / "native/bindings/stub_patterns.txt"
    fresh = tmp_path / "_native.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "densekit._native"]
    subprocess.run([*command, "-p", str(patterns), "-o", str(fresh)], check=True, env=environment())
    committed = PACKAGE / "_native.pyi"

    def statements(path: Path) -> list[str]:
        body = ast.parse(path.read_text()).body
        return [
            ast.dump(node) for node in body if not isinstance(node, ast.Import | ast.ImportFrom)
        ]

    assert statements(committed) == statements(fresh)
