"""`plot_model` and `model_to_dot`: what is drawn, where, and in which formats."""

from __future__ import annotations

import re
import struct
import sys
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest

import densekit as keras
from densekit.utils._plotting.diagram import Shown, diagram_of
from densekit.utils._plotting.layout import lay_out
from densekit.utils._plotting.lines import STYLES

layers = keras.layers
DIRECTIONS = ("TB", "BT", "LR", "RL")
SVG = "{http://www.w3.org/2000/svg}"


def sequential() -> Any:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "relu", name="first"), layers.Dense(2, name="second")],
        name="stack",
    )


def branched() -> Any:
    """Two inputs, a layer that is called twice, nested models and a long way past them."""
    x, z = keras.Input((4,), name="x"), keras.Input((2,), name="z")
    stack = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="a"), layers.Dense(3, name="b")], name="stack"
    )
    inner = keras.Input((8,), name="inner")
    sub = keras.Model(inner, [layers.Dense(3, name="c")(inner), stack(inner)], name="sub")
    shared = layers.Dense(8, name="shared")
    hidden = layers.Dense(8, "tanh", name="hidden")(x)
    parts = sub(shared(layers.ReLU(name="relu")(shared(hidden))))
    joined = layers.Concatenate(name="joined")([*parts, z, hidden])
    out = layers.Dense(1, name="out")(joined * 2.0)
    return keras.Model([x, z], [out, layers.Dense(2, name="other")(hidden)], name="whole")


def arrows(dot: Any) -> set[tuple[str, str]]:
    found = {(edge.get_source(), edge.get_destination()) for edge in dot.get_edges()}
    return found.union(*(arrows(part) for part in dot.get_subgraphs()))


def labels(dot: Any) -> list[str]:
    own = [re.sub("<[^>]*>", "", node.get("label")[1:-1]) for node in dot.get_nodes()]
    return own + [label for part in dot.get_subgraphs() for label in labels(part)]


def test_stacks_are_chains() -> None:
    dot = keras.utils.model_to_dot(sequential())
    assert labels(dot) == ["first (Dense)", "second (Dense)"]
    assert arrows(dot) == {('"stack/first"', '"stack/second"')}
    assert dot.get_name() == '"stack"'


def test_graphs_are_their_calls() -> None:
    dot = keras.utils.model_to_dot(branched())
    assert len(labels(dot)) == 10
    pairs = {tuple(end.strip('"').removeprefix("whole/") for end in way) for way in arrows(dot)}
    assert {("hidden", "shared"), ("shared", "relu"), ("relu", "shared"), ("shared", "sub")} < pairs
    assert {("sub", "joined"), ("z", "joined"), ("hidden", "joined"), ("hidden", "other")} < pairs
    assert len(pairs) == 11


def test_nested_models_are_groups() -> None:
    dot = keras.utils.model_to_dot(branched(), expand_nested=True)
    (sub,) = dot.get_subgraphs()
    (stack,) = sub.get_subgraphs()
    assert stack.get_name() == '"cluster_whole/sub/stack"'
    assert labels(stack) == ["a (Dense)", "b (Dense)"]
    pairs = {tuple(end.strip('"').removeprefix("whole/") for end in way) for way in arrows(dot)}
    assert {("shared", "sub/inner"), ("sub/inner", "sub/c"), ("sub/inner", "sub/stack/a")} < pairs
    assert {("sub/c", "joined"), ("sub/stack/b", "joined"), ("sub/stack/a", "sub/stack/b")} < pairs
    text = dot.to_string()
    assert text.count("subgraph") == 2
    assert text.count("{") == text.count("}") == 3


def test_what_boxes_tell() -> None:
    model = sequential()
    model.layers[0].trainable = False
    text = labels(
        keras.utils.model_to_dot(
            model,
            show_shapes=True,
            show_dtype=True,
            show_layer_names=False,
            show_layer_activations=True,
            show_trainable=True,
        )
    )
    assert text[0] == (
        "DenseActivation: reluInput shape: (None, 4)Output shape: (None, 3)Output dtype: float32"
        "Non-trainable"
    )
    assert text[1].endswith("Trainable")
    parts = labels(keras.utils.model_to_dot(branched(), show_shapes=True))
    assert "x (InputLayer)Output shape: (None, 4)" in parts
    joined = next(part for part in parts if part.startswith("joined"))
    assert "Input shape: (None, 3), (None, 3), (None, 2), (None, 8)" in joined


