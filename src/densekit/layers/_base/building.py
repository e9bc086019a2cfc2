"""How a layer gets its weights: `build`, recorded so that files can repeat it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from densekit._core.frames import hide_internal_frames, warn
from densekit._core.tracked import TrackedLayer
from densekit._core.types import Config, PartialShape
from densekit.layers._base.call import CallContext, CallInfo, call_context, call_info, shapes_for
from densekit.layers._base.shapes import shapes_of_arguments
from densekit.layers._base.tracking import Tracker
from densekit.ops._shape_inference import compute_output_spec

build_lock = threading.RLock()  # one build at a time: two threads may call a new layer at once


def recorded(build: Callable[..., object]) -> Callable[..., None]:
    """Wrap a `build` method: note its arguments, mark the layer built and lock it, or undo all."""

    @wraps(build)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        with build_lock:
            if self.__dict__.get("_dk_in_build"):  # super().build(...)
                build(self, *args, **kwargs)
                return
            before, state = dict(self.__dict__), self._tracker.snapshot()
            self.__dict__["_dk_in_build"] = True
            outer = call_context.get()
            context = CallContext(self, outer, outer is not None and outer.calling)
            token = call_context.set(context)
            try:
                self._dk_path = context.path()
                build(self, *args, **kwargs)
            except BaseException as error:
                self.__dict__.clear()
                self.__dict__.update(before)
                self._tracker.restore(state)
                hide_internal_frames(error)
                raise
            finally:
                call_context.reset(token)
                self.__dict__.pop("_dk_in_build", None)
            names = call_info(build).names[1:]  # without self
            self.__dict__["_dk_build_shapes"] = dict(zip(names, args, strict=False)) | kwargs
            self.built = True
            self._post_build()
            self._tracker.locked = True

    return wrapper


def has_own_build(layer: Any) -> bool:
    """Whether the class of `layer` defines `build`."""
    return type(layer).build is not BuildOnce.build


class BuildOnce(TrackedLayer):
    """The part of `Layer` that builds."""

    name: str
    built: bool
    call: Callable[..., object]
    _dk_call_info: CallInfo
    _dk_build_shapes: Config | None
    _tracker: Tracker

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = recorded(cls.__dict__["build"])  # type: ignore[method-assign]

    @recorded
    def build(self, input_shape: PartialShape | None = None) -> None:
        """Create the weights for inputs of `input_shape`, batch axis included."""
        self._check_super_called()
        if not has_own_build(self) and any(not child.built for child in self._tracker.layers):
            warn(
                f"`build()` was called on layer '{self.name}', which has no `build()` method but "
                "sub-layers that are not built. Write a `build()` method that builds them."
            )

    def _post_build(self) -> None:
        """Runs after each `build`; for subclasses."""

    def get_build_config(self) -> Config | None:
        """What `build_from_config` needs: ``{"input_shape": ...}``; None before `build`."""
        shapes = self._dk_build_shapes
        if shapes is None:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes}

    def build_from_config(self, config: Config | None) -> None:
        """Build as `get_build_config` recorded."""
        if config and "input_shape" in config:
            self.build(config["input_shape"])
        elif config and "shapes_dict" in config:
            self.build(**config["shapes_dict"])

    def _dk_build_for(self, arguments: Config, symbolic: bool) -> None:
        """Build from the arguments of the first call."""
        shapes = shapes_of_arguments(arguments)
        if has_own_build(self):
            self.build(
                **shapes_for(self.build, shapes, self._dk_call_info.names, type(self).__name__)
            )
            return
        if symbolic and any(not child.built for child in self._tracker.layers):
            try:
                compute_output_spec(self.call, **arguments)
            except Exception as error:
                warn(
                    f"Layer '{self.name}' has sub-layers that are not built, and its `call()` "
                    f"could not be traced to build them: {error!r}. Write a `build()` method."
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sub-layers are built by the call that follows
            self.build(next(iter(shapes.values()), None))

    def _build_at_init(self) -> None:
        """Mark a layer that never has weights as built, unless a subclass gave it a `build`."""
        if not has_own_build(self):
            self.built = True
            self._post_build()
            self._tracker.locked = True

    def _check_super_called(self) -> None:
        if "_dk_super_called" not in self.__dict__:
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the "
                "first statement in the `__init__()` method. Go add it!"
            )
