"""What Keras' own tests may import and not use: a test that does is skipped, with the reason."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest
from keras_tf_data import Dataset


class Outside(pytest.skip.Exception):
    """The test is about something that densekit leaves out, or about Keras' private parts."""

    def __init__(self, why: str) -> None:
        super().__init__(why, allow_module_level=True)


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
        if not _is_test(asking):
            return type(name, (), {})  # a library asks whether something is a tensor of it
        return self._end()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self._end()

    def __len__(self) -> int:
        return 0  # of its devices

    def __iter__(self) -> Any:
        return iter(()) if collecting() else self._end()

    def __instancecheck__(self, _: Any) -> bool:
        return bool(self._end())

    def __mro_entries__(self, _: Any) -> tuple[type, ...]:
        return () if collecting() else self._end()

    def _end(self) -> Any:
        if collecting():
            return self
        raise Outside(self._why)


def _is_test(file: str) -> bool:
    return "keras-tests" in file or file.endswith("_test.py")


class Available(ModuleType):
    """A library of Keras' that is asked about, not used."""

    available = True


def Framework(name: str) -> Missing:
    """A framework that is not there, but for TensorFlow's data sets."""
    made = Missing(f"needs {name.partition('.')[0]}", name)
    if name == "tensorflow":
        made.data = Framework("tensorflow.data")
    elif name == "tensorflow.data":
        made.Dataset, made.AUTOTUNE = Dataset, -1
    return made


def collecting() -> bool:
    """Whether a test file is being imported: nothing ends then."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.endswith("_test.py"):
            return True
        frame = frame.f_back
    return False


def _absent(name: str) -> Missing:
    """An attribute of a data set that is not made here; libraries may ask for it in vain."""
    if name.startswith("_") or not _is_test(sys._getframe(2).f_code.co_filename):
        raise AttributeError(name)
    return missing(f"needs tensorflow's Dataset.{name}")


def missing(why: str) -> Missing:
    """To be imported, not to be used."""
    if collecting():
        return Missing(why)
    raise Outside(why)


Dataset.absent = staticmethod(_absent)
