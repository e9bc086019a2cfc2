"""Modules that answer to the names of Keras' sources with what densekit has.

Keras' own tests import from where Keras keeps a thing (`keras.src.layers.core.dense`). Which public
name that is, Keras' `api` folder says; densekit is asked for it by that name. What has none is
private to Keras, and a test that reaches for it is no test of behaviour: it is skipped.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import densekit
from densekit._core.absent import reason
from densekit.models._parts import Parts

# Frameworks that are not installed beside densekit: a test that asks one of them for anything ends.
FRAMEWORKS = ("tensorflow", "torch", "openvino", "grain", "flax", "tensorflow_io", "dmtree", "tree")
# Rooms in which the public functions lie that Keras' tests call by their private homes.
_HOMES = {
    "backend.numpy": ["ops.numpy", "ops"],
    "backend.nn": ["ops.nn", "ops"],
    "backend.math": ["ops"],
    "backend.linalg": ["ops.linalg", "ops"],
    "backend.core": ["ops", "backend", ""],
    "backend.random": ["random"],
    "backend.config": ["config"],
    "backend.common": ["backend", ""],
    "backend": ["backend", "ops", "config", ""],
    "ops.random": ["random"],
    "utils.io_utils": ["config", "utils"],
    "utils.traceback_utils": ["config"],
    "utils.summary_utils": ["models"],
    "saving": ["saving", "utils"],
    "tree": ["tree"],
    "": ["", "models"],
}


class Outside(pytest.skip.Exception):
    """The test is about something that densekit leaves out, or about Keras' private parts."""

    def __init__(self, why: str) -> None:
        super().__init__(why, allow_module_level=True)


def _specials(backend: str) -> dict[str, dict[str, Any]]:
    """Private names of Keras' that its tests of behaviour need, and what stands for them."""

    def named() -> str:
        """The name of the backend. One in brackets is told to the bodies of classes alone."""
        if backend.startswith("("):
            return backend.strip("()") if _collecting() else "densekit"
        return backend

    masks = importlib.import_module("densekit._core.masks")
    shapes = {
        "standardize_shape": lambda shape: densekit.KerasTensor(shape).shape,
    }
    common = {
        "set_keras_mask": masks.set_mask,
        "get_keras_mask": masks.mask_of,
        "any_symbolic_tensors": lambda args=(), kwargs=None: densekit.ops.any_symbolic(
            args, kwargs or {}
        ),
        **shapes,
    }
    flags = {
        "SUPPORTS_SPARSE_TENSORS": False,
        "SUPPORTS_RAGGED_TENSORS": False,
        "SUPPORTS_COMPLEX_DTYPES": True,
        "IS_THREAD_SAFE": True,
        "DYNAMIC_SHAPES_OK": True,
    }
    return {
        "backend": {
            **common,
            **flags,
            "compute_output_spec": densekit.ops.compute_output_spec,
            "backend": named,
        },
        "backend.config": {"backend": named},
        "backend.tensorflow.trainer": {"TensorFlowTrainer": Trainer},
        "backend.common": common,
        "backend.common.keras_tensor": common,
        "backend.common.masking": common,
        "backend.common.variables": common,
        "utils.module_utils": {
            **{name: Framework(name) for name in FRAMEWORKS},
            "optree": _Available("optree"),
        },
        "utils.file_utils": {
            name: getattr(os.path if hasattr(os.path, name) else os, name)
            for name in ("join", "exists", "isdir", "listdir", "makedirs")
        }
        | {"hash_file": _hash_file},
        "layers": {"IndexLookup": _index_lookup},
        "saving.saving_lib": {
            "save_weights_only": lambda model, path, **kw: model.save_weights(path, **kw),
            "load_weights_only": lambda model, path, **kw: model.load_weights(path, **kw),
        },
        "utils.io_utils": {"set_logging_verbosity": lambda _: None},
        "legacy.saving.legacy_h5_format": {
            "save_model_to_hdf5": lambda model, file, **kw: model.save(file, **kw),
            "load_model_from_hdf5": densekit.saving.load_model,
        },
        "utils": {"removesuffix": str.removesuffix, "removeprefix": str.removeprefix},
        "utils.python_utils": {"removesuffix": str.removesuffix},
    }


