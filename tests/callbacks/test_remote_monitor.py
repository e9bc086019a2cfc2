"""Logs reach a server, and a missing server stops nothing."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest

import densekit as keras


def fit(monitor: Any) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(np.ones((4, 1)), np.ones(4), epochs=2, verbose=0, callbacks=[monitor])


@pytest.mark.parametrize("as_json", [True, False])
def test_epochs_are_posted(as_json: bool) -> None:
    got: list[tuple[str, str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            text = body if as_json else parse_qs(body)["logs"][0]
            got.append((self.path, self.headers["X-Run"], json.loads(text)))
            assert self.headers["Content-Type"].endswith("json") is as_json
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        fit(
            keras.callbacks.RemoteMonitor(
                f"http://127.0.0.1:{server.server_port}",
                path="/epochs",
                field="logs",
                headers={"X-Run": "7"},
                send_as_json=as_json,
            )
        )
        server.shutdown()
        thread.join()
        free = server.server_port
    assert [(path, run, logs["epoch"]) for path, run, logs in got] == [
        ("/epochs", "7", 0),
        ("/epochs", "7", 1),
    ]
    assert set(got[0][2]) == {"epoch", "loss", "mae"}
    with pytest.warns(UserWarning, match="an answer of"):
        fit(keras.callbacks.RemoteMonitor(f"http://127.0.0.1:{free}"))


def test_other_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        keras.callbacks.RemoteMonitor("file:///tmp")
