"""One file a peer. Each offers what it can of

``training(w, x, y, threads) -> run`` where ``run.epochs(k, rows)`` trains k shuffled epochs on the
first rows, ``run.check(steps)`` trains a fresh copy on consecutive batches and returns its
predictions for the first 64 rows; None where the peer cannot express the network.

``inference(w, x, threads) -> {path: call}``: ways to get predictions as a NumPy array.

``dense(width, weights, threads) -> call(x)``: one linear Dense layer, for the sweep.

``version() -> str``.
"""

from __future__ import annotations

# Name of a peer -> module under peers, environment it needs.
PEERS: dict[str, tuple[str, dict[str, str]]] = {
    "densekit": ("densekit", {}),
    "densekit-bf16": ("densekit", {"DENSEKIT_BENCHMARK_POLICY": "mixed_bfloat16"}),
    "densekit-jax": ("densekit", {"DENSEKIT_ENGINE": "jax", "JAX_PLATFORMS": "cpu"}),
    "keras-jax": ("keras", {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}),
    "keras-torch": ("keras", {"KERAS_BACKEND": "torch"}),
    "torch": ("torch", {}),
    "jax": ("jax", {"JAX_PLATFORMS": "cpu"}),
    "sklearn": ("sklearn", {}),
    "onnxruntime": ("onnxruntime", {}),
    "numpy": ("numpy", {}),
}

# What a peer imports: it is skipped when one is missing.
NEEDS: dict[str, tuple[str, ...]] = {
    "densekit": ("densekit",),
    "densekit-bf16": ("densekit", "ml_dtypes"),
    "densekit-jax": ("densekit", "jax"),
    "keras-jax": ("keras", "jax"),
    "keras-torch": ("keras", "torch"),
    "torch": ("torch",),
    "jax": ("jax",),
    "sklearn": ("sklearn",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "numpy": ("numpy",),
}

TRAINS = (
    *("densekit", "densekit-bf16", "densekit-jax", "keras-jax", "keras-torch", "torch", "jax"),
    "sklearn",
)
INFERS = ("densekit", "keras-jax", "torch", "jax", "onnxruntime", "numpy")
