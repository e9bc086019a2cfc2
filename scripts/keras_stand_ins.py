"""Modules that answer to the names of Keras' sources with what densekit has.

Keras' own tests import from where Keras keeps a thing (`keras.src.layers.core.dense`). Which public
name that is, Keras' `api` folder says; densekit is asked for it by that name. What has none is
private to Keras, and a test that reaches for it is no test of behaviour: it is skipped.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras_compiled
import pytest
from keras_missing import Available, Framework, Missing, collecting, missing
from keras_operation_classes import operation_class
from keras_sources import constants, init_arguments, public_names

import densekit
from densekit._core.absent import reason
from densekit._core.variable import autocast_dtype
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


def _specials(backend: str) -> dict[str, dict[str, Any]]:
    """Private names of Keras' that its tests of behaviour need, and what stands for them."""

    def named() -> str:
        """The name of the backend. One in brackets is told to the bodies of classes alone."""
        if backend.startswith("("):
            return backend.strip("()") if collecting() else "densekit"
        return backend

    masks = importlib.import_module("densekit._core.masks")
    shapes = {
        "AutocastScope": _AutocastScope,
        "in_symbolic_scope": lambda: False,  # no loss is tried with symbolic tensors
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
        "backend.common.symbolic_scope": common,
        "utils.module_utils": {
            **{name: Framework(name) for name in FRAMEWORKS},
            "optree": Available("optree"),
        },
        "utils.file_utils": {
            name: getattr(os.path if hasattr(os.path, name) else os, name)
            for name in ("join", "exists", "isdir", "listdir", "makedirs")
        }
        | {"hash_file": _hash_file},
        "layers": {"IndexLookup": _index_lookup},
        "datasets.npz_utils": {
            "load_npz": importlib.import_module("densekit.datasets._fetching").arrays_of,
        },
        "trainers.compile_utils": {
            "CompileLoss": keras_compiled.CompileLoss,
            "CompileMetrics": keras_compiled.CompileMetrics,
        },
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


class _AutocastScope:
    """Variables read in a type, as inside a layer that computes in it."""

    def __init__(self, dtype: str | None) -> None:
        if dtype is not None and not densekit.backend.is_float_dtype(dtype):
            raise ValueError(f"no type of floats: {dtype}")
        self.dtype = dtype

    def __enter__(self) -> None:
        self._token = autocast_dtype.set(self.dtype)

    def __exit__(self, *_: object) -> None:
        autocast_dtype.reset(self._token)


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


class StandIns(importlib.abc.MetaPathFinder):
    """Finds `keras` and all below: stand-ins, and Keras' own testing code from its sources."""

    def __init__(self, sources: Path, backend: str) -> None:
        self.sources = sources
        self.public = public_names(sources / "keras" / "api")
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
        arguments = init_arguments(self.sources.joinpath(*module.split(".")).with_suffix(".py"))
        if found is None or name not in arguments:
            return None
        return operation_class(name, found, arguments[name])


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
        values = constants(finder.sources.joinpath(*self.__name__.split(".")))
        if name in values:
            return values[name]
        if room.startswith("ops.") and name[0].isupper():
            found = finder.operation(self.__name__, name)
            if found is not None:
                return found
        return missing(f"private to Keras: {self.__name__.removeprefix('keras.src.')}.{name}")


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
            return missing(f"absent: {why}")
        path = around
    raise AttributeError(f"densekit has no {whole}")


def install(sources: Path, backend: str) -> None:
    """From now on `import keras` finds stand-ins; the tests are told the name of that backend."""
    assert "keras" not in sys.modules, "Keras itself has been imported"
    # What Keras' tests read by a private name.
    densekit.metrics.Metric._dtype = property(lambda metric: metric.dtype)
    sys.meta_path.insert(0, StandIns(sources, backend))
