"""Environment of the whole suite; it must stand before the first import of Keras, TensorFlow or NumPy."""

import os

# What a caller sets wins, e.g. `CUDA_VISIBLE_DEVICES=0 make test` runs the suite on a GPU.
for name, value in {
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "MPLBACKEND": "Agg",
    # Two pytest workers share the cores: libraries that each take all of them would only get in each other's way.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTEROP_THREADS": "2",
    "TF_NUM_INTRAOP_THREADS": "2",
}.items():
    os.environ.setdefault(name, value)

from hypothesis import settings  # noqa: E402

# Timing varies with the load of the machine, and a failure must be reproducible by whoever reads the log.
settings.register_profile("supplytower", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("supplytower")