def _index_lookup(vocabulary_dtype: str, **kwargs: Any) -> Any:
    """What Keras' lookups have in common, of which the public ones are two cases."""
    kind = "StringLookup" if vocabulary_dtype == "string" else "IntegerLookup"
    if kind == "IntegerLookup":
        kwargs["vocabulary_dtype"] = vocabulary_dtype
    return getattr(densekit.layers, kind)(**kwargs)


def _hash_file(path: Any, algorithm: str = "sha256") -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5" if algorithm == "md5" else "sha256").hexdigest()


class Trainer(densekit.Model):  # type: ignore[misc]
    """For classes that mix a `Trainer` into a layer, as Keras' own `Model` does."""

    _OF_LAYER = ("call", "build", "compute_output_shape", "get_config", "from_config")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        mixed = {Trainer, *densekit.Model.__mro__} - {*densekit.Layer.__mro__}
        layers = [base for base in cls.__mro__ if base not in mixed]
        for name in cls._OF_LAYER:
            if not any(name in vars(b) for b in cls.__mro__[: cls.__mro__.index(Trainer)]):
                owner = next(base for base in layers[1:] if name in vars(base))
                setattr(cls, name, vars(owner)[name])
        super().__init_subclass__(**kwargs)

    def __init__(self) -> None:
        Parts.__init__(self)


class Missing(ModuleType):
    """What a test file may import, but not use: a test that does ends."""

    available = False

    def __init__(self, why: str, name: str = "missing") -> None:
        super().__init__(name)
        self._why = why
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        asking = sys._getframe(1).f_code.co_filename
        if name.startswith("__"):
            raise AttributeError(name)
        if not ("keras-tests" in asking or asking.endswith("_test.py")):
            return type(name, (), {})  # a library asks whether something is a tensor of it
        return self._end()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._end()

    def __len__(self) -> int:
        return 0  # of its devices

    def __iter__(self) -> Any:
        return iter(()) if _collecting() else self._end()

    def __instancecheck__(self, _: Any) -> bool:
        return bool(self._end())

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return () if _collecting() else self._end()

    def _end(self) -> Any:
        if _collecting():
            return self
        raise Outside(self._why)


class _Available(ModuleType):
    """A library of Keras' that is asked about, not used."""

    available = True


def Framework(name: str) -> Missing:
    """A framework that is not there."""
    return Missing(f"needs {name.partition('.')[0]}", name)


def _collecting() -> bool:
    """Whether a test file is being imported: nothing ends then."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.endswith("_test.py"):
            return True
        frame = frame.f_back
    return False


class StandIns(importlib.abc.MetaPathFinder):
    """Finds `keras` and all below: stand-ins, and Keras' own testing code from its sources."""

    def __init__(self, sources: Path, backend: str) -> None:
        self.sources = sources
        self.public = _public_names(sources / "keras" / "api")
        self.leaves = {name for names in self.public.values() for name in names}
        self.specials = _specials(backend)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        first = fullname.partition(".")[0]
        if fullname == "conftest":
            return importlib.machinery.ModuleSpec(fullname, _Made(_Conftest(fullname)))
        if first in FRAMEWORKS:
            made = _Made(Framework(fullname))
            return importlib.machinery.ModuleSpec(fullname, made, is_package=True)
        if first != "keras":
            return None
        file = self.sources.joinpath(*fullname.split(".")).with_suffix(".py")
        if fullname == "keras.src.testing":
            place = self.sources.joinpath(*fullname.split("."))
            return importlib.util.spec_from_file_location(
                fullname, place / "__init__.py", submodule_search_locations=[str(place)]
            )
        testing = fullname.startswith("keras.src.testing.") or fullname.endswith("_test")
        if testing and file.exists():
            under_test = sys.modules.get(file.stem)
            if under_test is not None:
                return importlib.machinery.ModuleSpec(fullname, _Made(under_test))
            return importlib.util.spec_from_file_location(
                fullname, file, loader=_TestingLoader(fullname, str(file))
            )
        made = _Made(StandIn(fullname, self))
        return importlib.machinery.ModuleSpec(fullname, made, is_package=True)

    def has_module(self, fullname: str) -> bool:
        """Whether Keras has a module of that name."""
        place = self.sources.joinpath(*fullname.split("."))
        return place.is_dir() or place.with_suffix(".py").exists()

    def operation(self, module: str, name: str) -> Any:
        """What stands for a class of `keras.src.ops`: the function of densekit that it applies."""
        function = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        homes = (densekit.ops, densekit.ops.nn, densekit.ops.linalg, densekit.ops.numpy)
        same = {n.replace("_", ""): getattr(home, n) for home in homes for n in dir(home)}
        found = same.get(function.replace("_", ""))
        arguments = _init_arguments(self.sources.joinpath(*module.split(".")).with_suffix(".py"))
        if found is None or name not in arguments:
            return None
        return _operation_class(name, found, arguments[name])


