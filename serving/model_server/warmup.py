"""Warm-up: a version answers its own recorded requests before it goes into service.

The first requests to a session are slow, because kernels and tables are set up lazily; these are paid for by nobody. A
version that cannot answer them is not fit for service.
Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.model_server.request_error import invalid
from serving.model_server.servable import DEFAULT_SIGNATURE, Servable
from serving.model_server.tensor_proto import to_arrays

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_REQUESTS, MAX_BYTES = 1000, 2**30


def warm_up(servable: Servable, path: Path) -> int:
    """Run the warm-up requests of a version.

    Args:
        servable: the loaded version.
        path: its folder; a version without the file is served cold.

    Returns:
        How many requests were run.

    Raises:
        RequestError: if one of them is refused.
        tf.errors.OpError: if the file is damaged.
    """
    file = path / WARMUP
    if not file.is_file():
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(str(file)).take(MAX_REQUESTS).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            raise invalid(f"{file}: holds {log.WhichOneof('log_type')}, only predict_log can be run")
        request = log.predict_log.request
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        if name not in servable.signatures:
            raise invalid(f'{file}: signature "{name}" not found')
        signature = servable.signatures[name]
        signature.run(signature.check(to_arrays(request.inputs, MAX_BYTES)))
        count += 1
    return count
