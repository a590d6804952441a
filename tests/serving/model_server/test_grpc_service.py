import grpc
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, regression_pb2

from tests.serving.model_server.served_world import NAME, Asking, request_of, x_of

ECHO = {
    "text": np.array([b"K\xc3\xa4se", b"\xff\x00"], object),
    "number": np.array([2**62 + 1, -1]),
    "flag": np.array([True, False]),
    "small": np.array([[0.1, np.nan], [np.inf, 1e-45]], np.float32),
}


def test_answers_come_back_bit_for_bit_with_version_and_signature(ask: Asking) -> None:
    # 1 / 2 + 2 = 2.5, 2 / 2 + 2 = 3, 5 / 2 + 2 = 4.5
    response = ask.prediction.Predict(request_of(x_of(1, 2, 5)))
    npt.assert_array_equal(tf.make_ndarray(response.outputs["y"]), np.array([2.5, 3, 4.5], np.float32))
    assert response.outputs["y"].tensor_content == np.array([2.5, 3, 4.5], np.float32).tobytes()
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (NAME, 3, "serving_default")
    echoed = ask.predict(ECHO, signature="echo")
    assert echoed.keys() == {*ECHO, "text_bytes"}
    for name, array in ECHO.items():
        npt.assert_array_equal(echoed[name], array)


def test_an_answer_of_one_number_is_tensor_content_too(ask: Asking) -> None:
    response = ask.prediction.Predict(request_of(x_of(0.2)))
    assert response.outputs["y"].tensor_content == (np.float32([0.2]) / 2 + np.float32(2)).tobytes()


def test_every_way_to_fill_a_tensor_is_read(ask: Asking) -> None:
    request = request_of(x_of(0))
    proto = request.inputs["x"]
    proto.Clear()
    proto.dtype = tf.float32.as_datatype_enum
    proto.tensor_shape.dim.add(size=3)
    proto.float_val.append(4.0)  # one value stands for all
    npt.assert_array_equal(tf.make_ndarray(ask.prediction.Predict(request).outputs["y"]), [4.0, 4.0, 4.0])
    # strings that are not given are empty
    echo = request_of(ECHO, signature="echo")
    del echo.inputs["text"].string_val[:]
    assert list(ask.prediction.Predict(echo).outputs["text"].string_val) == [b"", b""]


def test_outputs_can_be_chosen(ask: Asking) -> None:
    request = request_of(ECHO, signature="echo")
    request.output_filter.append("flag")
    assert set(ask.prediction.Predict(request).outputs) == {"flag"}
    request.output_filter[:] = ["flog"]
    code, message = ask.error(lambda: ask.prediction.Predict(request))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("output tensor alias not found in signature: flog Outputs expected to be in the set {")


@pytest.mark.parametrize(
    ("inputs", "keywords", "code", "message"),
    [
        (x_of(1), {"name": "nobody"}, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
        (x_of(1), {"name": "../half_plus"}, "NOT_FOUND", "Servable not found for request: Latest(../half_plus)"),
        (x_of(1), {"version": 7}, "NOT_FOUND", f"Servable not found for request: Specific({NAME}, 7)"),
        (x_of(1), {"version_label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        (x_of(1), {"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (x_of(1), {"signature": "s"}, "FAILED_PRECONDITION", 'Serving signature key "s" not found.'),
        ({}, {}, "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}."),
        ({"z": 1.0}, {}, "INVALID_ARGUMENT", "Sent extra: {z}. Missing but required: {x}."),
        ({"x": ["a"]}, {}, "INVALID_ARGUMENT", "input x: expected DT_FLOAT, got DT_STRING"),
        ({"x": 1.0}, {}, "INVALID_ARGUMENT", "input x: expected shape [-1], got []"),
        (x_of(-1), {"signature": "root"}, "INVALID_ARGUMENT", "x must not be negative"),
    ],
)
def test_wrong_requests_get_the_official_codes(
    ask: Asking, inputs: dict[str, object], keywords: dict[str, object], code: str, message: str
) -> None:
    found, said = ask.error(lambda: ask.predict(inputs, **keywords))
    assert found == code
    assert message in said
    assert "Traceback" not in said


def test_tensors_whose_parts_contradict_each_other_are_refused(ask: Asking) -> None:
    for size, content in ((3, b"1234"), (-1, b"1234"), (1, b"123"), (2**40, b"")):
        request = request_of(x_of(1))
        request.inputs["x"].Clear()
        request.inputs["x"].dtype = tf.float32.as_datatype_enum
        request.inputs["x"].tensor_shape.dim.add(size=size)
        request.inputs["x"].tensor_content = content
        assert ask.error(lambda request=request: ask.prediction.Predict(request)) == (
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
        )


def test_metadata_holds_the_signatures(ask: Asking) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = NAME
    response = ask.prediction.GetModelMetadata(request)
    assert response.model_spec.version.value == 3
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "echo", "ladder"} <= set(signatures.signature_def)
    assert signatures.signature_def["ladder"].inputs["k"].tensor_shape.unknown_rank
    for fields, message in (([], "must specify at least one metadata_field"), (["size"], "size is not supported")):
        request.metadata_field[:] = fields
        code, said = ask.error(lambda: ask.prediction.GetModelMetadata(request))
        assert code == "INVALID_ARGUMENT"
        assert message in said


def test_status_tells_the_state_of_every_version(ask: Asking) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    assert ask.error(lambda: ask.model.GetModelStatus(request)) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = NAME
    (status,) = ask.model.GetModelStatus(request).model_version_status
    assert (status.version, status.state, status.status.error_code) == (3, 30, 0)
    request.model_spec.version.value = 9
    assert ask.error(lambda: ask.model.GetModelStatus(request)) == (
        "NOT_FOUND",
        f"Could not find version 9 of model {NAME}",
    )
    request.model_spec.name = "nobody"
    request.model_spec.ClearField("version")
    assert ask.error(lambda: ask.model.GetModelStatus(request)) == (
        "NOT_FOUND",
        "Could not find any versions of model nobody",
    )


def test_calls_for_examples_are_not_implemented(ask: Asking) -> None:
    for call, request in (
        (ask.prediction.Classify, classification_pb2.ClassificationRequest()),
        (ask.prediction.Regress, regression_pb2.RegressionRequest()),
    ):
        code, message = ask.error(lambda call=call, request=request: call(request))
        assert code == "UNIMPLEMENTED"
        assert "use Predict" in message


def test_the_health_service_knows_the_services(ask: Asking) -> None:
    stub = health_pb2_grpc.HealthStub(ask.channel)
    for service in ("", "tensorflow.serving.PredictionService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_messages_that_are_too_large_are_refused(ask: Asking) -> None:
    values = np.zeros(ask.server.settings.max_message_bytes // 4 + 1000, np.float32)
    channel = grpc.insecure_channel(ask.server.grpc_address, [("grpc.max_send_message_length", -1)])
    predict = type(ask.prediction)(channel).Predict
    assert ask.error(lambda: predict(request_of({"x": values})))[0] == "RESOURCE_EXHAUSTED"
    channel.close()
