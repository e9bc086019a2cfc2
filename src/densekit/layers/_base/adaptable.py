"""`Adaptable`: layers whose main weight may be corrected by LoRA or kept in fewer bits.

What that means is written in the room `adapt`; here is what such a layer lets it do.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from densekit import adapt
from densekit._core.errors import message
from densekit._core.registry import public_name
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, Store
from densekit._core.variable import Variable
from densekit.layers._base.layer import Layer


class Adaptable(Layer):
    """Base of `Dense`, `EinsumDense` and `Embedding`.

    Attributes:
        quantization_config: what `quantize` was told, or is to do in a quantized policy.
        lora_enabled: whether a product of low rank is added to the weight.
    """

    _dk_weight: ClassVar[str] = "kernel"  # public name of the weight; the variable is private
    _dk_weight_kind: ClassVar[str] = "kernel"  # what `adapt` takes it for
    _dk_others: ClassVar[tuple[str, ...]] = ("bias",)  # further weights, in the order of files

    lora_enabled: bool
    lora_rank: int | None
    lora_alpha: float | None

    def _dk_take_options(
        self, lora_rank: int | None, lora_alpha: float | None, quantization_config: object
    ) -> None:
        """Note what the constructor was given."""
        if isinstance(quantization_config, dict):
            quantization_config = deserialize_keras_object(quantization_config)
        self.lora_rank = lora_rank
        self.lora_alpha = lora_rank if lora_alpha is None else lora_alpha
        self.lora_enabled = False
        self.quantization_config = quantization_config

    def _dk_add_weight(self, shape: tuple[int, ...], initializer: object) -> None:
        """In `build`: the weight, as the policy has it."""
        name = self._dk_weight
        if self.quantization_mode is not None:
            adapt.build_quantized(self, shape)
            return
        weight = self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
        )
        setattr(self, f"_{name}", weight)

    def _dk_built_weight(self) -> None:
        """At the end of `build`: LoRA, if the constructor asked for it."""
        if self.lora_rank:
            self.built = True
            adapt.enable_lora(self, self.lora_rank, self.lora_alpha, "he_uniform", "zeros")

    def _dk_use(self) -> adapt.Use:
        """What the layer does with its weight."""
        raise NotImplementedError

    def _dk_shown_weight(self) -> Any:
        """What `kernel` or `embeddings` reads as: a variable, or a tensor made of several."""
        if not self.built:
            name = self._dk_weight
            raise AttributeError(f"You must build the layer before accessing `{name}`.")
        form = self._dk_form
        return getattr(self, f"_{self._dk_weight}") if form is None else form.weight()

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: object = "he_uniform",
        b_initializer: object = "zeros",
    ) -> None:
        """Freeze the layer's matrix and train a correction of low rank that is added to it.

        ``weight + (lora_alpha / rank) * A @ B``. Files hold the sum.

        Args:
            rank: columns of A and rows of B, an integer >= 1.
            lora_alpha: strength of the correction. Default: `rank`.
            a_initializer: distribution of the initial A. Default: ``"he_uniform"``.
            b_initializer: distribution of the initial B. Default: ``"zeros"``: outputs are as
                before until it is trained.

        Raises:
            ValueError: if the layer is not built, has LoRA already or a constraint on the matrix.

        Example:

        >>> import densekit as keras
        >>> layer = keras.layers.Dense(64)
        >>> layer.build((None, 784))
        >>> layer.enable_lora(4)
        >>> [(v.name, v.shape) for v in layer.trainable_weights]
        [('bias', (64,)), ('lora_kernel_a', (784, 4)), ('lora_kernel_b', (4, 64))]

        Reference: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022),
        equation 3.
        """
        adapt.enable_lora(self, rank, lora_alpha, a_initializer, b_initializer)

    def _dk_low_rank(self) -> tuple[Variable, Variable]:
        name = self._dk_weight
        return getattr(self, f"lora_{name}_a"), getattr(self, f"lora_{name}_b")

    @property
    def _dk_lora_scale(self) -> float:
        assert self.lora_rank is not None and self.lora_alpha is not None
        return self.lora_alpha / self.lora_rank

    def _dk_other_variables(self) -> dict[str, Variable]:
        """The weights that forms leave alone, by name."""
        found = {name: getattr(self, name, None) for name in self._dk_others}
        return {name: v for name, v in found.items() if v is not None}

    def _dk_config_of_forms(self) -> Config:
        """What `get_config` says of them, in Keras' order."""
        config: Config = {"quantization_config": serialize_keras_object(self.quantization_config)}
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return config

    def _dk_quantize(self, config: Any, type_check: bool) -> None:
        if type_check and public_name(type(self)) is None:
            super()._dk_quantize(config, type_check)  # a subclass may have changed the formula
        adapt.quantize_weight(self, config)

    def save_own_variables(self, store: Store) -> None:
        """Write the layer's own weights to `store` under "0", "1", ...; LoRA is merged."""
        if self._dk_form is None:
            super().save_own_variables(store)
            return
        for index, value in enumerate(self._dk_form.stored().values()):
            store[str(index)] = value

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote; a correction begins anew, at nothing.

        Raises:
            ValueError: if the number of values is not the number of own weights.
        """
        form = self._dk_form
        if form is None:
            super().load_own_variables(store)
            return
        names = [*form.stored()]
        if len(store.keys()) != len(names):
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    f"{len(names)} variables {names}",
                    f"{len(store.keys())} in the file",
                    "The file belongs to another layer.",
                )
            )
        private = {self._dk_weight: f"_{self._dk_weight}"}
        variables = [getattr(self, private.get(name, name)) for name in names]
        values = [store[str(index)] for index in range(len(variables))]
        self._dk_check_values("load_own_variables", variables, values)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for factor in self._dk_low_rank() if self.lora_enabled else ():
            factor.assign(np.zeros(factor.shape, np.float32))
