"""State of optimizers in files of Keras 2."""

from __future__ import annotations

import numpy as np
import pytest
from tests.saving.old_files import (
    SHAPES,
    held,
    slot,
    slots,
    training_of,
    two_layers,
    write_h5,
)

import densekit as keras

PATHS = ["dense_1/kernel", "dense_1/bias", "dense_2/kernel", "dense_2/bias"]


def loaded(path, training, state, version):
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": two_layers()}}
    write_h5(path / "m.h5", config, training, state, version)
    return keras.models.load_model(path / "m.h5").optimizer


# Class, its slots here, and of each slot the name in Keras 2.11 and in Keras 2.4.
CLASSES = [
    ("Adam", ("momentum", "velocity"), ("m", "v"), ("m", "v")),
    ("Adamax", ("momentum", "norm"), ("m", "u"), ("m", "v")),
    (
        "Adadelta",
        ("accumulated_grad", "accumulated_delta_var"),
        ("accumulated_grad", "accumulated_delta_var"),
        ("accum_grad", "accum_var"),
    ),
    ("Adagrad", ("accumulator",), ("accumulator",), ("accumulator",)),
    ("RMSprop", ("velocity",), ("velocity",), ("rms",)),
    ("Ftrl", ("accumulator", "linear"), ("accumulator", "linear"), ("accumulator", "linear")),
]


@pytest.mark.parametrize(("name", "kinds", "new", "old"), CLASSES)
def test_optimizer_state_of_keras_2_11_to_2_15(name, kinds, new, old, tmp_path) -> None:
    values = [slots(k + 1) for k in range(len(kinds))]
    state = [("iteration:0", np.int64(77))]
    for i, path in enumerate(PATHS):
        state += [(f"{name}/{kind}/{path}:0", values[k][i]) for k, kind in enumerate(new)]
    training = training_of(
        name, learning_rate=0.125, jit_compile=True, is_legacy_optimizer=False, weight_decay=None
    )
    optimizer = loaded(tmp_path, training, state, "2.12.0")
    assert int(optimizer.iterations.numpy()) == 77
    assert float(optimizer.learning_rate.numpy()) == 0.125
    for k, kind in enumerate(kinds):
        for mine, theirs in zip(held(optimizer, kind), values[k], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "kinds", "new", "old"), CLASSES)
def test_optimizer_state_of_keras_2_4(name, kinds, new, old, tmp_path) -> None:
    values = [slots(k + 1) for k in range(len(kinds))]
    state = [(f"{name}/iter:0", np.int64(77))]
    pairs = [(k, i) for k in range(len(kinds)) for i in range(4)]
    if name == "Ftrl":
        pairs = [(k, i) for i in range(4) for k in range(len(kinds))]
    state += [(f"{name}/{PATHS[i]}/{old[k]}:0", values[k][i]) for k, i in pairs]
    optimizer = loaded(tmp_path, training_of(name, learning_rate=0.125), state, "2.4.0")
    assert int(optimizer.iterations.numpy()) == 77
    for k, kind in enumerate(kinds):
        for mine, theirs in zip(held(optimizer, kind), values[k], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_optimizer_state_of_keras_2_2(tmp_path) -> None:
    """Adam kept one zero for each weight in place of the third slot; RMSprop kept no count."""
    m, v = slots(1), slots(2)
    arrays = [np.int64(9), *m, *v, *(np.zeros(1, "f4") for _ in m)]
    state = [(f"training/Adam/Variable_{i}:0", a) for i, a in enumerate(arrays)]
    arguments = {"lr": 0.25, "beta_1": 0.9, "beta_2": 0.999, "decay": 0.0, "epsilon": None}
    optimizer = loaded(tmp_path, training_of("Adam", amsgrad=False, **arguments), state, "2.2.2")
    assert int(optimizer.iterations.numpy()) == 9
    for kind, values in (("momentum", m), ("velocity", v)):
        for mine, theirs in zip(held(optimizer, kind), values, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    state = [(f"training/RMSprop/Variable_{i}:0", a) for i, a in enumerate(m)]
    optimizer = loaded(tmp_path, training_of("RMSprop", lr=0.25, rho=0.9), state, "2.2.2")
    for mine, theirs in zip(held(optimizer, "velocity"), m, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_momentum_that_is_not_used_is_passed_over(tmp_path) -> None:
    state = [("iteration:0", np.int64(5))]
    state += [(f"SGD/m/{path}:0", np.zeros(s, "f4")) for path, s in zip(PATHS, SHAPES, strict=True)]
    optimizer = loaded(tmp_path, training_of("SGD", learning_rate=0.5, momentum=0.0), state, "2.15")
    assert int(optimizer.iterations.numpy()) == 5


def test_the_product_of_nadam_follows_from_the_steps(tmp_path) -> None:
    state = [("iteration:0", np.int64(3))]
    for i, path in enumerate(PATHS):
        state += [(f"Nadam/{k}/{path}:0", slot(i, SHAPES[i])) for k in ("m", "v")]
    optimizer = loaded(tmp_path, training_of("Nadam", learning_rate=0.5), state, "2.13.1")
    u = [0.9 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3)]
    assert float(optimizer.native_product().numpy()) == pytest.approx(np.prod(u), rel=1e-6)


def test_state_of_another_optimizer_is_said(tmp_path) -> None:
    state = [("iteration:0", np.int64(3)), ("SGD/m/x:0", np.zeros((7, 7), "f4"))]
    with pytest.warns(UserWarning, match="starts afresh"):
        loaded(tmp_path, training_of("SGD", learning_rate=0.5), state, "2.13.1")


def test_decay_becomes_a_schedule(tmp_path) -> None:
    state = [("SGD/iter:0", np.int64(10))]
    optimizer = loaded(tmp_path, training_of("SGD", lr=0.5, decay=0.25), state, "2.2.2")
    assert float(optimizer.learning_rate) == pytest.approx(0.5 / (1 + 0.25 * 10))


def test_the_old_schedule_of_nadam_is_said(tmp_path) -> None:
    training = training_of("Nadam", lr=0.5, schedule_decay=0.004)
    with pytest.warns(UserWarning, match="Nadam"):
        loaded(tmp_path, training, None, "2.2.2")


def test_clipnorm_of_keras_2_3_bounded_all_gradients_together(tmp_path) -> None:
    for version, together in (("2.3.1", 1.5), ("2.2.4-tf", None), ("2.4.0", None)):
        optimizer = loaded(tmp_path, training_of("SGD", lr=0.5, clipnorm=1.5), None, version)
        assert optimizer.global_clipnorm == together
        assert optimizer.clipnorm == (None if together else 1.5)
