"""Nested outputs and targets, optional inputs, class weights of streams: as Keras counts them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit

BOTH = {"densekit": densekit, "keras": keras}
DRAWN = np.random.RandomState(0)
X = DRAWN.rand(20, 3).astype("float32")
ONE, TWO = DRAWN.rand(20, 1).astype("float32"), DRAWN.rand(20, 2).astype("float32")
WEIGHTS = np.arange(20.0)
NESTED = {"a": {"b": ONE, "c": TWO}, "z": ONE}


def dense(k: Any, units: int, name: str) -> Any:
    return k.layers.Dense(units, kernel_initializer="ones", name=name)


def functional(k: Any, name: str = "outer") -> Any:
    x = k.Input((3,))
    inner = {"b": dense(k, 1, "d1")(x), "c": dense(k, 2, "d2")(x)}
    return k.Model(x, {"a": inner, "z": dense(k, 1, "d3")(x)}, name=name)


def of_lists(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, [[dense(k, 1, "d1")(x), dense(k, 2, "d2")(x)], dense(k, 1, "d3")(x)])


def flat(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, {"p": dense(k, 1, "d1")(x), "q": dense(k, 2, "d2")(x)})


def listed(k: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, [dense(k, 1, "d1")(x), dense(k, 2, "d2")(x)])


def subclass(k: Any) -> Any:
    class Own(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = dense(k, 1, "d1"), dense(k, 2, "d2")

        def call(self, x: Any) -> Any:
            return {"a": {"b": self.one(x)}, "c": (self.two(x),)}

    return Own()


def inside(k: Any) -> Any:
    x = k.Input((3,))
    made = functional(k, "inner")(x)
    return k.Model(x, {"k": [made["a"]["b"], made["a"]["c"]], "z": made["z"]})


def two_of_one(k: Any) -> Any:
    class Own(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = dense(k, 1, "d1")

        def call(self, x: Any) -> Any:
            return self.one(x)

        def compute_loss(  # Keras tells them by position
            self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = True
        ) -> Any:
            return super().compute_loss(x, y, [y_pred, y_pred], sample_weight, training)

    return Own()


def own_loss(k: Any) -> Any:
    class Own(k.Model):
        def compute_loss(self, *args: Any, **others: Any) -> Any:
            return super().compute_loss(*args, **others)

    x = k.Input((3,))
    return Own(x, [dense(k, 1, "d1")(x), dense(k, 2, "d2")(x)])


def apart(y_true: Any, y_pred: Any) -> Any:
    """A loss of two outputs together."""
    pairs = zip(*(y.values() if isinstance(y, dict) else y for y in (y_true, y_pred)), strict=True)
    return sum(abs(t - p)[:, 0] for t, p in pairs)


FLAT = {"p": ONE, "q": TWO}
OWN = {"a": {"b": ONE}, "c": (TWO,)}
EACH = {"a": {"b": "mse", "c": "mae"}, "z": "mse"}
CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "one loss": (functional, NESTED, None, {"loss": "mse"}),
    "a loss each": (functional, NESTED, None, {"loss": EACH}),
    "some losses": (functional, NESTED, None, {"loss": {"a": {"b": "mse", "c": "mse"}}}),
    "no loss for one": (functional, NESTED, None, {"loss": {**EACH, "z": None}}),
    "a flat list": (functional, NESTED, None, {"loss": ["mse", "mae", "mse"]}),
    "flat targets": (functional, [ONE, TWO, ONE], None, {"loss": "mse"}),
    "weights of losses": (
        functional,
        NESTED,
        None,
        {"loss": EACH, "loss_weights": {"a": {"b": 1.0, "c": 2.0}, "z": 0.5}},
    ),
    "weights": (
        functional,
        NESTED,
        {"a": {"b": WEIGHTS, "c": WEIGHTS}, "z": WEIGHTS},
        {"loss": EACH},
    ),
    "one array of weights": (functional, NESTED, WEIGHTS, {"loss": EACH}),
    "metrics": (
        functional,
        NESTED,
        None,
        {"loss": "mse", "metrics": {"a": {"b": ["mae"], "c": "mse"}, "z": ["mae", "mse"]}},
    ),
    "weighted metrics": (
        functional,
        NESTED,
        WEIGHTS,
        {"loss": "mse", "weighted_metrics": {"a": {"b": ["mae"], "c": ["mse"]}, "z": ["mae"]}},
    ),
    "lists": (of_lists, [[ONE, TWO], ONE], None, {"loss": [["mse", "mae"], "mse"]}),
    "lists, metrics": (
        of_lists,
        [[ONE, TWO], ONE],
        None,
        {"loss": "mse", "metrics": [[["mae"], ["mse"]], ["mae"]]},
    ),
    "subclass": (subclass, OWN, None, {"loss": "mse"}),
    "subclass, a loss each": (subclass, OWN, None, {"loss": {"a": {"b": "mse"}, "c": ("mae",)}}),
    "model in a model": (inside, {"k": [ONE, TWO], "z": ONE}, None, {"loss": "mse"}),
    "shorter list": (listed, [ONE, TWO], None, {"loss": ["mse"]}),
    "list with None": (listed, [ONE, TWO], None, {"loss": ["mse", None]}),
    "lists in a list": (listed, [ONE, TWO], None, {"loss": [["mse"], ["mae"]]}),
    "list for a dict": (flat, FLAT, None, {"loss": ["mse", "mae"]}),
    "lists in a dict": (flat, FLAT, None, {"loss": {"p": ["mse"], "q": ["mae"]}}),
    "a loss of a part": (functional, NESTED, None, {"loss": {"a": apart, "z": "mse"}}),
    "and of one in it": (functional, NESTED, None, {"loss": {"a": [apart, {"b": "mse"}]}}),
    "a loss of a list": (of_lists, [[ONE, TWO], ONE], None, {"loss": [apart, "mse"]}),
    "ours of a tuple": (subclass, OWN, None, {"loss": {"c": "mse"}}),
    "a loss of all": (flat, FLAT, None, {"loss": [apart]}),
    "weights of parts": (
        flat,
        FLAT,
        None,
        {"loss": [apart, {"p": "mse", "q": "mae"}], "loss_weights": [0.5, {"p": 2.0, "q": 3.0}]},
    ),
    "two of one": (two_of_one, [ONE, ONE], None, {"loss": ["mse", "mae"]}),
    "own loss": (own_loss, [ONE, TWO], None, {"loss": ["mse", "mae"]}),
    "metrics for a dict": (flat, FLAT, None, {"loss": "mse", "metrics": [["mae"], ["mse"]]}),
    "one metric of a dict": (flat, FLAT, None, {"loss": "mse", "metrics": {"p": "mae"}}),
}


def logs(k: Any, case: str) -> list[dict[str, float]]:
    make, y, weights, arguments = CASES[case]
    model = make(k)
    model.compile("sgd", run_eagerly=True, **arguments)  # faster than to trace it
    found = [
        {
            n: v[0]
            for n, v in model.fit(
                X, y, sample_weight=weights, shuffle=False, verbose=0
            ).history.items()
        }
    ]
    found.append(model.evaluate(X, y, sample_weight=weights, verbose=0, return_dict=True))
    if weights is None:
        found.append(model.train_on_batch(X, y, return_dict=True))

        def endless() -> Any:
            while True:
                yield X, y

        history = model.fit(endless(), steps_per_epoch=2, shuffle=False, verbose=0).history
        found.append({name: values[0] for name, values in history.items()})
    return [{name: float(value) for name, value in one.items()} for one in found]


@pytest.mark.parametrize("case", CASES)
def test_logs(case: str) -> None:
    ours, theirs = logs(densekit, case), logs(keras, case)
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=2e-4)


@pytest.mark.parametrize("make", [functional, of_lists, subclass, inside])
def test_outputs_keep_their_structure(make: Any) -> None:
    shapes = []
    for k in BOTH.values():
        model = make(k)
        methods = (model, model.predict_on_batch, lambda x, m=model: m.predict(x, verbose=0))
        shapes.append([k.tree.map_structure(lambda a: tuple(a.shape), m(X)) for m in methods])
    assert shapes[0] == shapes[1]


def test_dicts_of_predictions_are_in_the_order_of_keras() -> None:
    """It sorts the keys of what `predict` gives; a call of the model keeps them."""
    orders = []
    for k in BOTH.values():
        x = k.Input((3,))
        inner = {"y": dense(k, 1, "d1")(x), "a": dense(k, 1, "d2")(x)}
        model = k.Model(x, {"z": dense(k, 1, "d3")(x), "b": inner})
        given = [model(X), model.predict_on_batch(X), model.predict(X, batch_size=7, verbose=0)]
        orders.append([(list(one), list(one["b"])) for one in given])
    assert orders[0] == orders[1]


REFUSED: dict[str, Any] = {
    "metrics for all": lambda k: compiled(k, metrics=["mae"]),
    "metrics by names": lambda k: compiled(k, metrics={"d1": ["mae"], "d2": [], "d3": []}),
    "some metrics": lambda k: compiled(k, metrics={"a": {"b": ["mae"]}}),
    "missing targets": lambda k: compiled(k, y={"a": {"b": ONE}, "z": ONE}),
    "unknown targets": lambda k: compiled(k, y={**NESTED, "q": ONE}),
}


def compiled(k: Any, y: Any = NESTED, **arguments: Any) -> None:
    model = functional(k)
    model.compile("sgd", "mse", **arguments)
    model.fit(X, y, verbose=0)


@pytest.mark.parametrize("name", REFUSED)
def test_error_type_is_that_of_keras(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        REFUSED[name](keras)
    with pytest.raises(theirs.type):
        REFUSED[name](densekit)


def summed(k: Any, structure: Any) -> Any:
    class Sum(k.layers.Layer):
        def call(self, a: Any, b: Any = None) -> Any:
            return a if b is None else a + b

        def compute_output_shape(self, a_shape: Any, b_shape: Any = None) -> Any:
            return a_shape

    a, b = k.Input((3,), name="a"), k.Input((3,), name="b", optional=True)
    model = k.Model(structure(a, b), dense(k, 1, "d")(Sum()(a, b)))
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=True)
    return model


@pytest.mark.parametrize("structure", [lambda a, b: {"a": a, "b": b}, lambda a, b: [a, b]])
def test_optional_inputs(structure: Any) -> None:
    numbers = []
    for k in BOTH.values():
        model, found = summed(k, structure), []
        for second in (X, None, X):
            x = structure(X, second)
            history = model.fit(x, ONE, batch_size=8, shuffle=False, verbose=0).history
            found += [history["loss"][0], history["mae"][0]]
            found += model.evaluate(x, ONE, verbose=0)
            found += np.asarray(model(x)).ravel().tolist()
            found += model.predict(x, batch_size=7, verbose=0).ravel().tolist()
            found += [float(v) for v in model.train_on_batch(x, ONE)]
            found += np.asarray(model.predict_on_batch(x)).ravel().tolist()
        numbers.append(found)
    np.testing.assert_allclose(*numbers, rtol=1e-4)


def test_inputs_that_are_not_optional_are_asked_for() -> None:
    for k in BOTH.values():
        a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
        model = k.Model([a, b], k.layers.Add()([a, b]))
        with pytest.raises(ValueError, match=r"not optional|recognized"):
            model([X, None])


def weighted(k: Any, source: str, **arguments: Any) -> float:
    labels = (np.arange(20) % 2).astype("float32")

    class Batches(k.utils.PyDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> Any:
            rows = slice(10 * i, 10 * i + 10)
            return (X[rows], labels[rows], *arguments.get("more", ()))

    x = k.Input((3,))
    model = k.Model(x, dense(k, 1, "d")(x))
    model.compile("sgd", "mse")
    data = (Batches(),) if source == "batches" else (X, labels)
    options = {"class_weight": {0: 1.0, 1: 5.0}, "shuffle": False, "verbose": 0}
    return float(
        model.fit(*data, batch_size=10 if len(data) > 1 else None, **options).history["loss"][0]
    )


def test_class_weights_of_streams() -> None:
    ours = weighted(densekit, "batches")
    assert ours == pytest.approx(weighted(keras, "batches"), rel=1e-5)
    assert ours == pytest.approx(weighted(densekit, "arrays"), rel=1e-6)
    for k in BOTH.values():
        with pytest.raises(ValueError, match="class_weight"):
            weighted(k, "batches", more=(np.ones(10),))


@pytest.mark.parametrize("outputs", ["pq", "qp", ["p", "q"]], ids=["p-q", "q-p", "a list"])
@pytest.mark.parametrize("losses", ["pq", "qp"])
def test_single_losses_come_in_the_order_of_the_dict_of_losses(outputs: Any, losses: str) -> None:
    found = []
    for k in BOTH.values():
        x = k.Input((3,))
        made = {"p": dense(k, 1, "p")(x), "q": dense(k, 2, "q")(x)}
        is_list = isinstance(outputs, list)
        model = k.Model(x, list(made.values()) if is_list else {n: made[n] for n in outputs})
        given = {"p": "mse", "q": "mae"}
        model.compile("sgd", {name: given[name] for name in losses})
        values = model.evaluate(X, [ONE, TWO] if is_list else FLAT, verbose=0)
        found.append((model.metrics_names, values))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)


def test_a_loss_of_a_part_takes_one_weight_for_each_row() -> None:
    model = flat(densekit)
    model.compile("sgd", [apart])
    found = [
        model.evaluate(X, FLAT, sample_weight=weights, verbose=0)
        for weights in (WEIGHTS, {"p": WEIGHTS, "q": WEIGHTS})
    ]
    y = [
        abs(a - b)[:, 0]
        for a, b in zip(model.predict(X, verbose=0).values(), (ONE, TWO), strict=True)
    ]
    assert found == pytest.approx([np.mean(WEIGHTS * sum(y))] * 2, rel=1e-5)
    with pytest.raises(ValueError, match="one weight for each sample"):
        model.evaluate(X, FLAT, sample_weight={"p": WEIGHTS, "q": WEIGHTS + 1}, verbose=0)


def test_losses_are_nested_as_the_outputs_are() -> None:
    for k in BOTH.values():
        model = functional(k)
        model.compile("sgd", {"a": {"b": "mse"}, "z": {"d": "mae"}}, run_eagerly=True)
        with pytest.raises(KeyError, match="loss"):
            model.fit(X, NESTED, verbose=0)