class _Made(importlib.abc.Loader):
    """Hands on a module that exists."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = self._module


class _TestingLoader(importlib.machinery.SourceFileLoader):
    """Loads Keras' testing code, of which one function looks into its layers."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, "get_seed_generators"):
            module.get_seed_generators = _seed_generators  # type: ignore[attr-defined]


def _seed_generators(layer: Any) -> list[Any]:
    """The seed generators of a layer and the layers inside it."""
    parts = densekit.tree.flatten([list(vars(part).values()) for part in layer._flatten_layers()])
    found = {id(part): part for part in parts if isinstance(part, densekit.random.SeedGenerator)}
    return list(found.values())


class _Conftest(ModuleType):
    """What Keras' tests take from the `conftest.py` of its repository."""

    @staticmethod
    def skip_if_backend(backend: str, reason: str) -> pytest.MarkDecorator:
        return pytest.mark.skipif(backend == "densekit", reason=reason)


class StandIn(ModuleType):
    """One module of Keras' sources: each name is densekit's of the same public name."""

    def __init__(self, name: str, finder: StandIns) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = self.__name__
        if full.startswith("keras.src"):
            return self._private(full.removeprefix("keras.src").lstrip("."), name)
        return self._public(full.removeprefix("keras").lstrip("."), name)

    def _public(self, room: str, name: str) -> Any:
        if name == "src":
            return importlib.import_module("keras.src")
        path = f"{room}.{name}".strip(".")
        found = _of_densekit(path)
        if found is None:
            return _absent(path)
        if name == "backend" and not isinstance(found, ModuleType):
            return self._finder.specials["backend"]["backend"]
        if isinstance(found, ModuleType):
            return importlib.import_module(f"keras.{path}")
        return found

    def _private(self, room: str, name: str) -> Any:
        finder = self._finder
        full = f"{self.__name__}.{name}"
        special = finder.specials.get(room, {})
        if name in special:
            return special[name]
        if full == "keras.src.ops.random":
            return importlib.import_module("keras.src.random")
        if room == "utils.module_utils":
            return importlib.import_module(name)
        if finder.has_module(full) or room_exists(room, name):
            return importlib.import_module(full)
        paths = [
            path
            for module, names in finder.public.items()
            if module == self.__name__ or module.startswith(f"{self.__name__}.")
            for path in names.get(name, ())
        ]
        for path in paths:
            found = _of_densekit(path)
            if found is not None:
                return found
        if paths:
            return _absent(min(paths, key=len))
        for home in _homes(room):
            found = _of_densekit(f"{home}.{name}".strip("."))
            if found is not None:
                return found
        constants = _constants(finder.sources.joinpath(*self.__name__.split(".")))
        if name in constants:
            return constants[name]
        if room.startswith("ops.") and name[0].isupper():
            found = finder.operation(self.__name__, name)
            if found is not None:
                return found
        return _missing(f"private to Keras: {self.__name__.removeprefix('keras.src.')}.{name}")


