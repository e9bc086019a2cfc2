"""What happens around `call`: conversion, checks, building, the training flag, losses, nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import masks, tree
from densekit._core.dtypes import data_dtype, is_float_dtype, table_dtype
from densekit._core.errors import describe, message, returned
from densekit._core.foreign import as_numpy, is_exporter
from densekit._core.frames import hide_internal_frames
from densekit._core.scope import StatelessScope, in_stateless_scope, recording_scope
from densekit._core.tensor import Tensor, give_all, lend, lend_all
from densekit._core.text import as_strings, holds_text
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable, autocast_dtype
from densekit._core.watched import WATCHED, read
from densekit.layers._base.building import BuildOnce, build_lock
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.input_spec import InputSpec, check_input
from densekit.layers._base.losses import LossOwner
from densekit.layers._base.masking import MaskOwner
from densekit.layers._base.shapes import is_tensor
from densekit.layers._base.weights import WeightOwner
from densekit.ops._dispatch import raw
from densekit.ops._keras_tensor import KerasTensor, any_symbolic
from densekit.ops._symbolic import Node, Operation

_numpy_dtype = cache(data_dtype)
_ARRAYS = (np.ndarray, Tensor)


class CallOwner(BuildOnce, WeightOwner, LossOwner, MaskOwner, Operation):
    """The part of `Layer` that is callable."""

    _dk_reads_text = False  # whether strings are what it is for
    _dk_passes_text = False  # whether it takes strings among other things
    activity_regularizer: Callable[..., TensorLike] | None
    autocast: bool
    _input_spec: Any
    _allow_non_tensor_positional_args: bool
    _convert_input_args: bool
    _dk_form: Any
    _dk_makes_mask: bool

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The formula: tensors in, tensors out."""
        raise NotImplementedError(f"Layer {type(self).__name__} does not have a `call` method.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self._check_super_called()
            scope = recording_scope()
            if scope is not None:
                outputs = scope.run(self, args, kwargs)
                if outputs is not NotImplemented:
                    return outputs
            given = (args, kwargs)
            if len(args) == 1 and not kwargs and type(args[0]) in _ARRAYS:
                x = args[0]  # the common case, without a walk over the arguments
                args = (lend(self._dk_convert_array(x) if self._convert_input_args else x),)
                symbolic = False
            else:
                symbolic = any_symbolic(args, kwargs)
                args, kwargs = self._dk_convert_arguments(args, kwargs)
            info = self._dk_call_info
            if self._input_spec is not None:
                self._dk_check_first(args, kwargs)
            outer = call_context.get()
            entry = outer is None or not outer.calling
            training = kwargs.get("training")
            if training is None and "training" not in kwargs:
                inherited = None if entry else outer.training  # type: ignore[union-attr]
                training = info.default_training if inherited is None else inherited
            kwargs.pop("training", None)
            mask = None
            if masks.in_use or kwargs.get("mask") is not None:
                mask = self._dk_take_masks(given, args, kwargs)
            token = call_context.set(CallContext(self, outer, True, training))
            try:
                if not self.built:
                    self._dk_first_call(args, kwargs, symbolic)
                if entry:
                    self._dk_clear_losses()
                if info.has_training and training is not None:
                    kwargs["training"] = training
                outputs = self._dk_run(args, kwargs, symbolic)
                if mask is not None or (self._dk_makes_mask and self.supports_masking):
                    first = args[0] if args else next(iter(kwargs.values()), None)
                    self._dk_pass_mask(first, outputs, mask)
            finally:
                call_context.reset(token)
            if symbolic:
                Node(self, *given, outputs)
            elif entry and not in_stateless_scope():  # what layers hand to each other is lent
                outputs = give_all(outputs)
            return outputs
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_first_call(self, args: Any, kwargs: Any, symbolic: bool) -> None:
        with build_lock:
            if self.built:  # another thread was faster
                return
            names = self._dk_call_info.names
            self._dk_build_for(dict(zip(names, args, strict=False)) | kwargs, symbolic)
        if self._input_spec is not None:  # `build` may have set it
            self._dk_check_first(args, kwargs)

    def _dk_check_first(self, args: Any, kwargs: Any) -> None:
        """Hold the first argument against `input_spec`; without one `call` will complain."""
        spec, name = self._input_spec, self._dk_call_info.names[0]
        plain = args and type(spec) is InputSpec and type(args[0]) in _ARRAYS
        if plain and spec.mismatch(args[0].shape, args[0].dtype) is None:
            return  # the common case, in one step
        if args or name in kwargs:
            first = args[0] if args else kwargs[name]
            check_input(spec, first, f"{type(self).__name__} {self.name!r}")

    def _dk_run(self, args: Any, kwargs: Any, symbolic: bool) -> Any:
        """`call` or, for symbolic inputs, its spec; variables are read in the compute dtype."""
        policy, active = self._dtype_policy.of_path(self._dk_path), autocast_dtype.get()
        casts = self.autocast and policy.compute_dtype != policy.variable_dtype
        dtype = policy.compute_dtype if casts else None
        token = autocast_dtype.set(dtype) if dtype != active else None
        try:
            if symbolic:
                return self.compute_output_spec(*args, **kwargs)
            form = self._dk_form
            call = self.call if form is None else form.call
            outputs = lend_all(call(*args, **kwargs))
            if outputs is None and "activation" in self.__dict__:
                returned(outputs, self.__dict__["activation"] or self, "a tensor")
            if self.activity_regularizer is not None:
                self._dk_add_activity_losses(self.activity_regularizer, outputs)
            return outputs
        finally:
            if token is not None:
                autocast_dtype.reset(token)

    def _dk_convert_array(self, array: Any) -> Any:
        """Floats to the compute dtype, bytes in native order; integers and bools stay."""
        dtype, target = array.dtype, _numpy_dtype(self.input_dtype)
        if dtype == target or (dtype.kind in "iub" and dtype.isnative):
            return array
        if target.kind == "U":
            return as_strings(array, f"{type(self).__name__} {self.name!r}")
        if dtype.kind == "f" or dtype.name == "bfloat16":
            if not self.autocast and dtype.kind == "f":
                target = dtype.newbyteorder("=")
            return array.astype(target)
        if dtype.kind in "iub":
            return array.astype(dtype.newbyteorder("="))
        if self._dk_may_read_text() and holds_text(array):
            return as_strings(array, f"{type(self).__name__} {self.name!r}")
        raise ValueError(
            message(
                f"{type(self).__name__} {self.name!r}",
                "numbers as input",
                describe(array),
                "Encode it as floats or integers first.",
            )
        )

    def _dk_may_read_text(self) -> bool:
        own = type(self).call.__module__.startswith("densekit.")
        return self._dk_reads_text or self._dk_passes_text or not own

    def _dk_convert(self, value: Any) -> Any:
        if isinstance(value, KerasTensor) or value is None:
            return value
        if type(value) in WATCHED:
            value = read(value)
        if isinstance(value, Variable):
            value = value.value
        if not isinstance(value, np.ndarray) and ops.is_tensor(value):
            wanted = self.autocast and is_float_dtype(value.dtype)
            wanted = wanted and str(value.dtype) != self.input_dtype
            return ops.cast(value, self.input_dtype) if wanted else value
        if is_exporter(value):
            dtype = table_dtype(value)
            array = as_numpy(value) if dtype is None else np.asarray(value, dtype)
            return self._dk_convert_array(array)
        return value

    def _dk_convert_arguments(self, args: Any, kwargs: Any) -> tuple[Any, Config]:
        if self._convert_input_args:
            args = tuple(tree.map_structure(self._dk_convert, arg) for arg in args)
            kwargs = {k: tree.map_structure(self._dk_convert, v) for k, v in kwargs.items()}
        args, kwargs = lend_all(args), lend_all(kwargs)
        if not self._allow_non_tensor_positional_args:
            for leaf in tree.flatten(args):
                if leaf is not None and not is_tensor(leaf):
                    sparse = hasattr(leaf, "toarray")
                    convert = "x.toarray()" if sparse else "np.asarray(...)"
                    raise ValueError(
                        message(
                            f"{type(self).__name__} {self.name!r}",
                            "tensors as positional arguments",
                            describe(leaf),
                            f"Convert it by `{convert}`, or pass it as a keyword argument.",
                        )
                    )
        return args, kwargs

    def stateless_call(
        self,
        trainable_variables: Sequence[ArrayLike],
        non_trainable_variables: Sequence[ArrayLike],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Call the layer with given values for its variables, changing nothing.

        Args:
            trainable_variables: values for `trainable_variables`, in order.
            non_trainable_variables: values for `non_trainable_variables`, in order.
            return_losses: whether the losses of the call are returned too. Default: ``False``.

        Returns:
            ``(outputs, non_trainable_variables)`` with the updated values, and the losses if asked.

        Raises:
            ValueError: if the layer is not built or the number of values is wrong.
        """
        where = f"{type(self).__name__} {self.name!r}.stateless_call"
        if not self.built:
            raise ValueError(message(where, "a built layer", "one not built", "Call it first."))
        pairs: list[tuple[Variable, ArrayLike]] = []
        for name, values in (
            ("trainable_variables", trainable_variables),
            ("non_trainable_variables", non_trainable_variables),
        ):
            own = getattr(self, name)
            if len(own) != len(values):
                raise ValueError(
                    message(where, f"{len(own)} `{name}`", f"{len(values)}", f"See `layer.{name}`.")
                )
            pairs += zip(own, map(raw, values), strict=True)
        tape = recording_scope()
        if tape is not None and not non_trainable_variables and not return_losses:
            outputs = tape.run_with_values(self, pairs, args, kwargs)
            if outputs is not NotImplemented:
                return outputs, []
        with StatelessScope(pairs, collect_losses=return_losses) as scope:
            outputs = give_all(self(*args, **kwargs))
            losses = give_all(self.losses) if return_losses else None
        updated = give_all([scope.get_current_value(v) for v in self.non_trainable_variables])
        return (outputs, updated, losses) if return_losses else (outputs, updated)
