"""Warm-up requests, which TensorFlow Serving answers before a new version goes into service.

The first requests to a session are slow (tables and kernels are set up lazily); these are paid for by nobody. They are
real requests in `assets.extra/tf_serving_warmup_requests`, a TFRecord file of PredictionLog messages.
Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from training.export_requests import Requests

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(saved_model: Path, model: str, requests: Sequence[Requests]) -> None:
    """Write the warm-up file of a SavedModel.

    Args:
        saved_model: the folder.
        model: the name that the model is served under.
        requests: the inputs, by signature.
    """
    file = saved_model / WARMUP
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for request in requests:
            for signature, arrays in request.items():
                spec = model_pb2.ModelSpec(name=model, signature_name=signature)
                inputs = {name: tf.make_tensor_proto(array) for name, array in arrays.items()}
                predict = predict_pb2.PredictRequest(model_spec=spec, inputs=inputs)
                log = prediction_log_pb2.PredictLog(request=predict)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
