"""What saving needs of a model: `models.Model` is one."""

from __future__ import annotations

from typing import Protocol

from densekit._core.types import Config
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.optimizers import Optimizer


class SavedModel(Protocol):
    """A layer made of layers, with what it was compiled with."""

    built: bool
    optimizer: Optimizer | None

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def layers(self) -> list[Layer]:
        """What it consists of."""

    @property
    def weights(self) -> list[Variable]:
        """All its weights."""

    @property
    def trainable_weights(self) -> list[Variable]:
        """What training changes."""

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """What calls may assign to, and frozen weights."""

    def get_config(self) -> Config:
        """What it was made from."""

    def get_compile_config(self) -> Config | None:
        """What it was compiled with."""

    def compile_from_config(self, config: Config) -> None:
        """Compile as `get_compile_config` says."""

    @property
    def trainable_variables(self) -> list[Variable]:
        """What training changes."""

    def _dk_state(self, kind: str) -> list[Variable]:
        """Its variables of a kind that checkpoints have, such as ``"optimizer_variables"``."""
