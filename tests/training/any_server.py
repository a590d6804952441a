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

from serving.client import Client
from serving.model_server.server import ModelServer
from serving.model_server.settings import ModelServerSettings
from serving.promotion import read_manifest


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


def c_api_answers(version: Path) -> dict[str, dict[str, np.ndarray]]:
    """What TensorFlow's C API answers to the golden requests, by signature and output."""
    library = next(Path(tf.__file__).parent.glob("libtensorflow_cc.*"))
    signatures, manifest = meta_graph(version).signature_def, read_manifest(version)
    answers = {}
    for name, golden in manifest["golden"].items():
        signature = signatures[name]
        inputs = {}
        for tensor, value in golden["inputs"].items():
            dtype = manifest["signatures"][name]["inputs"][tensor]["dtype"]
            array = np.array(value)
            inputs[signature.inputs[tensor].name] = [dtype, array.shape, array.ravel().tolist()]
        outputs = {tensor: signature.outputs[tensor].name for tensor in golden["outputs"]}
        process = subprocess.run(
            [sys.executable, "-I", str(Path(__file__).with_name("c_api.py")), str(library), str(version)],
            input=json.dumps({"inputs": inputs, "outputs": list(outputs.values())}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert process.returncode == 0, process.stderr
        answered = json.loads(process.stdout)
        answers[name] = {
            tensor: np.array(answered[output][1]).reshape(answered[output][0]) for tensor, output in outputs.items()
        }
    return answers


def assert_c_api_answers_golden_requests(version: Path) -> None:
    golden = read_manifest(version)["golden"]
    for signature, answer in c_api_answers(version).items():
        for tensor, found in answer.items():
            expected = np.array(golden[signature]["outputs"][tensor])
            if expected.dtype.kind == "U":
                npt.assert_array_equal(found, expected)
            else:
                npt.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def assert_every_way_answers_with_the_same_bits(version: Path) -> None:
    """In process, through the C API, and from the local model server over gRPC and REST."""
    models, model = version.parents[1], version.parent.name
    manifest, loaded = read_manifest(version), tf.saved_model.load(str(version))
    by_c_api = c_api_answers(version)
    settings = ModelServerSettings(grpc_port=0, rest_port=0)
    with (
        ModelServer(models, settings) as server,
        Client(f"grpc://{server.grpc_address}") as grpc,
        Client(server.rest_url) as rest,
    ):
        for signature, golden in manifest["golden"].items():
            kinds = manifest["signatures"][signature]["inputs"]
            inputs = {
                name: np.array(value, object if kinds[name]["dtype"] == "string" else kinds[name]["dtype"])
                for name, value in golden["inputs"].items()
            }
            asked = {name: tf.constant(value.tolist(), kinds[name]["dtype"]) for name, value in inputs.items()}
            answers = [one.predict(model, inputs, signature=signature) for one in (grpc, rest)]
            for name, tensor in loaded.signatures[signature](**asked).items():
                expected = tensor.numpy()
                if expected.dtype == object:
                    expected = np.char.decode(expected.astype(bytes))
                    found = [answer[name].astype("U") for answer in answers] + [by_c_api[signature][name]]
                else:
                    found = [answer[name] for answer in answers]
                    found.append(by_c_api[signature][name].astype(expected.dtype))
                for one in found:
                    npt.assert_array_equal(one, expected, err_msg=f"{signature}/{name}")
