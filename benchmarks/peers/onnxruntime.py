"""ONNX Runtime: Gemm, Relu and Softmax nodes, one session a number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from workloads import Array, Network, Weights


def version() -> str:
    return onnxruntime.__version__


def session(weights: Weights, output: str, threads: int) -> Any:
    nodes, constants, value = [], [], "x"
    for n, (kernel, bias) in enumerate(weights):
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(kernel), f"w{n}"),
            numpy_helper.from_array(bias, f"b{n}"),
        ]
        nodes.append(helper.make_node("Gemm", [value, f"w{n}", f"b{n}"], [f"z{n}"]))
        last = n + 1 == len(weights)
        kind = {"softmax": "Softmax", "sigmoid": "Sigmoid"}.get(output) if last else "Relu"
        value = f"z{n}"
        if kind:
            nodes.append(helper.make_node(kind, [value], [f"h{n}"]))
            value = f"h{n}"
    sizes = len(weights[0][0]), weights[-1][0].shape[1]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, sizes[0]])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [None, sizes[1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def inference(w: Network, x: Array, threads: int) -> dict[str, Any]:
    def path(n: int) -> Any:
        run = session(w.weights(), w.output, n).run
        return lambda: run(None, {"x": x})[0]

    return {f"run, {n} thread" + "s" * (n > 1): path(n) for n in sorted({1, threads})}


def dense(width: int, kernel: Array, bias: Array, threads: int) -> Any:
    run = session([(kernel, bias)], "linear", threads).run
    return lambda x: run(None, {"x": x})[0]