def _missing(why: str) -> Missing:
    """To be imported, not to be used."""
    if _collecting():
        return Missing(why)
    raise Outside(why)


def room_exists(room: str, name: str) -> bool:
    """Whether a stand-in is made for a module that Keras' backends provide."""
    return room == "backend" and f"backend.{name}" in _HOMES


def _homes(room: str) -> list[str]:
    own = room.partition(".")[0]
    while room and room not in _HOMES:
        room = room.rpartition(".")[0]
    return _HOMES.get(room, [own])


def _of_densekit(path: str) -> Any:
    found: Any = densekit
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def _absent(path: str) -> Missing:
    """A public name that is not here: a skip if that is on purpose, else an error."""
    whole = path
    while path:
        around, _, name = path.rpartition(".")
        why = reason(f"densekit.{around}".rstrip("."), name)
        if why:
            return _missing(f"absent: {why}")
        path = around
    raise AttributeError(f"densekit has no {whole}")


def _public_names(api: Path) -> dict[str, dict[str, list[str]]]:
    """For each module of Keras' sources its names with their public paths."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in api.rglob("__init__.py"):
        room = ".".join(file.parent.relative_to(api).parts)
        if room.startswith("_tf_keras"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                for alias in node.names:
                    public = f"{room}.{alias.asname or alias.name}".strip(".")
                    found[node.module][alias.name].append(public)
    return found


@functools.cache
def _constants(module: Path) -> dict[str, Any]:
    """The plain values that a module of Keras' sources gives a name: lists of types, bounds."""
    file = module.with_suffix(".py")
    found: dict[str, Any] = {}
    for node in ast.parse(file.read_text()).body if file.exists() else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


@functools.cache
def _init_arguments(file: Path) -> dict[str, list[str]]:
    """The constructors' arguments of the operations in a module of Keras' sources."""
    found: dict[str, list[str]] = {}
    if not file.exists():
        return found
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            init = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            bases = [found[b.id] for b in node.bases if isinstance(b, ast.Name) and b.id in found]
            own = [[a.arg for a in n.args.args[1:] + n.args.kwonlyargs] for n in init]
            found[node.name] = (own or bases or [[]])[0]
    return found


def _applied(function: Callable[..., Any], tensors: Sequence[Any], options: Any) -> Any:
    """Call a function with options by name, and tensors for its other parameters in order."""
    before = []
    tensors = list(tensors)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL or not tensors:
            break
        if parameter.name in options:
            before.append(options[parameter.name])
            options = {k: v for k, v in options.items() if k != parameter.name}
        else:
            before.append(tensors.pop(0))
    return function(*before, *tensors, **options)


def _operation_class(name: str, function: Callable[..., Any], arguments: list[str]) -> type:
    """A class whose objects apply a function with the options that they were made with."""

    class Applied(densekit.Operation):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            named = options.pop("name", None)
            super().__init__(name=named)
            self.options = {**dict(zip(arguments, given, strict=False)), **options}
            unknown = set(self.options) - set(arguments)
            if unknown:
                raise TypeError(f"{name}.__init__() got an unexpected keyword {unknown}")

        def __getattr__(self, wanted: str) -> Any:
            options = self.__dict__.get("options", {})
            if wanted not in options:
                raise AttributeError(wanted)
            return options[wanted]

        def call(self, *tensors: Any, **more: Any) -> Any:
            return _applied(function, tensors, {**self.options, **more})

        def compute_output_spec(self, *tensors: Any, **more: Any) -> Any:
            return densekit.ops.compute_output_spec(
                lambda *t: _applied(function, t, {**self.options, **more}), *tensors
            )

    Applied.__name__ = Applied.__qualname__ = name
    return Applied


def install(sources: Path, backend: str) -> None:
    """From now on `import keras` finds stand-ins; the tests are told the name of that backend."""
    assert "keras" not in sys.modules, "Keras itself has been imported"
    # What Keras' tests read by a private name.
    densekit.metrics.Metric._dtype = property(lambda metric: metric.dtype)
    sys.meta_path.insert(0, StandIns(sources, backend))