def test_models_that_are_no_graph_are_one_box() -> None:
    class Own(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    model = Own(name="own")
    model(keras.ops.ones((1, 2)))
    assert labels(keras.utils.model_to_dot(model)) == ["own (Own)"]


@pytest.mark.parametrize("rankdir", DIRECTIONS)
@pytest.mark.parametrize("expand", [False, True])
def test_places(rankdir: str, expand: bool) -> None:
    diagram = diagram_of(branched(), Shown(shapes=True), expand)
    picture = lay_out(diagram, rankdir)
    boxes = list(picture.boxes.values())
    assert len(boxes) == (13 if expand else 10)
    for place in boxes:
        assert -1e-6 <= place.x <= place.x + place.width <= picture.width + 1e-6
        assert -1e-6 <= place.y <= place.y + place.height <= picture.height + 1e-6
    for a, b in combinations(boxes, 2):
        apart = (
            a.x + a.width <= b.x
            or b.x + b.width <= a.x
            or a.y + a.height <= b.y
            or b.y + b.height <= a.y
        )
        assert apart
    for name, group in picture.groups.items():
        for inside, place in picture.boxes.items():
            within = (
                group.x <= place.x
                and place.x + place.width <= group.x + group.width
                and group.y <= place.y
                and place.y + place.height <= group.y + group.height
            )
            assert within is inside.startswith(name + "/")
    sources = picture.boxes["whole/x"], picture.boxes["whole/joined"]
    along = [place.x if rankdir in ("LR", "RL") else place.y for place in sources]
    assert (along[0] < along[1]) is (rankdir in ("TB", "LR"))
    for way in picture.arrows:
        for x, y in (way[0], way[-1]):
            assert any(
                place.x - 1e-6 <= x <= place.x + place.width + 1e-6
                and place.y - 1e-6 <= y <= place.y + place.height + 1e-6
                for place in boxes
            )


def test_deep_models_are_drawn() -> None:
    x = first = keras.Input((2,))
    for _ in range(300):
        x = layers.ReLU()(x)
    picture = lay_out(diagram_of(keras.Model(first, x), Shown(), False), "TB")
    assert len(picture.boxes) == 301
    assert len({round(place.x + place.width / 2, 3) for place in picture.boxes.values()}) == 1


@pytest.mark.parametrize("splines", STYLES)
@pytest.mark.parametrize("rankdir", DIRECTIONS)
def test_svg(splines: str, rankdir: str, tmp_path: Any) -> None:
    path = tmp_path / "model.svg"
    keras.utils.plot_model(
        branched(), path, show_layer_names=True, rankdir=rankdir, splines=splines
    )
    root = ElementTree.fromstring(path.read_text())
    assert root.tag == f"{SVG}svg"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert sorted(texts)[:3] == ["hidden (Dense)", "joined (Concatenate)", "multiply (Multiply)"]
    assert len(list(root.iter(f"{SVG}path"))) == len(list(root.iter(f"{SVG}polygon"))) == 11
    paths = " ".join(shape.attrib["d"] for shape in root.iter(f"{SVG}path"))
    assert ("C" in paths) is (splines in ("curved", "spline"))


def test_names_are_escaped(tmp_path: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, name='a<b> & "c"')], name="<m>")
    keras.utils.plot_model(model, tmp_path / "model.svg", show_layer_names=True)
    root = ElementTree.fromstring((tmp_path / "model.svg").read_text())
    assert any('a<b> & "c"' in "".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    assert '\\"c\\"' in keras.utils.model_to_dot(model).to_string()


def test_the_same_model_is_the_same_file(tmp_path: Any) -> None:
    keras.utils.clear_session()
    one = keras.utils.model_to_dot(branched()).create("svg")
    keras.utils.clear_session()
    assert keras.utils.model_to_dot(branched()).create("svg") == one


def test_formats(tmp_path: Any) -> None:
    model = branched()
    for name, start in (
        ("a.html", b"<!DOCTYPE html>"),
        ("a.dot", b"digraph"),
        ("a.gv", b"digraph"),
        ("a.PNG", b"\x89PNG"),
        ("a.pdf", b"%PDF"),
        ("a", b"\x89PNG"),
    ):
        assert keras.utils.plot_model(model, str(tmp_path / name), expand_nested=True) is None
        assert (tmp_path / name).read_bytes().startswith(start)
    dot = keras.utils.model_to_dot(model)
    dot.write_svg(tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_bytes() == dot.create_svg() == dot.create("svg")
    with pytest.raises(ValueError, match="xyz"):
        keras.utils.plot_model(model, tmp_path / "a.xyz")
    with pytest.raises(AttributeError, match="to_string"):
        dot.set_rankdir("LR")


def test_dpi(tmp_path: Any) -> None:
    widths = []
    for dpi in (50, 100):
        keras.utils.plot_model(sequential(), tmp_path / "a.png", dpi=dpi)
        widths.append(struct.unpack(">I", (tmp_path / "a.png").read_bytes()[16:20])[0])
    assert widths[1] == pytest.approx(2 * widths[0], abs=2)


def test_svg_needs_no_matplotlib(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    keras.utils.plot_model(sequential(), tmp_path / "a.svg")
    with pytest.raises(ImportError, match=r"\.svg"):
        keras.utils.plot_model(sequential(), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [{"rankdir": "UP"}, {"splines": "wavy"}, {"layer_range": ["a"]}, {"show_names": True}],
)
def test_other_arguments_are_refused(arguments: Any, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="model_to_dot"):
        keras.utils.model_to_dot(sequential(), **arguments)
    with pytest.raises(ValueError, match="model_to_dot"):
        keras.utils.plot_model(sequential(), tmp_path / "a.svg", **arguments)


def test_models_must_be_built() -> None:
    with pytest.raises(ValueError, match="not yet been built"):
        keras.utils.model_to_dot(keras.Sequential([layers.Dense(1)]))
