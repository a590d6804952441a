"""What every exported version must be: answering in the C++ runtime, with operations that every server has."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from training import export_manifest


def meta_graph(version: Path) -> Any:
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((version / "saved_model.pb").read_bytes())
    return saved_model.meta_graphs[0]


def operations(graph: Any) -> set[str]:
    """The operations of a graph and of its functions, functions' own names left out."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {node.op for node in nodes} - {function.signature.name for function in graph.library.function}


def assert_only_core_operations(version: Path) -> set[str]:
    """Returns the operations used."""
    used = operations(meta_graph(version).graph_def)
    assert [name for name in used if op_def_registry.get(name) is None] == []
    assert [name for name in used if name.startswith(("Cudnn", "PyFunc", "EagerPyFunc", "Xla", "TFL"))] == []
    return used


def assert_c_api_answers_golden_requests(version: Path) -> None:
    library = next(Path(tf.__file__).parent.glob("libtensorflow_cc.*"))
    signatures, manifest = meta_graph(version).signature_def, export_manifest.read(version)
    for name, golden in manifest["golden"].items():
        signature = signatures[name]
        inputs = {}
        for tensor, value in golden["inputs"].items():
            dtype = manifest["signatures"][name]["inputs"][tensor]["dtype"]
            array = np.array(value)
            inputs[signature.inputs[tensor].name] = [dtype, array.shape, array.ravel().tolist()]
        outputs = [signature.outputs[tensor].name for tensor in golden["outputs"]]
        process = subprocess.run(
            [sys.executable, "-I", str(Path(__file__).with_name("c_api.py")), str(library), str(version)],
            input=json.dumps({"inputs": inputs, "outputs": outputs}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0, process.stderr
        for tensor, output in zip(golden["outputs"], outputs, strict=True):
            shape, values = json.loads(process.stdout)[output]
            expected = np.array(golden["outputs"][tensor])
            if expected.dtype.kind == "U":
                npt.assert_array_equal(np.array(values).reshape(shape), expected)
            else:
                npt.assert_allclose(np.array(values).reshape(shape), expected, rtol=1e-5, atol=1e-6)
