"""`RemoteMonitor`: the logs of every epoch to a server."""

from __future__ import annotations

import json

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit.callbacks._callback import Callback, Logs


@export("keras.callbacks")
class RemoteMonitor(Callback):
    """Posts the logs of every epoch, and its number, to a server as JSON.

    A server that cannot be reached brings a warning; the training goes on.

    Args:
        root: address of the server. Default: ``"http://localhost:9000"``.
        path: what follows it. Default: ``"/publish/epoch/end/"``.
        field: name of the form's field that holds the JSON. Default: ``"data"``.
        headers: further HTTP headers. Default: none.
        send_as_json: whether to post the JSON as it is, not in a form. Default: ``False``.

    Raises:
        ValueError: for an address that is not of http or https.

    Example:

    >>> import densekit as keras
    >>> monitor = keras.callbacks.RemoteMonitor("http://localhost:9000", send_as_json=True)
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise ValueError(
                message("RemoteMonitor", "http:// or https://", describe(root), "Change `root`.")
            )
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # Slow to load, and this callback alone needs them.
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        numbers = {key: _plain(value) for key, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **numbers})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = text if self.send_as_json else urlencode({self.field: text})
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            with urlopen(Request(self.root + self.path, body.encode(), headers)):
                pass
        except OSError as error:
            warn(
                message(
                    "RemoteMonitor",
                    f"an answer of {self.root + self.path}",
                    f"{error}",
                    "Training goes on; start the server, or leave the callback out.",
                ),
                UserWarning,
            )


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
