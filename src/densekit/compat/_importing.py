"""What ``import keras`` and ``import tensorflow`` find after `install`."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

from densekit._core.errors import message
from densekit.compat._old_methods import let_models_have_old_methods
from densekit.compat._old_names import OLD_HOMES, let_rooms_have_old_names
from densekit.compat._results import let_results_tell_numpy
from densekit.ops._gradient import let_numpy_read_boxes

_PACKAGE = __name__.partition(".")[0]
_TENSORFLOW = f"{_PACKAGE}.compat.tensorflow"
_MODULES = ("config", "dtypes", "linalg", "math", "nn", "random", "test", "version")
_NAMES = ("keras", "tf_keras", "tensorflow")


def install() -> None:
    """Let ``import keras`` and ``import tensorflow as tf`` mean densekit in this process.

    ``keras``, ``tensorflow.keras`` and their modules are densekit's own. Of ``tensorflow`` there is
    what maps one to one onto densekit: `GradientTape`, `function`, `Variable`, `constant`, `cast`,
    arithmetic, `math`, `nn`, `random`; anything else raises one sentence that names it.
    ``python -m densekit script.py ...`` does the same for a whole script.

    Raises:
        RuntimeError: if Keras or TensorFlow themselves have been imported before.

    Example:

    >>> import densekit
    >>> densekit.install()  # doctest: +SKIP
    >>> from tensorflow import keras  # doctest: +SKIP
    >>> keras is densekit  # doctest: +SKIP
    True
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in _NAMES:
        if name in sys.modules:
            raise RuntimeError(
                message(
                    "densekit.install",
                    f"a process that has not imported {name!r} yet",
                    f"one with {getattr(sys.modules[name], '__file__', name)!r}",
                    "Call it before anything imports Keras or TensorFlow.",
                )
            )
    let_results_tell_numpy()
    let_numpy_read_boxes()
    let_rooms_have_old_names(_loaded)
    let_models_have_old_methods()
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds densekit's modules under the names of Keras and TensorFlow."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in _NAMES:
            return None
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(_our_name(fullname)), is_package=True
        )


class _Loader(importlib.abc.Loader):
    """Puts one of our modules in the place of the module that is imported."""

    def __init__(self, ours: str) -> None:
        self._ours = ours

    def exec_module(self, module: ModuleType) -> None:
        # The import system hands on what lies in `sys.modules` afterwards.
        sys.modules[module.__name__] = importlib.import_module(self._ours)


def _our_name(fullname: str) -> str:
    """The module of ours that stands for one of Keras' or TensorFlow's."""
    first, _, rest = fullname.partition(".")
    if first == "tensorflow":
        if rest in ("", "python"):
            return _TENSORFLOW
        rest = rest.removeprefix("python.")  # where its own sources had Keras
        second, _, rest = rest.partition(".")
        if second in _MODULES and not rest:
            return f"{_TENSORFLOW}.{second}"
        if second != "keras":
            raise _no_module(fullname)
    if any(part.startswith("_") for part in rest.split(".")):
        raise _no_module(fullname)
    rest = rest.removeprefix("api.").removeprefix("_v2.keras.").removeprefix("_v1.keras.")
    rest = OLD_HOMES.get("" if rest == "api" else rest, "" if rest == "api" else rest)
    ours = f"{_PACKAGE}.{rest}" if rest else _PACKAGE
    try:
        found = importlib.util.find_spec(ours)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise _no_module(fullname)
    return ours


def _loaded(place: str) -> object:
    """What lies at ``"room"`` or ``"room:name"``."""
    room, _, name = place.partition(":")
    module = importlib.import_module(f"{_PACKAGE}.{room}")
    return getattr(module, name) if name else module


def _no_module(fullname: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        message(
            f"import of {fullname!r} under densekit",
            "a module for dense networks",
            "one that densekit has not",
            "Run the script without `densekit`, or do without that module.",
        ),
        name=fullname,
    )
