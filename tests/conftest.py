"""Shared by every test: Keras on its JAX backend as the reference, seeds fixed."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Each test compiles its own small functions: what XLA would gain them is less than it takes. With
# these flags it takes a fifth of the time. XLA ends the process at a flag that it does not know, so
# all but the first are given to the release alone that they were tried with.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * metadata.version("jaxlib").startswith("0.10."),
)

import numpy as np
import pytest

# A shell starts jobs in the background with Ctrl-C ignored, and Python then installs no handler.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """Every test starts from the same seeds, counts names from zero and shows whole tracebacks."""
    from densekit._core import settings
    from densekit._core.naming import reset_names
    from densekit._core.seeds import set_random_seed

    set_random_seed(1234)
    reset_names()
    settings.put("traceback_filtering", False)
    settings.put("dtype_policy", None)


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Loads a script of the repository, by its path from the root, as a module."""

    def load(path: str) -> ModuleType:
        file = Path(__file__).parents[1] / path
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def native_engine() -> Iterator[None]:
    """The native engine, for what it alone promises, whatever `DENSEKIT_ENGINE` says."""
    from densekit._core import settings

    before = settings.get("engine")
    settings.put("engine", "native")
    yield
    settings.put("engine", before)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of test data."""
    return np.random.default_rng(7)
